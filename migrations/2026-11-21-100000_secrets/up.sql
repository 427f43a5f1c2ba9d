-- Secrets of a tenant, sealed with the master key and bound to their row: what verifiers compare and compute with.

CREATE TABLE secrets (
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  id uuid NOT NULL,
  name text NOT NULL,
  value bytea NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  value_changed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT secrets_name_key UNIQUE (tenant_id, name)
);

ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE secrets FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON secrets USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
-- The ingress reads what the authentication of a webhook names; it learns the tenant from the URL.
CREATE POLICY routing ON secrets FOR SELECT TO hookgate_ingress USING (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON secrets TO hookgate_management;
GRANT SELECT (tenant_id, id, value) ON secrets TO hookgate_ingress;

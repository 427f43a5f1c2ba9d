-- How live requests differ from what their webhook expects: one row for each field and kind of difference.
CREATE TABLE drift (
  tenant_id uuid NOT NULL,
  webhook_id uuid NOT NULL,
  place text NOT NULL,
  path text NOT NULL,
  code text NOT NULL,
  msg text NOT NULL,
  count bigint NOT NULL,
  first_at timestamptz NOT NULL,
  last_at timestamptz NOT NULL,
  first_event uuid NOT NULL,
  last_event uuid NOT NULL,
  PRIMARY KEY (tenant_id, webhook_id, place, path, code)
) WITH (fillfactor = 70);

ALTER TABLE drift ENABLE ROW LEVEL SECURITY;
ALTER TABLE drift FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON drift USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
-- A node counts for many tenants in one statement.
CREATE POLICY count ON drift FOR ALL TO hookgate_ingress USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON drift TO hookgate_ingress;
GRANT SELECT, DELETE ON drift TO hookgate_management;

-- Links that show the document of a tenant's webhooks to whoever has one.
CREATE TABLE public_api_links (
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  id uuid NOT NULL,
  name text NOT NULL,
  digest bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT public_api_links_digest_key UNIQUE (digest)
);

ALTER TABLE public_api_links ENABLE ROW LEVEL SECURITY;
ALTER TABLE public_api_links FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public_api_links USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
-- Who presents a link opens its own row, before the tenant is known.
CREATE POLICY presented ON public_api_links FOR SELECT TO hookgate_management USING (digest = current_key_digest());
GRANT SELECT, INSERT, DELETE ON public_api_links TO hookgate_management;

-- Collections: named sets of a tenant's records, which flows write and the management API shows.

CREATE TABLE collections (
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  id uuid NOT NULL,
  name text NOT NULL,
  -- As it was written: `json` keeps the order of its keys.
  schema json,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT collections_name_key UNIQUE (tenant_id, name)
);

CREATE TABLE records (
  tenant_id uuid NOT NULL,
  collection_id uuid NOT NULL,
  id uuid NOT NULL,
  key text NOT NULL,
  data jsonb NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, collection_id, id),
  CONSTRAINT records_key_key UNIQUE (tenant_id, collection_id, key),
  CONSTRAINT records_collection_fkey FOREIGN KEY (tenant_id, collection_id) REFERENCES collections (tenant_id, id) ON DELETE CASCADE
) WITH (fillfactor = 90);

DO $$
DECLARE
  table_name text;
BEGIN
  FOREACH table_name IN ARRAY ARRAY['collections', 'records'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', table_name);
    EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant())', table_name);
  END LOOP;
END $$;

GRANT SELECT, INSERT, UPDATE, DELETE ON collections, records TO hookgate_management;
GRANT SELECT ON collections TO hookgate_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON records TO hookgate_worker;

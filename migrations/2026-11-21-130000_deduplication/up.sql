-- Deduplication: a delivery that came before is answered as the first was, and starts nothing.

-- What a webhook remembers deliveries by; NULL: it takes every one for a new one.
ALTER TABLE webhooks ADD COLUMN deduplication jsonb;

-- What the sender calls the event and the delivery, and whether a key was remembered for it (`remembered`), or was to be and
-- the request gave none (`no_key`).
ALTER TABLE events ADD COLUMN event_type text, ADD COLUMN delivery_id text, ADD COLUMN deduplication text;

-- The keys of deliveries, each with the event that came first, committed with it. The digest covers the webhook, the URL's
-- environment and the kind of key, so a key of one webhook never meets another's; the value itself is not kept. `answer` is
-- what the first caller got, NULL when that is the answer of the event's run. A row whose time is over counts as absent: the
-- next delivery takes it over, or maintenance deletes it.
CREATE TABLE deduplication_keys (
  tenant_id uuid NOT NULL,
  digest bytea NOT NULL,
  event_id uuid NOT NULL,
  expires_at timestamptz NOT NULL,
  answer bytea,
  PRIMARY KEY (tenant_id, digest)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
CREATE INDEX deduplication_keys_expiry ON deduplication_keys (expires_at);

-- How often an event came again. Counted behind the answers, apart from the commit: deliveries of one event that come to
-- several nodes would else wait for each other, and for everybody who is committed with them.
CREATE TABLE duplicates (
  tenant_id uuid NOT NULL,
  event_id uuid NOT NULL,
  count bigint NOT NULL,
  last_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, event_id)
) WITH (fillfactor = 70);
CREATE INDEX duplicates_age ON duplicates (event_id);

DO $$
DECLARE
  table_name text;
BEGIN
  FOREACH table_name IN ARRAY ARRAY['deduplication_keys', 'duplicates'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', table_name);
    EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant())', table_name);
    -- Writers group the events of many tenants in one commit; maintenance deletes what is over.
    EXECUTE format('CREATE POLICY append ON %I FOR ALL TO hookgate_ingress USING (true) WITH CHECK (true)', table_name);
    EXECUTE format('CREATE POLICY maintenance ON %I FOR ALL TO hookgate_worker USING (true)', table_name);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %I TO hookgate_ingress', table_name);
  END LOOP;
END $$;
-- A refused request that is taken after all claims its keys, too.
GRANT SELECT, INSERT, UPDATE ON deduplication_keys TO hookgate_management;
GRANT SELECT ON duplicates TO hookgate_management;
-- The update is for locking: maintenance passes over rows that a writer is just taking over.
GRANT SELECT (tenant_id, digest, expires_at), UPDATE (expires_at), DELETE ON deduplication_keys TO hookgate_worker;
GRANT SELECT (tenant_id, event_id), DELETE ON duplicates TO hookgate_worker;

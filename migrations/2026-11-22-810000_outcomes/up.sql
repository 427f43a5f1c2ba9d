-- What became of requests and runs, by day (UTC) and webhook: deliveries that came before, refusals by reason, runs by outcome.
-- Nodes gather for some seconds and add; a node that is killed forgets what it has gathered.
CREATE TABLE outcomes (
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  day date NOT NULL,
  webhook_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('duplicate', 'refused', 'run')),
  -- The refusal's reason, the run's outcome.
  name text NOT NULL,
  count bigint NOT NULL,
  PRIMARY KEY (tenant_id, day, webhook_id, kind, name)
) WITH (fillfactor = 70);

ALTER TABLE outcomes ENABLE ROW LEVEL SECURITY;
ALTER TABLE outcomes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON outcomes USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
-- A node adds the counts of many tenants in one statement.
CREATE POLICY count ON outcomes TO hookgate_ingress, hookgate_worker USING (true) WITH CHECK (true);

GRANT SELECT, INSERT ON outcomes TO hookgate_ingress;
GRANT UPDATE (count) ON outcomes TO hookgate_ingress;
GRANT SELECT ON outcomes TO hookgate_management;
GRANT SELECT, INSERT, DELETE ON outcomes TO hookgate_worker;
GRANT UPDATE (count) ON outcomes TO hookgate_worker;

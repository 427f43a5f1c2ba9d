-- Events that are run again, one by one or as many as a filter finds.

-- The event that this one repeats, and the replay that made it, if it was one of many.
ALTER TABLE events ADD COLUMN replay_of uuid, ADD COLUMN replay_id uuid;

-- A replay goes through the events from the oldest on. `after` is the last one that it has come to, `before` is above the
-- newest: what comes in later is not part of it, nor what it makes itself.
CREATE TABLE replays (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  filter jsonb NOT NULL,
  revision text NOT NULL,
  events_per_second integer NOT NULL,
  status text NOT NULL DEFAULT 'running',
  matched bigint NOT NULL,
  replayed bigint NOT NULL DEFAULT 0,
  skipped bigint NOT NULL DEFAULT 0,
  after uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  before uuid NOT NULL,
  due_at timestamptz NOT NULL DEFAULT now(),
  created_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX replays_due ON replays (due_at) WHERE status = 'running';

ALTER TABLE replays ENABLE ROW LEVEL SECURITY;
ALTER TABLE replays FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON replays USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
-- Workers go on with whatever replay is due.
CREATE POLICY claim ON replays FOR ALL TO hookgate_worker USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON replays TO hookgate_management;
GRANT SELECT, UPDATE, DELETE ON replays TO hookgate_worker;

-- What a worker makes of an event, in the tenant's scope: the event's copy, its job, and the tenant's use of it.
GRANT INSERT ON events TO hookgate_worker;
GRANT SELECT, INSERT, UPDATE (events, body_bytes) ON usage TO hookgate_worker;

-- How much a destination takes, whether it is paused, and the work that waits for it.

ALTER TABLE destinations
  ADD COLUMN calls_per_second integer,
  ADD COLUMN calls_at_once integer,
  ADD COLUMN pauses_on_gone boolean NOT NULL DEFAULT true;

-- The destinations that no call goes to until somebody resumes them. A table of its own, so that workers, who pause, need not
-- change destinations.
CREATE TABLE destination_pauses (
  tenant_id uuid NOT NULL,
  destination_id uuid NOT NULL,
  paused_at timestamptz NOT NULL DEFAULT now(),
  reason text NOT NULL,
  PRIMARY KEY (tenant_id, destination_id),
  CONSTRAINT destination_pauses_destination_fkey FOREIGN KEY (tenant_id, destination_id)
    REFERENCES destinations (tenant_id, id) ON DELETE CASCADE
);

ALTER TABLE destination_pauses ENABLE ROW LEVEL SECURITY;
ALTER TABLE destination_pauses FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON destination_pauses USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
-- Workers release what waits for destinations that are not paused any more.
CREATE POLICY claim ON destination_pauses FOR SELECT TO hookgate_worker USING (true);
GRANT SELECT, INSERT, DELETE ON destination_pauses TO hookgate_management;
GRANT SELECT, INSERT ON destination_pauses TO hookgate_worker;

-- The destination that a job waits for: until it is resumed when the job is held, else for the turn that its rate gave.
ALTER TABLE jobs ADD COLUMN waits_for uuid;
DROP INDEX jobs_held;
CREATE INDEX jobs_held ON jobs (tenant_id, webhook_id, due_at, id) WHERE is_held AND waits_for IS NULL;
CREATE INDEX jobs_waiting ON jobs (tenant_id, waits_for, due_at, id) WHERE is_held AND waits_for IS NOT NULL;

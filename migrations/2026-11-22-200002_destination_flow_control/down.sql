DROP INDEX jobs_waiting;
DROP INDEX jobs_held;
ALTER TABLE jobs DROP COLUMN waits_for;
CREATE INDEX jobs_held ON jobs (tenant_id, webhook_id, due_at, id) WHERE is_held;

DROP TABLE destination_pauses;

ALTER TABLE destinations
  DROP COLUMN calls_per_second,
  DROP COLUMN calls_at_once,
  DROP COLUMN pauses_on_gone;

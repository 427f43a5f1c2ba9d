DROP INDEX jobs_session_running;
DROP INDEX jobs_session;
DROP INDEX jobs_due;
CREATE INDEX jobs_due ON jobs (tenant_id, is_retry, greatest(due_at, leased_until)) WHERE NOT is_held;
ALTER TABLE jobs DROP COLUMN session_id, DROP COLUMN is_queued;
DROP TABLE sessions;

DROP POLICY claim ON webhooks;
REVOKE SELECT (tenant_id, id, status, draft_revision_id, published_revision_id) ON webhooks FROM hookgate_worker;
GRANT SELECT ON webhooks TO hookgate_worker;
GRANT UPDATE (due_at) ON jobs TO hookgate_management;

DROP INDEX jobs_held;
DROP INDEX jobs_due;
ALTER TABLE jobs NO FORCE ROW LEVEL SECURITY;
UPDATE jobs SET due_at = '9999-01-01Z' WHERE is_held;
ALTER TABLE jobs FORCE ROW LEVEL SECURITY;
ALTER TABLE jobs DROP COLUMN is_held;
CREATE INDEX jobs_due ON jobs (tenant_id, is_retry, greatest(due_at, leased_until)) WHERE due_at < '9000-01-01Z';

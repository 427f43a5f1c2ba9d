-- Work that is held while its webhook is not active is marked, and stays due since it came: that is the order of its release.

ALTER TABLE jobs ADD COLUMN is_held boolean NOT NULL DEFAULT false;
-- The time of what is held so far is that of its first event's id, a UUIDv7. The owner has no policy to update by.
ALTER TABLE jobs NO FORCE ROW LEVEL SECURITY;
UPDATE jobs SET is_held = true,
  due_at = to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0)
  WHERE due_at >= '9000-01-01Z';
ALTER TABLE jobs FORCE ROW LEVEL SECURITY;

-- Retries apart from first attempts, so that neither waits behind a backlog of the other; without what is held, so that a
-- claim does not look at tenants that have nothing else.
DROP INDEX jobs_due;
CREATE INDEX jobs_due ON jobs (tenant_id, is_retry, greatest(due_at, leased_until)) WHERE NOT is_held;
CREATE INDEX jobs_held ON jobs (tenant_id, webhook_id, due_at, id) WHERE is_held;

-- Workers hold and release. Of the webhooks of all tenants they see no more than what they need of them.
REVOKE UPDATE (due_at) ON jobs FROM hookgate_management;
REVOKE SELECT ON webhooks FROM hookgate_worker;
GRANT SELECT (tenant_id, id, status, draft_revision_id, published_revision_id) ON webhooks TO hookgate_worker;
CREATE POLICY claim ON webhooks FOR SELECT TO hookgate_worker USING (true);

REVOKE SELECT (tenant_id, id, webhook_id, revision_id, event_ids, due_at, leased_until, lease_token, attempt, is_retry)
  ON jobs FROM hookgate_management;
GRANT SELECT ON jobs TO hookgate_management;

ALTER TABLE jobs DROP COLUMN payload;
ALTER TABLE refusals DROP COLUMN masked;
ALTER TABLE events DROP COLUMN masked;
ALTER TABLE webhooks DROP COLUMN data_protection;

-- What a webhook masks of its requests, what was masked of a stored one, and what its flow needs nevertheless.

ALTER TABLE webhooks ADD COLUMN data_protection jsonb NOT NULL DEFAULT '{}';
-- NULL when a request is stored as it was sent.
ALTER TABLE events ADD COLUMN masked jsonb;
ALTER TABLE refusals ADD COLUMN masked jsonb;
-- The parts of the one event as they were sent that are masked there, sealed. They end with the job. They do not get
-- smaller by being compressed, and out of the row they are not copied when a lease is extended.
ALTER TABLE jobs ADD COLUMN payload bytea;
ALTER TABLE jobs ALTER COLUMN payload SET STORAGE EXTERNAL;

-- Only workers have to do with what a flow has in hand.
REVOKE SELECT ON jobs FROM hookgate_management;
GRANT SELECT (tenant_id, id, webhook_id, revision_id, event_ids, due_at, leased_until, lease_token, attempt, is_retry)
  ON jobs TO hookgate_management;

REVOKE UPDATE (request) ON refusals FROM hookgate_worker;
REVOKE EXECUTE ON FUNCTION ensure_partitions(date) FROM hookgate_management;
REVOKE INSERT, UPDATE (events, body_bytes) ON usage FROM hookgate_management;
REVOKE INSERT ON events, jobs FROM hookgate_management;
REVOKE UPDATE (event_id) ON refusals FROM hookgate_management;
ALTER TABLE events DROP COLUMN refusal_id;
ALTER TABLE refusals DROP COLUMN request, DROP COLUMN event_id;

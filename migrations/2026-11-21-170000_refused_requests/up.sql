-- Refused requests are kept whole, sealed, so that they can be judged again when what was wrong is set right, and taken
-- after all.

-- `request` is sealed with the master key and bound to the row; NULL when it was not kept. It does not compress.
ALTER TABLE refusals ADD COLUMN request bytea, ADD COLUMN event_id uuid;
ALTER TABLE refusals ALTER COLUMN request SET STORAGE EXTERNAL;
-- The refusal that an event was.
ALTER TABLE events ADD COLUMN refusal_id uuid;

-- Taking a refused request after all is an event and its job, in the tenant's scope, at most once.
GRANT UPDATE (event_id) ON refusals TO hookgate_management;
GRANT INSERT ON events, jobs TO hookgate_management;
GRANT INSERT, UPDATE (events, body_bytes) ON usage TO hookgate_management;
GRANT EXECUTE ON FUNCTION ensure_partitions(date) TO hookgate_management;
-- Maintenance lets go of requests past a webhook's bytes.
GRANT UPDATE (request) ON refusals TO hookgate_worker;

DROP FUNCTION delete_older(text, uuid, uuid, timestamptz, integer);
REVOKE SELECT (limits) ON plans FROM hookgate_worker;
REVOKE SELECT (limits) ON tenants FROM hookgate_worker;
ALTER TABLE tenants DROP COLUMN retention_days;

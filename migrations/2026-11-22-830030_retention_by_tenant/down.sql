DROP FUNCTION delete_older(text, uuid, uuid, timestamptz, integer);
REVOKE SELECT (limits) ON plans FROM hookgate_worker;
REVOKE SELECT (limits) ON tenants FROM hookgate_worker;
ALTER TABLE tenants DROP COLUMN retention_days;
-- The version before cannot read limits that it does not know.
DO $$
DECLARE
  tenant uuid;
BEGIN
  FOR tenant IN SELECT id FROM tenants LOOP
    PERFORM set_config('hookgate.tenant_id', tenant::text, true);
    UPDATE tenants SET limits = limits - 'retention_days' WHERE id = tenant AND limits ? 'retention_days';
  END LOOP;
END $$;

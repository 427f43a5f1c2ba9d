DROP FUNCTION erase_tenant(uuid, integer);
DROP POLICY erasure ON memberships;
ALTER TABLE tenants DROP COLUMN delete_at;

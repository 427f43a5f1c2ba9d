DROP TRIGGER derive_status ON tenants;
DROP FUNCTION derive_tenant_status();
ALTER TABLE tenants
  DROP COLUMN suspended_at,
  DROP COLUMN suspension_reason;

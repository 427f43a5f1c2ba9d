DROP TRIGGER operators_audit ON totp_secrets;
DROP TRIGGER operators_audit ON tenants;
DROP TRIGGER operators_audit ON plans;
DROP FUNCTION operators_audit();
DROP TABLE operators_audit_log;

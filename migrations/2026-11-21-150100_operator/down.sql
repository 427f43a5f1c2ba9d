DROP POLICY claim ON tenants;
REVOKE SELECT (id, status) ON tenants FROM hookgate_worker;
GRANT SELECT ON tenants TO hookgate_worker;

DROP POLICY operator ON tenants;

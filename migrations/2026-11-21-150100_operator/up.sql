-- The operator looks at all tenants, and workers leave the work of suspended ones alone.

CREATE POLICY operator ON tenants FOR SELECT TO CURRENT_USER USING (true);

-- Workers claim over all tenants; of these they see no more than whether they are suspended.
REVOKE SELECT ON tenants FROM hookgate_worker;
GRANT SELECT (id, status) ON tenants TO hookgate_worker;
CREATE POLICY claim ON tenants FOR SELECT TO hookgate_worker USING (true);

REVOKE SELECT ON __diesel_schema_migrations FROM hookgate_ingress, hookgate_management, hookgate_worker;

-- `hookgate doctor` compares a service's database with its program, as that service's role.
GRANT SELECT ON __diesel_schema_migrations TO hookgate_ingress, hookgate_management, hookgate_worker;

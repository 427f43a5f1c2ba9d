-- What the operator reads of a tenant's usage.
GRANT SELECT ON outcomes TO hookgate_admin;

-- Whoever ends all logins of a person locks the person meanwhile. PostgreSQL lets those lock a row who may change any of its columns.
GRANT UPDATE (created_at) ON users TO hookgate_admin;

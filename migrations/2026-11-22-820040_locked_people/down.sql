REVOKE UPDATE (created_at) ON users FROM hookgate_admin;

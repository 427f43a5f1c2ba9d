ALTER TABLE login_sessions DROP COLUMN network, DROP COLUMN user_agent, DROP COLUMN last_used_at;
ALTER TABLE users DROP COLUMN email_verified_at;
DROP TABLE mailed_tokens;

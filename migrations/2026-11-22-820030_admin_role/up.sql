-- The role of `/admin/v1`: it finds tenants and decides what they may use and whether, and sees nothing of what they configure and
-- receive.
DO $$
BEGIN
  CREATE ROLE hookgate_admin LOGIN NOINHERIT;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL;
END $$;
GRANT USAGE ON SCHEMA public TO hookgate_admin;
GRANT SELECT ON __diesel_schema_migrations TO hookgate_admin;

-- All tenants are listed, and found by the address of a member. A change is made in the scope of its tenant, like anybody's.
CREATE POLICY administer ON tenants FOR SELECT TO hookgate_admin USING (true);
CREATE POLICY administer ON memberships FOR SELECT TO hookgate_admin USING (true);
GRANT SELECT ON tenants, memberships, usage TO hookgate_admin;
GRANT UPDATE (plan_id, limits, suspended_at, suspension_reason, delete_at, version, updated_at) ON tenants TO hookgate_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON plans TO hookgate_admin;
-- How many webhooks a tenant has, and nothing else of them.
GRANT SELECT (tenant_id) ON webhooks TO hookgate_admin;

-- A person who has lost their second factor is helped: it is taken away, their logins end, and a mail tells them.
GRANT SELECT (id, email, name, created_at, email_verified_at) ON users TO hookgate_admin;
GRANT SELECT (user_id, confirmed_at), DELETE ON totp_secrets TO hookgate_admin;
GRANT SELECT (id, user_id, expires_at, revoked_at), UPDATE (revoked_at) ON login_sessions TO hookgate_admin;
GRANT INSERT ON mails TO hookgate_admin;

CREATE OR REPLACE FUNCTION is_resealing() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
  RETURN coalesce(current_setting('hookgate.resealing', true), '') = 'on'
    AND session_user NOT IN ('hookgate_ingress', 'hookgate_management', 'hookgate_worker', 'hookgate_admin');

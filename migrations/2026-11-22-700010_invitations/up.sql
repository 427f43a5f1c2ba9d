-- People are invited into a tenant by their address. Of the token only the digest is kept; an invitation that was accepted
-- or taken back is gone, and the audit log has it.
CREATE TABLE invitations (
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  id uuid NOT NULL,
  email text NOT NULL CONSTRAINT invitations_email_is_lower_case CHECK (email = lower(email)),
  role text NOT NULL CONSTRAINT invitations_role_known CHECK (role IN ('owner', 'admin', 'editor', 'viewer')),
  digest bytea NOT NULL,
  invited_by uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT invitations_email_key UNIQUE (tenant_id, email),
  CONSTRAINT invitations_digest_key UNIQUE (digest)
);

ALTER TABLE invitations ENABLE ROW LEVEL SECURITY;
ALTER TABLE invitations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON invitations USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
-- Who presents an invitation opens its own row, before the tenant is known.
CREATE POLICY presented ON invitations FOR SELECT TO hookgate_management USING (digest = current_key_digest());
CREATE POLICY maintenance ON invitations FOR ALL TO hookgate_worker USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON invitations TO hookgate_management;
GRANT SELECT (expires_at), DELETE ON invitations TO hookgate_worker;

CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON invitations
  FOR EACH ROW EXECUTE FUNCTION audit('invitation', 'id', 'digest');

-- Whoever leaves a tenant, or is taken out of it, has no login for it any more.
CREATE INDEX login_sessions_tenant ON login_sessions (tenant_id, user_id);

-- A change of a role can be based on the one that was read.
ALTER TABLE memberships ADD COLUMN version bigint NOT NULL DEFAULT 1;

-- Tokens that are mailed to people, kept as digests, each for one purpose and one use.
CREATE TABLE mailed_tokens (
  digest bytea PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  purpose text NOT NULL CONSTRAINT mailed_tokens_purpose_known CHECK (purpose IN ('verify_email', 'reset_password')),
  -- The address that it was mailed to; of a change of address, the new one.
  email text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL
);
CREATE INDEX mailed_tokens_user ON mailed_tokens (user_id);
GRANT SELECT, INSERT, DELETE ON mailed_tokens TO hookgate_management;
GRANT SELECT (expires_at), DELETE ON mailed_tokens TO hookgate_worker;

ALTER TABLE users ADD COLUMN email_verified_at timestamptz;

-- What a person recognises a login by: the network (the /24 of IPv4, the /48 of IPv6), the program, and when it was used, to the
-- minute.
ALTER TABLE login_sessions
  ADD COLUMN network cidr,
  ADD COLUMN user_agent text,
  ADD COLUMN last_used_at timestamptz NOT NULL DEFAULT now();

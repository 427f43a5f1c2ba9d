-- The second factor of people who want one. The secret is sealed; `last_step` is that of the last code used, so that each works once.
CREATE TABLE totp_secrets (
  user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  secret bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  confirmed_at timestamptz,
  last_step bigint NOT NULL DEFAULT 0
);
CREATE TABLE recovery_codes (
  user_id uuid NOT NULL REFERENCES totp_secrets (user_id) ON DELETE CASCADE,
  digest bytea NOT NULL,
  PRIMARY KEY (user_id, digest)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON totp_secrets TO hookgate_management;
GRANT SELECT, INSERT, DELETE ON recovery_codes TO hookgate_management;

REVOKE SELECT (tenant_id, id, value) ON secrets FROM hookgate_worker;

ALTER TABLE destinations
  DROP COLUMN authentication,
  DROP COLUMN client_certificate,
  DROP COLUMN public_key,
  DROP COLUMN previous_signing_secret,
  DROP COLUMN previous_secret_expires_at;

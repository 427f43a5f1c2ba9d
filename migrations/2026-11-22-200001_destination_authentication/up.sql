-- What is presented to a destination, and the signing secret that still counts for a while after a rotation.

ALTER TABLE destinations
  ADD COLUMN authentication jsonb NOT NULL DEFAULT '{"kind": "none"}',
  ADD COLUMN client_certificate jsonb,
  ADD COLUMN public_key text,
  ADD COLUMN previous_signing_secret bytea,
  ADD COLUMN previous_secret_expires_at timestamptz;

-- The worker reads what the authentication of a destination names, in the scope of its tenant.
GRANT SELECT (tenant_id, id, value) ON secrets TO hookgate_worker;

-- Mails that are to be sent. They are people's, not a tenant's; what they say is sealed.
CREATE TABLE mails (
  id uuid PRIMARY KEY,
  recipient text NOT NULL,
  letter bytea NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  due_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX mails_due ON mails (due_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON mails TO hookgate_management;

-- Whoever accepts an invitation that was mailed has shown that the address is theirs.
ALTER TABLE invitations ADD COLUMN is_mailed boolean NOT NULL DEFAULT false;

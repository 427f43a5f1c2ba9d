-- Samples of a webhook's requests, and the windows in which requests become samples.

-- The latest window of a webhook. It is open until its time is over or something ended it before. `taken` counts the samples
-- of all its windows, so that they are numbered in the order of their commits.
CREATE TABLE captures (
  tenant_id uuid NOT NULL,
  webhook_id uuid NOT NULL,
  -- NULL: all of the webhook's URLs.
  url_id uuid,
  opened_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  ended_at timestamptz,
  ended_by text,
  taken bigint NOT NULL DEFAULT 0,
  taken_before bigint NOT NULL DEFAULT 0,
  -- The most samples that the window takes, and what the webhook may have in all.
  most integer NOT NULL,
  most_samples integer NOT NULL,
  most_bytes bigint NOT NULL,
  PRIMARY KEY (tenant_id, webhook_id),
  CONSTRAINT captures_webhook_fkey FOREIGN KEY (tenant_id, webhook_id) REFERENCES webhooks (tenant_id, id) ON DELETE CASCADE
) WITH (fillfactor = 70);

ALTER TABLE captures ENABLE ROW LEVEL SECURITY;
ALTER TABLE captures FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON captures USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY routing ON captures FOR SELECT TO hookgate_ingress USING (true);
GRANT SELECT, INSERT, UPDATE ON captures TO hookgate_management;
GRANT SELECT, UPDATE (taken, ended_at, ended_by) ON captures TO hookgate_ingress;

CREATE TABLE samples (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  webhook_id uuid NOT NULL,
  -- What it was taken from: `captured`, `event`, `request`, `json` or `pairs`.
  source text NOT NULL,
  url_id uuid,
  event_id uuid,
  -- Its number among those that were captured.
  number bigint,
  environment text NOT NULL,
  method text NOT NULL,
  suffix text NOT NULL,
  path text NOT NULL,
  query text NOT NULL,
  address inet,
  headers bytea NOT NULL,
  body_codec smallint NOT NULL,
  body_bytes integer NOT NULL,
  body bytea NOT NULL,
  masked jsonb,
  -- What it takes of the webhook's room.
  stored_bytes integer NOT NULL,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT samples_webhook_fkey FOREIGN KEY (tenant_id, webhook_id) REFERENCES webhooks (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX samples_of_webhook ON samples (tenant_id, webhook_id, id);

ALTER TABLE samples ENABLE ROW LEVEL SECURITY;
ALTER TABLE samples FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON samples USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
-- Maintenance deletes what senders sent when events of that time are deleted.
CREATE POLICY maintenance ON samples FOR ALL TO hookgate_worker USING (true);
GRANT SELECT, INSERT, DELETE ON samples TO hookgate_management;
-- The ingress adds samples and counts them; it cannot read them back.
GRANT INSERT, SELECT (tenant_id, webhook_id, stored_bytes) ON samples TO hookgate_ingress;
GRANT SELECT (tenant_id, id, source), DELETE ON samples TO hookgate_worker;

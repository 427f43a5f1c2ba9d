-- Sessions: state that a webhook's flow keeps between events of one key. Their events run one at a time, in their order.

CREATE TABLE sessions (
  tenant_id uuid NOT NULL,
  -- Made from the webhook and the key, so that an ingress knows it without asking.
  id uuid NOT NULL,
  webhook_id uuid NOT NULL,
  key text NOT NULL,
  -- `json` keeps the order of its keys.
  state json NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT sessions_webhook_fkey FOREIGN KEY (tenant_id, webhook_id) REFERENCES webhooks (tenant_id, id) ON DELETE CASCADE
) WITH (fillfactor = 80);
CREATE INDEX sessions_webhook ON sessions (tenant_id, webhook_id, id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sessions USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY maintenance ON sessions FOR ALL TO hookgate_worker USING (true);
GRANT SELECT, DELETE ON sessions TO hookgate_management;
GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO hookgate_worker;

-- `is_queued`: a claim has seen that another job of its session comes first. It is not looked at again until that one is over.
ALTER TABLE jobs ADD COLUMN session_id uuid, ADD COLUMN is_queued boolean NOT NULL DEFAULT false;
DROP INDEX jobs_due;
CREATE INDEX jobs_due ON jobs (tenant_id, is_retry, greatest(due_at, leased_until)) WHERE NOT is_held AND NOT is_queued;
CREATE INDEX jobs_session ON jobs (tenant_id, session_id, id) WHERE session_id IS NOT NULL;
-- One at a time, whatever a claim has seen.
CREATE UNIQUE INDEX jobs_session_running ON jobs (tenant_id, session_id) WHERE session_id IS NOT NULL AND leased_until IS NOT NULL;

-- Calls that runs left behind and that did not arrive, with the sealed request, so that each can be made again alone. What
-- holds unmasked data of an event that is stored masked is not kept.

CREATE TABLE failed_callbacks (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  webhook_id uuid NOT NULL,
  revision_id uuid NOT NULL,
  event_id uuid NOT NULL,
  state bytea NOT NULL,
  failed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX failed_callbacks_age ON failed_callbacks (failed_at);
CREATE INDEX failed_callbacks_webhook ON failed_callbacks (tenant_id, webhook_id);

ALTER TABLE failed_callbacks ENABLE ROW LEVEL SECURITY;
ALTER TABLE failed_callbacks FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON failed_callbacks USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY maintenance ON failed_callbacks FOR ALL TO hookgate_worker USING (true);
GRANT SELECT, DELETE ON failed_callbacks TO hookgate_management;
GRANT SELECT, INSERT, DELETE ON failed_callbacks TO hookgate_worker;

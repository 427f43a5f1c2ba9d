-- What tenants and operators limit, and what is counted towards the limits of a month.

-- Absent keys: no limit (webhooks, URLs), or the operator's default (tenants). The documents are those of
-- `model/src/limits.rs`.
ALTER TABLE tenants ADD COLUMN limits jsonb NOT NULL DEFAULT '{}';
ALTER TABLE webhooks ADD COLUMN limits jsonb NOT NULL DEFAULT '{}';
ALTER TABLE urls ADD COLUMN limits jsonb NOT NULL DEFAULT '{}';

-- Accepted events and the bytes of their bodies, by day (UTC) and webhook. Nodes gather for some seconds and add; what a
-- webhook received stays when it is deleted.
CREATE TABLE usage (
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  day date NOT NULL,
  webhook_id uuid NOT NULL,
  events bigint NOT NULL DEFAULT 0,
  body_bytes bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, day, webhook_id)
) WITH (fillfactor = 70);

ALTER TABLE usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON usage USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
-- A node adds the counts of many tenants in one statement, and reads what a quota has left.
CREATE POLICY count ON usage TO hookgate_ingress USING (true) WITH CHECK (true);
CREATE POLICY maintenance ON usage FOR ALL TO hookgate_worker USING (true);

GRANT SELECT, INSERT ON usage TO hookgate_ingress;
GRANT UPDATE (events, body_bytes) ON usage TO hookgate_ingress;
GRANT SELECT ON usage TO hookgate_management;
GRANT SELECT (day), DELETE ON usage TO hookgate_worker;

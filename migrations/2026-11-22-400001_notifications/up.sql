-- Where a tenant is told of what went wrong, and how many times it was told in the running minute.

CREATE TABLE notification_settings (
  tenant_id uuid PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
  destination_id uuid NOT NULL,
  kinds text[] NOT NULL,
  window_started_at timestamptz NOT NULL DEFAULT now(),
  sent integer NOT NULL DEFAULT 0,
  suppressed bigint NOT NULL DEFAULT 0,
  version bigint NOT NULL DEFAULT 1,
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT notification_settings_destination_fkey FOREIGN KEY (tenant_id, destination_id)
    REFERENCES destinations (tenant_id, id)
);

ALTER TABLE notification_settings ENABLE ROW LEVEL SECURITY;
ALTER TABLE notification_settings FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON notification_settings USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
GRANT SELECT, INSERT, UPDATE, DELETE ON notification_settings TO hookgate_management;
-- Workers make the notifications, and count them.
GRANT SELECT, UPDATE (window_started_at, sent, suppressed) ON notification_settings TO hookgate_worker;

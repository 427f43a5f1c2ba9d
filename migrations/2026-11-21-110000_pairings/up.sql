-- Handshakes of a webhook's own, and the windows in which it takes the secret that its sender brings.

-- What the sender asks before it sends; NULL: what is known of the sender in `authentication`.
ALTER TABLE webhooks ADD COLUMN handshake jsonb;

-- The latest pairing of a webhook. It is open until it has a secret or its time is over.
CREATE TABLE pairings (
  tenant_id uuid NOT NULL,
  webhook_id uuid NOT NULL,
  sender text NOT NULL,
  opened_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  completed_at timestamptz,
  secret_id uuid,
  revealed_at timestamptz,
  PRIMARY KEY (tenant_id, webhook_id),
  CONSTRAINT pairings_webhook_fkey FOREIGN KEY (tenant_id, webhook_id) REFERENCES webhooks (tenant_id, id) ON DELETE CASCADE
);

ALTER TABLE pairings ENABLE ROW LEVEL SECURITY;
ALTER TABLE pairings FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON pairings USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY routing ON pairings FOR SELECT TO hookgate_ingress USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pairings TO hookgate_management;
GRANT SELECT (tenant_id, webhook_id, expires_at, completed_at) ON pairings TO hookgate_ingress;

-- Installs the secret that a request brought, if the webhook is open for pairing with the sender that it still has: makes the
-- secret, names it in the authentication, and closes the pairing. This is all that the ingress can do to a configuration. The
-- lock on the webhook lets the first of several requests win.
CREATE FUNCTION complete_pairing(webhook uuid, secret uuid, secret_text text, secret_name text, sealed bytea, most integer)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  tenant uuid := public.current_tenant();
  settings jsonb;
BEGIN
  SELECT authentication INTO settings FROM public.webhooks
    WHERE tenant_id = tenant AND id = webhook FOR NO KEY UPDATE;
  UPDATE public.pairings SET completed_at = clock_timestamp(), secret_id = secret
    WHERE tenant_id = tenant AND webhook_id = webhook AND completed_at IS NULL AND expires_at > clock_timestamp()
      AND settings ->> 'kind' = 'sender' AND settings ->> 'sender' = sender
      AND jsonb_array_length(coalesce(settings -> 'secrets', '[]')) < most;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  INSERT INTO public.secrets (tenant_id, id, name, value) VALUES (tenant, secret, secret_name, sealed);
  UPDATE public.webhooks
    SET authentication = jsonb_set(settings, '{secrets}', coalesce(settings -> 'secrets', '[]') || to_jsonb(secret_text)),
      version = version + 1, updated_at = clock_timestamp()
    WHERE tenant_id = tenant AND id = webhook;
  RETURN true;
END $$;

REVOKE EXECUTE ON FUNCTION complete_pairing(uuid, uuid, text, text, bytea, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION complete_pairing(uuid, uuid, text, text, bytea, integer) TO hookgate_ingress;

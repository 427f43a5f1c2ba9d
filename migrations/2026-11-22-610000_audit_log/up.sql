-- Who changed what of a tenant's configuration. Triggers write it in the transaction of the change, so that no change is
-- without its entry and no entry without its change; nobody can change an entry.
CREATE TABLE audit_log (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  -- The id of a user or a management key, `operator`, or null for the system itself.
  actor text,
  address inet,
  trace_id text,
  action text NOT NULL,
  object_kind text NOT NULL,
  object_id uuid NOT NULL,
  -- The whole row that was made or deleted; of a change, the columns that differ. Secrets are `[secret]`.
  before jsonb,
  after jsonb,
  PRIMARY KEY (tenant_id, id)
);
-- For deleting what is old, over all tenants.
CREATE INDEX audit_log_id ON audit_log (id);
CREATE INDEX audit_log_object ON audit_log (tenant_id, object_id, id);

ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_log FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_log USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
-- The trigger runs as the owner, for any tenant; maintenance deletes what is old.
CREATE POLICY append ON audit_log FOR INSERT TO CURRENT_USER WITH CHECK (true);
CREATE POLICY maintenance ON audit_log FOR ALL TO hookgate_worker USING (true);
GRANT SELECT ON audit_log TO hookgate_management;
GRANT SELECT (tenant_id, id), DELETE ON audit_log TO hookgate_worker;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit log is append-only';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE ON audit_log FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Arguments: the kind of object, the column of its id, the columns that are secret.
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  old_row jsonb;
  new_row jsonb;
  either jsonb;
  secret text;
  place integer;
BEGIN
  IF TG_TABLE_NAME = 'revisions' THEN
    -- Without the document: it never changes, can be long, and can hold what jsonb does not take.
    IF TG_OP <> 'INSERT' THEN
      SELECT to_jsonb(r) INTO old_row FROM (SELECT OLD.tenant_id, OLD.id, OLD.webhook_id, OLD.number, OLD.created_at,
        OLD.created_by, OLD.published_at) r;
    END IF;
    IF TG_OP <> 'DELETE' THEN
      SELECT to_jsonb(r) INTO new_row FROM (SELECT NEW.tenant_id, NEW.id, NEW.webhook_id, NEW.number, NEW.created_at,
        NEW.created_by, NEW.published_at) r;
    END IF;
  ELSE
    IF TG_OP <> 'INSERT' THEN
      old_row := to_jsonb(OLD);
    END IF;
    IF TG_OP <> 'DELETE' THEN
      new_row := to_jsonb(NEW);
    END IF;
  END IF;
  either := coalesce(new_row, old_row);
  FOR place IN 2 .. TG_NARGS - 1 LOOP
    secret := TG_ARGV[place];
    IF old_row ->> secret IS DISTINCT FROM new_row ->> secret AND TG_OP = 'UPDATE' THEN
      new_row := new_row || jsonb_build_object(secret, '[changed]');
    ELSIF new_row ->> secret IS NOT NULL THEN
      new_row := new_row || jsonb_build_object(secret, '[secret]');
    END IF;
    IF old_row ->> secret IS NOT NULL THEN
      old_row := old_row || jsonb_build_object(secret, '[secret]');
    END IF;
  END LOOP;
  IF TG_OP = 'UPDATE' THEN
    SELECT jsonb_object_agg(key, old_row -> key), jsonb_object_agg(key, value) INTO old_row, new_row
      FROM jsonb_each(new_row)
      WHERE value IS DISTINCT FROM old_row -> key AND key NOT IN ('version', 'updated_at', 'last_used_at');
    IF new_row IS NULL THEN
      RETURN NULL;
    END IF;
  END IF;
  INSERT INTO public.audit_log (tenant_id, id, actor, address, trace_id, action, object_kind, object_id, before, after)
  VALUES (
    CASE WHEN TG_TABLE_NAME = 'tenants' THEN (either ->> 'id')::uuid ELSE (either ->> 'tenant_id')::uuid END,
    -- A UUIDv7: the milliseconds, then random bits with the version and the variant.
    encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
      PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1),
      'hex')::uuid,
    nullif(current_setting('hookgate.actor', true), ''),
    nullif(current_setting('hookgate.address', true), '')::inet,
    nullif(current_setting('hookgate.trace_id', true), ''),
    CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END,
    TG_ARGV[0],
    (either ->> TG_ARGV[1])::uuid,
    old_row - 'tenant_id',
    new_row - 'tenant_id'
  );
  RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION audit() FROM PUBLIC;

CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON tenants FOR EACH ROW EXECUTE FUNCTION audit('tenant', 'id');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON memberships FOR EACH ROW EXECUTE FUNCTION audit('membership', 'user_id');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OF name, scopes, digest, expires_at, revoked_at OR DELETE ON management_keys
  FOR EACH ROW EXECUTE FUNCTION audit('management_key', 'id', 'digest');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON webhooks FOR EACH ROW EXECUTE FUNCTION audit('webhook', 'id');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON revisions FOR EACH ROW EXECUTE FUNCTION audit('revision', 'id');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON urls FOR EACH ROW EXECUTE FUNCTION audit('url', 'id');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON url_tokens FOR EACH ROW EXECUTE FUNCTION audit('url_token', 'url_id', 'token');
-- Not of last_used_at, which an ingress notes while requests come in.
CREATE TRIGGER audit AFTER INSERT OR UPDATE OF name, digest, expires_at, revoked_at OR DELETE ON api_keys
  FOR EACH ROW EXECUTE FUNCTION audit('api_key', 'id', 'digest');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON allowlists FOR EACH ROW EXECUTE FUNCTION audit('allowlist', 'id');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON allowlist_entries FOR EACH ROW EXECUTE FUNCTION audit('allowlist_entry', 'id');
CREATE TRIGGER audit AFTER INSERT OR DELETE ON webhook_allowlists FOR EACH ROW EXECUTE FUNCTION audit('webhook_allowlist', 'allowlist_id');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON destinations
  FOR EACH ROW EXECUTE FUNCTION audit('destination', 'id', 'signing_secret', 'previous_signing_secret');
CREATE TRIGGER audit AFTER INSERT OR DELETE ON destination_pauses FOR EACH ROW EXECUTE FUNCTION audit('destination_pause', 'destination_id');
-- Not of the counters, which workers keep there.
CREATE TRIGGER audit AFTER INSERT OR UPDATE OF destination_id, kinds OR DELETE ON notification_settings
  FOR EACH ROW EXECUTE FUNCTION audit('notification_settings', 'tenant_id');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON secrets FOR EACH ROW EXECUTE FUNCTION audit('secret', 'id', 'value');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON collections FOR EACH ROW EXECUTE FUNCTION audit('collection', 'id');
CREATE TRIGGER audit AFTER INSERT OR DELETE ON replays FOR EACH ROW EXECUTE FUNCTION audit('replay', 'id');
CREATE TRIGGER audit AFTER INSERT OR DELETE ON public_api_links FOR EACH ROW EXECUTE FUNCTION audit('public_api_link', 'id', 'digest');

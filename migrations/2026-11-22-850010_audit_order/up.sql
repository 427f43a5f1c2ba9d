-- Entries of the audit log stand in the order in which they were written, not those of one millisecond in any.

-- A UUIDv7 (RFC 9562, section 6.2, method 3): the milliseconds, the microseconds as the fraction of one that they are, then random
-- bits. Each of a transaction is later than the one before, whatever the clock says.
CREATE FUNCTION next_audit_id() RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  before bigint := nullif(current_setting('hookgate.audited_at', true), '');
  now bigint := greatest((extract(epoch FROM clock_timestamp()) * 1000000)::bigint, before + 1);
BEGIN
  PERFORM set_config('hookgate.audited_at', now::text, true);
  RETURN encode(
    substring(int8send(now / 1000) FROM 3)
    || int2send((x'7000'::integer + now % 1000 * 4096 / 1000)::smallint)
    || substring(uuid_send(gen_random_uuid()) FROM 9), 'hex')::uuid;
END $$;
REVOKE EXECUTE ON FUNCTION next_audit_id() FROM PUBLIC;

-- Arguments: the kind of object, the column of its id, the columns that are secret.
CREATE OR REPLACE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
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
    public.next_audit_id(),
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

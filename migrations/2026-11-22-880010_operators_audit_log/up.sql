-- What the operator changed: plans, which are no tenant's, second factors that were lost, and of tenants what the operator decides, which
-- stands in the tenant's audit log, too, and here also when the tenant is erased. Written and kept like a tenant's audit log.
CREATE TABLE operators_audit_log (
  id uuid PRIMARY KEY,
  -- A token of the operator's API by the beginning of its digest (`token_3f9a1c22`), `operator` for the command line, or null for
  -- whoever changed the table itself.
  actor text,
  address inet,
  trace_id text,
  action text NOT NULL,
  object_kind text NOT NULL,
  object_id uuid NOT NULL,
  -- The row that was made or deleted; of a change, the columns that differ.
  before jsonb,
  after jsonb
);
CREATE INDEX operators_audit_log_object ON operators_audit_log (object_id, id);
CREATE TRIGGER append_only BEFORE UPDATE ON operators_audit_log FOR EACH ROW EXECUTE FUNCTION refuse_change();
GRANT SELECT ON operators_audit_log TO hookgate_admin;
GRANT SELECT (id), DELETE ON operators_audit_log TO hookgate_worker;

-- Arguments: the kind of object, the column of its id, the columns that are left out.
CREATE FUNCTION operators_audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  old_row jsonb;
  new_row jsonb;
  object uuid;
BEGIN
  IF TG_OP <> 'INSERT' THEN
    old_row := to_jsonb(OLD) - TG_ARGV[2:];
  END IF;
  IF TG_OP <> 'DELETE' THEN
    new_row := to_jsonb(NEW) - TG_ARGV[2:];
  END IF;
  object := coalesce(new_row, old_row) ->> TG_ARGV[1];
  IF TG_OP = 'UPDATE' THEN
    SELECT jsonb_object_agg(key, old_row -> key), jsonb_object_agg(key, value) INTO old_row, new_row
      FROM jsonb_each(new_row) WHERE value IS DISTINCT FROM old_row -> key AND key NOT IN ('version', 'updated_at');
    IF new_row IS NULL THEN
      RETURN NULL;
    END IF;
  END IF;
  INSERT INTO public.operators_audit_log (id, actor, address, trace_id, action, object_kind, object_id, before, after)
  VALUES (
    public.next_audit_id(),
    coalesce(nullif(current_setting('hookgate.credential', true), ''), nullif(current_setting('hookgate.actor', true), '')),
    nullif(current_setting('hookgate.address', true), '')::inet,
    nullif(current_setting('hookgate.trace_id', true), ''),
    CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END,
    TG_ARGV[0],
    object,
    old_row,
    new_row
  );
  RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION operators_audit() FROM PUBLIC;

CREATE TRIGGER operators_audit AFTER INSERT OR UPDATE OR DELETE ON plans
  FOR EACH ROW EXECUTE FUNCTION operators_audit('plan', 'id');
CREATE TRIGGER operators_audit AFTER UPDATE ON tenants FOR EACH ROW WHEN (current_setting('hookgate.actor', true) = 'operator')
  EXECUTE FUNCTION operators_audit('tenant', 'id');
CREATE TRIGGER operators_audit AFTER DELETE ON totp_secrets FOR EACH ROW WHEN (current_setting('hookgate.actor', true) = 'operator')
  EXECUTE FUNCTION operators_audit('second_factor', 'user_id', 'secret', 'last_step');

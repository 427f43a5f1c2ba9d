-- A tenant that its owner deletes is suspended until the moment at which it is erased; until then an owner can restore it.
ALTER TABLE tenants
  ADD COLUMN delete_at timestamptz,
  ADD CONSTRAINT tenants_deleted_are_suspended CHECK (delete_at IS NULL OR status = 'suspended');
CREATE INDEX tenants_delete_at ON tenants (delete_at) WHERE delete_at IS NOT NULL;
GRANT SELECT (delete_at) ON tenants TO hookgate_worker;
-- Erasing has to know whether a member is in another tenant, too.
CREATE POLICY erasure ON memberships FOR SELECT TO CURRENT_USER USING (true);

-- Deletes rows of a tenant whose time has come, about so many at a time; 0 when the tenant itself is gone. It goes through every
-- table that has a tenant, so none can be forgotten, with those first that others refer to by none. Row-level security shows it this
-- tenant alone, as it shows everybody.
CREATE FUNCTION erase_tenant(tenant uuid, most integer) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  leaf record;
  person uuid;
  deleted bigint;
BEGIN
  PERFORM set_config('hookgate.tenant_id', tenant::text, true);
  IF NOT EXISTS (SELECT FROM public.tenants WHERE id = tenant AND delete_at <= now()) THEN
    RETURN 0;
  END IF;
  FOR leaf IN
    SELECT c.relname AS name, string_agg(format('t.%1$I = old.%1$I', k.attname), ' AND ') AS same, string_agg(quote_ident(k.attname), ', ') AS key
      FROM pg_class c
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
      JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
      JOIN pg_attribute k ON k.attrelid = c.oid AND k.attnum = ANY (i.indkey)
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'memberships'
    GROUP BY c.relname
    ORDER BY array_position(ARRAY['urls', 'webhooks', 'allowlists', 'destinations', 'collections', 'audit_log']::name[], c.relname) NULLS FIRST, c.relname
  LOOP
    EXECUTE format('DELETE FROM public.%1$I t USING (SELECT %2$s FROM public.%1$I WHERE tenant_id = $1 LIMIT $2) old WHERE t.tenant_id = $1 AND %3$s',
      leaf.name, leaf.key, leaf.same) USING tenant, most;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    IF deleted > 0 THEN
      RETURN deleted;
    END IF;
  END LOOP;
  -- An account ends with its last tenant. The lock lets nobody add or take another membership of the person meanwhile.
  FOR person IN SELECT user_id FROM public.memberships WHERE tenant_id = tenant LOOP
    PERFORM FROM public.users WHERE id = person FOR UPDATE;
    IF NOT EXISTS (SELECT FROM public.memberships WHERE user_id = person AND tenant_id <> tenant) THEN
      DELETE FROM public.users WHERE id = person;
    END IF;
  END LOOP;
  DELETE FROM public.tenants WHERE id = tenant;
  -- What these last steps have put on record.
  DELETE FROM public.audit_log WHERE tenant_id = tenant;
  RETURN 0;
END $$;
REVOKE EXECUTE ON FUNCTION erase_tenant(uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_tenant(uuid, integer) TO hookgate_worker;

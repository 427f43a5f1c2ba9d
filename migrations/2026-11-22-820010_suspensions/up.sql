-- That the operator has suspended a tenant and that an owner has deleted it are two facts, which come and go apart. `status`, which
-- claims and routing look at, follows from them: a tenant is active when neither holds.
ALTER TABLE tenants
  ADD COLUMN suspended_at timestamptz,
  ADD COLUMN suspension_reason text NOT NULL DEFAULT '';

-- A process of the version before knows the status alone. What it sets without touching the deletion is a suspension, or its end; what
-- it sets with the deletion says nothing of a suspension.
CREATE FUNCTION derive_tenant_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.status <> OLD.status
      AND NEW.suspended_at IS NOT DISTINCT FROM OLD.suspended_at AND NEW.delete_at IS NOT DISTINCT FROM OLD.delete_at THEN
    NEW.suspended_at := CASE WHEN NEW.status = 'suspended' THEN now() END;
  END IF;
  IF NEW.suspended_at IS NULL THEN
    NEW.suspension_reason := '';
  END IF;
  NEW.status := CASE WHEN NEW.suspended_at IS NULL AND NEW.delete_at IS NULL THEN 'active' ELSE 'suspended' END;
  RETURN NEW;
END $$;

-- Row-level security holds the owner back, too: tenant by tenant.
DO $$
DECLARE
  suspended uuid;
BEGIN
  PERFORM set_config('hookgate.actor', 'operator', true);
  FOR suspended IN SELECT id FROM tenants WHERE status = 'suspended' AND delete_at IS NULL LOOP
    PERFORM set_config('hookgate.tenant_id', suspended::text, true);
    UPDATE tenants SET suspended_at = updated_at WHERE id = suspended;
  END LOOP;
  PERFORM set_config('hookgate.actor', '', true), set_config('hookgate.tenant_id', '', true);
END $$;

CREATE TRIGGER derive_status BEFORE INSERT OR UPDATE ON tenants FOR EACH ROW EXECUTE FUNCTION derive_tenant_status();

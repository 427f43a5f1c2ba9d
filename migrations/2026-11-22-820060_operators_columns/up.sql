-- What the operator decides about a tenant is not for the service to change that the tenant itself uses: neither by a fault of that
-- service nor in its name. (The commands of the operator, and what serves `/admin/v1`, log in as others.)
CREATE OR REPLACE FUNCTION derive_tenant_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND session_user = 'hookgate_management' THEN
    IF (NEW.plan_id, NEW.limits, NEW.suspended_at, NEW.suspension_reason)
        IS DISTINCT FROM (OLD.plan_id, OLD.limits, OLD.suspended_at, OLD.suspension_reason) THEN
      RAISE EXCEPTION 'only the operator changes plan, limits and suspension of a tenant';
    END IF;
  ELSIF TG_OP = 'UPDATE' AND NEW.status <> OLD.status
      AND NEW.suspended_at IS NOT DISTINCT FROM OLD.suspended_at AND NEW.delete_at IS NOT DISTINCT FROM OLD.delete_at THEN
    NEW.suspended_at := CASE WHEN NEW.status = 'suspended' THEN now() END;
  END IF;
  IF NEW.suspended_at IS NULL THEN
    NEW.suspension_reason := '';
  END IF;
  NEW.status := CASE WHEN NEW.suspended_at IS NULL AND NEW.delete_at IS NULL THEN 'active' ELSE 'suspended' END;
  RETURN NEW;
END $$;

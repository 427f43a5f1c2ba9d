CREATE OR REPLACE FUNCTION derive_tenant_status() RETURNS trigger LANGUAGE plpgsql AS $$
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

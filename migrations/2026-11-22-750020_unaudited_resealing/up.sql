-- Sealing a secret anew under another master key is no change of it: `hookgate master-key reseal`, which works as the owner,
-- leaves no entry in tenants' audit logs. The services' roles cannot claim to do that.
CREATE FUNCTION is_resealing() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
  RETURN coalesce(current_setting('hookgate.resealing', true), '') = 'on'
    AND session_user NOT IN ('hookgate_ingress', 'hookgate_management', 'hookgate_worker');

DROP TRIGGER audit ON secrets;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON secrets
  FOR EACH ROW WHEN (NOT is_resealing()) EXECUTE FUNCTION audit('secret', 'id', 'value');
DROP TRIGGER audit ON destinations;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON destinations
  FOR EACH ROW WHEN (NOT is_resealing()) EXECUTE FUNCTION audit('destination', 'id', 'signing_secret', 'previous_signing_secret');

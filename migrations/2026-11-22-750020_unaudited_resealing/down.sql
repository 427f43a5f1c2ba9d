DROP TRIGGER audit ON secrets;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON secrets FOR EACH ROW EXECUTE FUNCTION audit('secret', 'id', 'value');
DROP TRIGGER audit ON destinations;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON destinations
  FOR EACH ROW EXECUTE FUNCTION audit('destination', 'id', 'signing_secret', 'previous_signing_secret');
DROP FUNCTION is_resealing();

-- Who opens or closes a capture window decides whether a webhook's requests start anything: that is on record. What a window
-- takes is not; when it ends by being full, that is the system's doing.
CREATE TRIGGER audit AFTER INSERT OR UPDATE OF opened_at, ended_at ON captures
  FOR EACH ROW EXECUTE FUNCTION audit('capture', 'webhook_id');

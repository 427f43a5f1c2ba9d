-- Day by day, each in a transaction of its own, so that refusals wait to be written for the index of a day at most. What was
-- interrupted goes on where it was.
DO $$
DECLARE
  leaf text;
BEGIN
  FOR leaf IN
    SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
    WHERE inhparent = 'refusals'::regclass AND NOT EXISTS (
      SELECT FROM pg_inherits made JOIN pg_index ON indexrelid = made.inhrelid
      WHERE made.inhparent = 'refusals_webhook'::regclass AND indrelid = child.oid)
    ORDER BY child.relname DESC
  LOOP
    EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I (tenant_id, webhook_id, id)', leaf || '_webhook', leaf);
    EXECUTE format('ALTER INDEX refusals_webhook ATTACH PARTITION %I', leaf || '_webhook');
    COMMIT;
  END LOOP;
END $$;

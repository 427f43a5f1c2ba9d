-- Day by day, each in a transaction of its own, so that writers wait for the index of a day at most, and those of the past for
-- nobody. What was interrupted goes on where it was.
DO $$
DECLARE
  day record;
BEGIN
  FOR day IN
    SELECT parent.relname AS parent, child.relname AS leaf FROM pg_inherits
      JOIN pg_class child ON child.oid = inhrelid
      JOIN pg_class parent ON parent.oid = inhparent
    WHERE parent.relname IN ('events', 'runs') AND parent.relkind = 'p' AND NOT EXISTS (
      SELECT FROM pg_inherits made JOIN pg_index ON indexrelid = made.inhrelid
      WHERE made.inhparent = (parent.relname || '_webhook')::regclass AND indrelid = child.oid)
    ORDER BY child.relname DESC
  LOOP
    EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I (tenant_id, webhook_id, id)', day.leaf || '_webhook', day.leaf);
    EXECUTE format('ALTER INDEX %I ATTACH PARTITION %I', day.parent || '_webhook', day.leaf || '_webhook');
    COMMIT;
  END LOOP;
END $$;

-- Tables whose rows change or go soon are cleaned sooner than by PostgreSQL's defaults (a fifth of the table), as what is dead in
-- them is passed over by every look-up; and rows that change have room on their page, so that their indexes need not change.

-- Jobs are the table with most change. What is longer than a page of theirs is beside them, and goes as soon.
ALTER TABLE jobs SET (autovacuum_analyze_scale_factor = 0.1, autovacuum_analyze_threshold = 5000,
  toast.autovacuum_vacuum_scale_factor = 0.01, toast.autovacuum_vacuum_threshold = 1000, toast.autovacuum_vacuum_cost_delay = 0);
ALTER TABLE idempotency_keys SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);
ALTER TABLE duplicates SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);
ALTER TABLE sessions SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
ALTER TABLE usage SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);
ALTER TABLE mails SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
ALTER TABLE replays SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
ALTER TABLE notification_settings SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 200);
ALTER TABLE captures SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 200);

-- Partitions are made with these from now on.
CREATE OR REPLACE FUNCTION ensure_partitions(day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  parent text;
  leaf text;
  lower_bound uuid := public.uuidv7_floor(day::timestamp AT TIME ZONE 'UTC');
  upper_bound uuid := public.uuidv7_floor((day + 1)::timestamp AT TIME ZONE 'UTC');
BEGIN
  IF day NOT BETWEEN (now() AT TIME ZONE 'UTC')::date - 7 AND (now() AT TIME ZONE 'UTC')::date + 40 THEN
    RAISE EXCEPTION 'refusing to make partitions for %: too far from today', day;
  END IF;
  PERFORM pg_advisory_xact_lock(7046029254386353131);
  FOREACH parent IN ARRAY ARRAY['events', 'refusals', 'runs', 'attempts'] LOOP
    leaf := parent || '_' || to_char(day, 'YYYYMMDD');
    IF to_regclass('public.' || leaf) IS NOT NULL THEN
      CONTINUE;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', leaf, parent);
    -- Rows up to a page stay in the row: an 8 kB webhook compresses to far less, and TOAST costs a second insert.
    -- What is stored stays as it is: vacuum marks it as frozen and visible when it first comes by, which is soon, so that no day is read
    -- once more for it, and an index alone tells where a slice of a list ends.
    EXECUTE format('ALTER TABLE public.%I SET (toast_tuple_target = 8160, autovacuum_freeze_min_age = 0,
      autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05)', leaf);
    IF parent IN ('events', 'refusals') THEN
      EXECUTE format('GRANT INSERT ON public.%I TO hookgate_ingress', leaf);
    END IF;
    EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', parent, leaf, lower_bound, upper_bound);
  END LOOP;
END $$;

-- Those that there are get them, too; nobody waits for that.
DO $$
DECLARE
  leaf text;
BEGIN
  FOR leaf IN
    SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid JOIN pg_class parent ON parent.oid = inhparent
    WHERE parent.relname IN ('events', 'refusals', 'runs', 'attempts')
  LOOP
    EXECUTE format('ALTER TABLE %I SET (autovacuum_freeze_min_age = 0, autovacuum_vacuum_insert_scale_factor = 0.05,
      autovacuum_analyze_scale_factor = 0.05)', leaf);
  END LOOP;
END $$;

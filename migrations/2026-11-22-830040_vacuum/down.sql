-- Partitions keep what they have, which changes nothing for programs.
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
    EXECUTE format('ALTER TABLE public.%I SET (toast_tuple_target = 8160)', leaf);
    IF parent IN ('events', 'refusals') THEN
      EXECUTE format('GRANT INSERT ON public.%I TO hookgate_ingress', leaf);
    END IF;
    EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', parent, leaf, lower_bound, upper_bound);
  END LOOP;
END $$;
ALTER TABLE jobs RESET (autovacuum_analyze_scale_factor, autovacuum_analyze_threshold, toast.autovacuum_vacuum_scale_factor,
  toast.autovacuum_vacuum_threshold, toast.autovacuum_vacuum_cost_delay);
ALTER TABLE idempotency_keys RESET (fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
ALTER TABLE duplicates RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
ALTER TABLE sessions RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
ALTER TABLE usage RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
ALTER TABLE mails RESET (fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
ALTER TABLE replays RESET (fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
ALTER TABLE notification_settings RESET (fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
ALTER TABLE captures RESET (fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);

-- Drops the partitions of an append-only table whose last day is older than `oldest`; returns their names.
CREATE OR REPLACE FUNCTION drop_partitions(oldest date) RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  leaf text;
BEGIN
  IF oldest > (now() AT TIME ZONE 'UTC')::date THEN
    RAISE EXCEPTION 'refusing to drop partitions up to %: that is in the future', oldest;
  END IF;
  FOR leaf IN
    SELECT child.relname FROM pg_inherits
      JOIN pg_class child ON child.oid = inhrelid
      JOIN pg_class parent ON parent.oid = inhparent
    WHERE parent.relname IN ('events', 'refusals', 'runs', 'attempts')
      AND child.relname ~ '_[0-9]{8}$' AND to_date(right(child.relname, 8), 'YYYYMMDD') < oldest
      AND NOT EXISTS (SELECT FROM public.jobs, unnest(event_ids) AS event_id
        WHERE event_id < public.uuidv7_floor((to_date(right(child.relname, 8), 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC'))
    ORDER BY child.relname
  LOOP
    EXECUTE format('DROP TABLE public.%I', leaf);
    RETURN NEXT leaf;
  END LOOP;
END $$;

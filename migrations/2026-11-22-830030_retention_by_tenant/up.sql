-- How many days a tenant keeps what it received; NULL: as long as its limits and the installation allow.
ALTER TABLE tenants ADD COLUMN retention_days integer CONSTRAINT tenants_retention_days_least CHECK (retention_days >= 1);
GRANT SELECT (retention_days, limits) ON tenants TO hookgate_worker;
GRANT SELECT (limits) ON plans TO hookgate_worker;

-- Deletes rows of a tenant that are older than a moment: of one table, after a row, as many as stand next to each other in the order
-- of their age. Gives how many, the oldest of them, and the last row that it came to, NULL at the end. What belongs to an event that has a job stays, and
-- so does what a running replay has not come to. Row-level security shows the function this tenant alone.
CREATE FUNCTION delete_older(parent text, tenant uuid, after uuid, moment timestamptz, most integer, OUT deleted bigint, OUT oldest uuid, OUT last uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  -- The column of the event, and the one that carries the age.
  event_column text := CASE WHEN parent = 'attempts' THEN 'run_id' WHEN parent IN ('duplicates', 'failed_callbacks') THEN 'event_id' ELSE 'id' END;
  age_column text := CASE WHEN parent IN ('duplicates', 'failed_callbacks') THEN 'event_id' ELSE 'id' END;
  bound uuid := public.uuidv7_floor(moment);
  upto uuid;
  busy uuid[];
BEGIN
  IF parent NOT IN ('events', 'runs', 'attempts', 'refusals', 'duplicates', 'failed_callbacks') THEN
    RAISE EXCEPTION 'nothing of % is deleted by its age', parent;
  END IF;
  IF moment > now() - interval '23 hours' THEN
    RAISE EXCEPTION 'refusing to delete what is not a day old';
  END IF;
  PERFORM set_config('hookgate.tenant_id', tenant::text, true);
  SELECT least(bound, replays.after) INTO bound FROM public.replays
    WHERE tenant_id = tenant AND status = 'running' ORDER BY replays.after LIMIT 1;
  bound := coalesce(bound, public.uuidv7_floor(moment));
  EXECUTE format('SELECT %1$I FROM public.%2$I WHERE tenant_id = $1 AND %1$I > $2 AND %1$I < $3 ORDER BY %1$I LIMIT 1', age_column, parent)
    INTO oldest USING tenant, delete_older.after, bound;
  EXECUTE format('SELECT %1$I FROM public.%2$I WHERE tenant_id = $1 AND %1$I > $2 AND %1$I < $3 ORDER BY %1$I OFFSET $4 - 1 LIMIT 1',
    age_column, parent) INTO last USING tenant, delete_older.after, bound, most;
  upto := coalesce(last, bound);
  busy := ARRAY(SELECT event_id FROM public.jobs, unnest(event_ids) AS event_id WHERE tenant_id = tenant AND event_id <= upto);
  EXECUTE format('DELETE FROM public.%2$I WHERE tenant_id = $1 AND %1$I > $2 AND %1$I <= $3 AND %1$I < $4 AND %3$I <> ALL ($5)',
    age_column, parent, event_column) USING tenant, delete_older.after, upto, bound, busy;
  GET DIAGNOSTICS deleted = ROW_COUNT;
END $$;
REVOKE EXECUTE ON FUNCTION delete_older(text, uuid, uuid, timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delete_older(text, uuid, uuid, timestamptz, integer) TO hookgate_worker;

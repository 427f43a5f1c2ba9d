-- The foundation: three roles with least privilege, tenant tables under forced row-level security,
-- and the append-only tables partitioned by the day that their UUIDv7 key carries.

-- Roles are global to the cluster. They are made without a password: `hookgate migrate` sets the one
-- that each service's database URL names.
DO $$
DECLARE
  role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['hookgate_ingress', 'hookgate_management', 'hookgate_worker'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I LOGIN NOINHERIT', role_name);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL;
    END;
  END LOOP;
END $$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO hookgate_ingress, hookgate_management, hookgate_worker;

-- The tenant of the transaction, set by SET LOCAL; NULL (which matches no row) when unset.
CREATE FUNCTION current_tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
  RETURN nullif(current_setting('hookgate.tenant_id', true), '')::uuid;

-- The person of the transaction, while the tenant is not chosen yet (login, switching tenants).
CREATE FUNCTION current_person() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
  RETURN nullif(current_setting('hookgate.user_id', true), '')::uuid;

-- The digest of the management key that is being authenticated: opens exactly its own row.
CREATE FUNCTION current_key_digest() RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE
  RETURN decode(nullif(current_setting('hookgate.key_digest', true), ''), 'hex');

-- People ------------------------------------------------------------------------------------------

CREATE TABLE users (
  id uuid PRIMARY KEY,
  email text NOT NULL,
  name text NOT NULL,
  password_hash text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT users_email_is_lower_case CHECK (email = lower(email)),
  CONSTRAINT users_email_key UNIQUE (email)
);

CREATE TABLE tenants (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  status text NOT NULL DEFAULT 'active' CONSTRAINT tenants_status_known CHECK (status IN ('active', 'suspended')),
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE memberships (
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  role text NOT NULL CONSTRAINT memberships_role_known CHECK (role IN ('owner', 'admin', 'editor', 'viewer')),
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, user_id)
);
CREATE INDEX memberships_user ON memberships (user_id);

-- One row per login; its refresh tokens form a family that is revoked as one.
CREATE TABLE login_sessions (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz
);
CREATE INDEX login_sessions_user ON login_sessions (user_id);

CREATE TABLE refresh_tokens (
  digest bytea PRIMARY KEY,
  session_id uuid NOT NULL REFERENCES login_sessions (id) ON DELETE CASCADE,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);

-- Keys that sign access tokens; the private half is sealed with the master key.
CREATE TABLE signing_keys (
  kid text PRIMARY KEY,
  private_key bytea NOT NULL,
  public_key bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  retired_at timestamptz
);

CREATE TABLE management_keys (
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  id uuid NOT NULL,
  name text NOT NULL,
  digest bytea NOT NULL,
  hint text NOT NULL,
  scopes text[] NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT management_keys_digest_key UNIQUE (digest)
);

-- The answer to a POST with an Idempotency-Key; sealed, because it can hold a secret shown once.
CREATE TABLE idempotency_keys (
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  actor text NOT NULL,
  key text NOT NULL,
  request_digest bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  answer_status smallint,
  answer bytea,
  PRIMARY KEY (tenant_id, actor, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- Webhooks ----------------------------------------------------------------------------------------

CREATE TABLE webhooks (
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  id uuid NOT NULL,
  name text NOT NULL,
  system text NOT NULL DEFAULT 'custom',
  status text NOT NULL DEFAULT 'active' CONSTRAINT webhooks_status_known CHECK (status IN ('active', 'paused', 'disabled')),
  suffix text NOT NULL,
  methods text[] NOT NULL,
  authentication jsonb NOT NULL,
  body_limit_bytes integer NOT NULL,
  draft_revision_id uuid NOT NULL,
  published_revision_id uuid,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id)
);

-- Immutable: saving a draft adds a row and moves the webhook's pointer, so an event can name exactly
-- what ran it, and a compiled revision can be cached for ever. `json`, not `jsonb`: what a tenant wrote comes
-- back, and is sent, with its keys in the order they were written.
CREATE TABLE revisions (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  webhook_id uuid NOT NULL,
  number integer NOT NULL,
  document json NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  created_by text NOT NULL,
  published_at timestamptz,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT revisions_number_key UNIQUE (tenant_id, webhook_id, number),
  CONSTRAINT revisions_webhook_fkey FOREIGN KEY (tenant_id, webhook_id) REFERENCES webhooks (tenant_id, id)
    ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);

CREATE TABLE urls (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  webhook_id uuid NOT NULL,
  name text NOT NULL,
  environment text NOT NULL CONSTRAINT urls_environment_known CHECK (environment IN ('test', 'production')),
  suffix text NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT urls_webhook_fkey FOREIGN KEY (tenant_id, webhook_id) REFERENCES webhooks (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX urls_webhook ON urls (tenant_id, webhook_id);

-- Routing: the one table that is looked up before the tenant is known, hence keyed by the token. A URL
-- has one token without an expiry (the current one) and, after rotations, older ones in their grace period.
CREATE TABLE url_tokens (
  token uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  url_id uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  CONSTRAINT url_tokens_url_fkey FOREIGN KEY (tenant_id, url_id) REFERENCES urls (tenant_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX url_tokens_current ON url_tokens (tenant_id, url_id) WHERE expires_at IS NULL;

CREATE TABLE api_keys (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  webhook_id uuid NOT NULL,
  name text NOT NULL,
  digest bytea NOT NULL,
  hint text NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT api_keys_webhook_fkey FOREIGN KEY (tenant_id, webhook_id) REFERENCES webhooks (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX api_keys_webhook ON api_keys (tenant_id, webhook_id);

CREATE TABLE allowlists (
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  id uuid NOT NULL,
  name text NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT allowlists_name_key UNIQUE (tenant_id, name)
);

CREATE TABLE allowlist_entries (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  allowlist_id uuid NOT NULL,
  network cidr NOT NULL,
  note text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT allowlist_entries_network_key UNIQUE (tenant_id, allowlist_id, network),
  CONSTRAINT allowlist_entries_allowlist_fkey FOREIGN KEY (tenant_id, allowlist_id) REFERENCES allowlists (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE webhook_allowlists (
  tenant_id uuid NOT NULL,
  webhook_id uuid NOT NULL,
  allowlist_id uuid NOT NULL,
  PRIMARY KEY (tenant_id, webhook_id, allowlist_id),
  CONSTRAINT webhook_allowlists_webhook_fkey FOREIGN KEY (tenant_id, webhook_id) REFERENCES webhooks (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT webhook_allowlists_allowlist_fkey FOREIGN KEY (tenant_id, allowlist_id) REFERENCES allowlists (tenant_id, id)
);
CREATE INDEX webhook_allowlists_allowlist ON webhook_allowlists (tenant_id, allowlist_id);

CREATE TABLE destinations (
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  id uuid NOT NULL,
  name text NOT NULL,
  base_url text NOT NULL,
  signing_secret bytea,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT destinations_name_key UNIQUE (tenant_id, name)
);

-- Work that is due ----------------------------------------------------------------------------------

-- The only mutable queue row. A job carries one or more events of one webhook that came in one commit and
-- run the same revision; it is split when one of them needs a retry. Its id is its first event's. It is due when both
-- times have passed. `attempt` counts the claims since it last made progress.
CREATE TABLE jobs (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  webhook_id uuid NOT NULL,
  revision_id uuid NOT NULL,
  event_ids uuid[] NOT NULL,
  due_at timestamptz NOT NULL DEFAULT now(),
  leased_until timestamptz,
  lease_token bigint NOT NULL DEFAULT 0,
  attempt integer NOT NULL DEFAULT 0,
  is_retry boolean NOT NULL DEFAULT false,
  answer_to text,
  state bytea,
  PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
-- Retries apart from first attempts, so that neither waits behind a backlog of the other; without what is held for a
-- paused webhook, so that a claim does not look at tenants that have nothing else.
CREATE INDEX jobs_due ON jobs (tenant_id, is_retry, greatest(due_at, leased_until)) WHERE due_at < '9000-01-01Z';

-- What came in and what became of it ------------------------------------------------------------------

-- An event is the request as it was sent: headers as `name: value` lines, the body's exact bytes (compressed
-- when body_codec says so; body_bytes is the length of the original).
CREATE TABLE events (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  webhook_id uuid NOT NULL,
  url_id uuid NOT NULL,
  revision_id uuid,
  environment text NOT NULL,
  method text NOT NULL,
  suffix text NOT NULL,
  path text NOT NULL,
  query text NOT NULL,
  address inet,
  headers bytea NOT NULL,
  body_codec smallint NOT NULL,
  body_bytes integer NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);

CREATE TABLE refusals (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  webhook_id uuid NOT NULL,
  url_id uuid NOT NULL,
  reason text NOT NULL,
  detail text NOT NULL,
  status smallint NOT NULL,
  method text NOT NULL,
  path text NOT NULL,
  query text NOT NULL,
  address inet,
  headers bytea NOT NULL,
  body_bytes integer,
  body_preview bytea NOT NULL,
  PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);

-- The run of an event has the event's id (as `run_…` instead of `evt_…`): one look-up, no second index.
CREATE TABLE runs (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  webhook_id uuid NOT NULL,
  revision_id uuid NOT NULL,
  outcome text NOT NULL,
  error text,
  started_at timestamptz NOT NULL,
  finished_at timestamptz NOT NULL,
  steps bytea NOT NULL,
  answer bytea,
  PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);

CREATE TABLE attempts (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  run_id uuid NOT NULL,
  webhook_id uuid NOT NULL,
  destination_id uuid NOT NULL,
  step text NOT NULL,
  number integer NOT NULL,
  method text NOT NULL,
  url text NOT NULL,
  outcome text NOT NULL,
  status smallint,
  error text,
  started_at timestamptz NOT NULL,
  duration_us bigint NOT NULL,
  timing jsonb NOT NULL,
  response_preview bytea,
  PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);
CREATE INDEX attempts_run ON attempts (tenant_id, run_id);

-- The ingress compresses bodies itself, far cheaper than TOAST does.
ALTER TABLE events ALTER COLUMN body SET STORAGE EXTERNAL;

-- The smallest UUIDv7 of a moment.
CREATE FUNCTION uuidv7_floor(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;

-- Makes the day's partition of each append-only table, if it is missing. The writers COPY straight into an
-- event or refusal partition (COPY cannot pass through a table with row-level security): they may insert
-- there and nobody may read there, since the partitions themselves are granted to no reader.
-- A day far from now is refused: ids come from the clock, so such a day is a broken clock.
CREATE FUNCTION ensure_partitions(day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
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

-- Drops the partitions of an append-only table whose last day is older than `oldest`; returns their names.
CREATE FUNCTION drop_partitions(oldest date) RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
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

REVOKE EXECUTE ON FUNCTION ensure_partitions(date), drop_partitions(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_partitions(date) TO hookgate_ingress, hookgate_worker;
GRANT EXECUTE ON FUNCTION drop_partitions(date) TO hookgate_worker;

-- Row-level security -----------------------------------------------------------------------------------

DO $$
DECLARE
  table_name text;
BEGIN
  FOREACH table_name IN ARRAY ARRAY['memberships', 'management_keys', 'idempotency_keys', 'webhooks', 'revisions', 'urls',
      'url_tokens', 'api_keys', 'allowlists', 'allowlist_entries', 'webhook_allowlists', 'destinations', 'jobs',
      'events', 'refusals', 'runs', 'attempts'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', table_name);
    EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant())', table_name);
  END LOOP;
  -- The ingress reads the routing of every tenant: it learns the tenant from it.
  FOREACH table_name IN ARRAY ARRAY['webhooks', 'revisions', 'urls', 'url_tokens', 'api_keys', 'allowlist_entries',
      'webhook_allowlists'] LOOP
    EXECUTE format('CREATE POLICY routing ON %I FOR SELECT TO hookgate_ingress USING (true)', table_name);
  END LOOP;
END $$;

ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON tenants USING (id = current_tenant()) WITH CHECK (id = current_tenant());
CREATE POLICY routing ON tenants FOR SELECT TO hookgate_ingress USING (true);
-- A person sees the tenants that they belong to before one is chosen; a key opens its own row.
CREATE POLICY own_memberships ON memberships FOR SELECT TO hookgate_management USING (user_id = current_person());
CREATE POLICY own_tenants ON tenants FOR SELECT TO hookgate_management
  USING (EXISTS (SELECT FROM memberships m WHERE m.tenant_id = tenants.id AND m.user_id = current_person()));
CREATE POLICY presented ON management_keys FOR SELECT TO hookgate_management USING (digest = current_key_digest());

-- Writers group the jobs and last-used times of many tenants in one commit; workers claim over all tenants.
CREATE POLICY append ON jobs FOR INSERT TO hookgate_ingress WITH CHECK (true);
CREATE POLICY last_used ON api_keys FOR UPDATE TO hookgate_ingress USING (true);
CREATE POLICY claim ON jobs TO hookgate_worker USING (true) WITH CHECK (true);
-- drop_partitions runs as the owner, and must see every job to leave its events alone.
CREATE POLICY live_work ON jobs FOR SELECT TO CURRENT_USER USING (true);

-- Privileges ---------------------------------------------------------------------------------------------

GRANT SELECT ON tenants, webhooks, revisions, urls, url_tokens, api_keys, allowlist_entries, webhook_allowlists TO hookgate_ingress;
GRANT UPDATE (last_used_at) ON api_keys TO hookgate_ingress;
GRANT INSERT ON jobs TO hookgate_ingress;
-- Answers of runs that a caller waits for, when they cannot come over Redis.
GRANT SELECT (tenant_id, id, answer) ON runs TO hookgate_ingress;
GRANT SELECT (tenant_id, id, state) ON jobs TO hookgate_ingress;

GRANT SELECT, INSERT, UPDATE, DELETE ON users, tenants, memberships, login_sessions, refresh_tokens, signing_keys,
  management_keys, idempotency_keys, webhooks, revisions, urls, url_tokens, api_keys, allowlists, allowlist_entries,
  webhook_allowlists, destinations TO hookgate_management;
GRANT SELECT ON events, refusals, runs, attempts, jobs TO hookgate_management;
-- Activating a webhook makes its held jobs due; deleting one deletes them.
GRANT UPDATE (due_at), DELETE ON jobs TO hookgate_management;

GRANT SELECT, INSERT, UPDATE, DELETE ON jobs TO hookgate_worker;
GRANT SELECT ON tenants, webhooks, revisions, destinations, events TO hookgate_worker;
GRANT SELECT, INSERT ON runs, attempts TO hookgate_worker;
GRANT SELECT, DELETE ON refusals TO hookgate_worker;
GRANT SELECT (created_at), DELETE ON idempotency_keys TO hookgate_worker;
GRANT SELECT (expires_at), DELETE ON refresh_tokens, login_sessions TO hookgate_worker;
CREATE POLICY maintenance ON idempotency_keys FOR ALL TO hookgate_worker USING (true);
CREATE POLICY maintenance ON refusals FOR ALL TO hookgate_worker USING (true);

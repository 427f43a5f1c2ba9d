-- Leaves the roles: they belong to the cluster, and another database may use them.
DROP TABLE attempts, runs, refusals, events, jobs, destinations, webhook_allowlists, allowlist_entries, allowlists,
  api_keys, url_tokens, urls, revisions, webhooks, idempotency_keys, management_keys, signing_keys, refresh_tokens,
  login_sessions, memberships, tenants, users CASCADE;
DROP FUNCTION drop_partitions(date);
DROP FUNCTION ensure_partitions(date);
DROP FUNCTION uuidv7_floor(timestamptz);
DROP FUNCTION current_key_digest();
DROP FUNCTION current_person();
DROP FUNCTION current_tenant();

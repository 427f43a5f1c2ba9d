//! Rules about the schema, asked of the database's own catalogue: every tenant's rows are behind forced row-level
//! security, and the roles of the services can do what is written here and nothing else.

use hookgate_domain::export::{NOT_EXPORTED, TABLES};
use hookgate_domain::sealed::Column;
use std::collections::BTreeSet;

use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use hookgate_testkit::TestDatabase;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// The lines that a query gives, whose one column is called `line`.
fn lines(query: &str) -> BTreeSet<String> {
    let database = TestDatabase::create();
    let lines: Vec<Line> = sql_query(query).load(&mut database.superuser()).expect(query);
    lines.into_iter().map(|line| line.line).collect()
}

fn expect(query: &str, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|&line| line.to_owned()).collect();
    let found = lines(query);
    let new: Vec<_> = found.difference(&expected).collect();
    let gone: Vec<_> = expected.difference(&found).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "not expected: {new:#?}\nmissing: {gone:#?}"
    );
}

/// Tables of a tenant's rows that are not partitions of another.
const TENANT_TABLES: &str = "SELECT c.oid, c.relname, c.relrowsecurity, c.relforcerowsecurity
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition";

#[test]
fn every_tenant_table_has_forced_row_level_security() {
    // `login_sessions` are a person's, who may belong to several tenants; the tenant is what the login is for.
    expect(
        &format!(
            "SELECT relname::text AS line FROM ({TENANT_TABLES}) t WHERE NOT (relrowsecurity AND relforcerowsecurity)"
        ),
        &["login_sessions"],
    );
    expect(
        "SELECT relname::text AS line FROM pg_class WHERE oid = 'tenants'::regclass AND relrowsecurity AND relforcerowsecurity",
        &["tenants"],
    );
}

#[test]
fn tenant_id_comes_first_in_every_primary_key() {
    // `url_tokens` is looked up before the tenant is known; `login_sessions` are a person's.
    expect(
        &format!(
            "SELECT relname::text AS line FROM ({TENANT_TABLES}) t WHERE NOT EXISTS (
                SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                WHERE i.indrelid = t.oid AND i.indisprimary AND a.attname = 'tenant_id')"
        ),
        &["url_tokens", "login_sessions"],
    );
}

#[test]
fn foreign_keys_between_tenant_tables_carry_the_tenant() {
    expect(
        &format!(
            "WITH tenant_tables AS ({TENANT_TABLES})
            SELECT c.conname::text AS line FROM pg_constraint c
            WHERE c.contype = 'f' AND c.conrelid IN (SELECT oid FROM tenant_tables)
              AND c.confrelid IN (SELECT oid FROM tenant_tables)
              AND NOT EXISTS (SELECT FROM pg_attribute a
                WHERE a.attrelid = c.conrelid AND a.attnum = c.conkey[1] AND a.attname = 'tenant_id')"
        ),
        &[],
    );
}

#[test]
fn the_services_roles_are_ordinary() {
    expect(
        "SELECT rolname::text AS line FROM pg_roles WHERE rolname LIKE 'hookgate\\_%'
            AND rolname NOT LIKE '%\\_owner' AND NOT rolsuper AND NOT rolbypassrls AND NOT rolcreaterole
            AND NOT rolcreatedb AND NOT rolreplication AND NOT rolinherit
            AND NOT EXISTS (SELECT FROM pg_auth_members m WHERE m.member = pg_roles.oid)
            AND NOT EXISTS (SELECT FROM pg_class c WHERE c.relowner = pg_roles.oid)",
        &[
            "hookgate_admin",
            "hookgate_ingress",
            "hookgate_management",
            "hookgate_worker",
        ],
    );
}

#[test]
fn policies_that_show_more_than_one_tenant_are_few() {
    expect(
        "SELECT format('%s on %s for %s', p.policyname, p.tablename, lower(p.cmd)) AS line FROM pg_policies p
            WHERE p.policyname <> 'tenant'",
        &[
            // The ingress finds the tenant by the URL, and writers and the note of a key's last use serve all tenants.
            "routing on api_keys for select",
            "routing on allowlist_entries for select",
            "routing on captures for select",
            "routing on pairings for select",
            "routing on revisions for select",
            "routing on secrets for select",
            "routing on tenants for select",
            "routing on url_tokens for select",
            "routing on urls for select",
            "routing on webhook_allowlists for select",
            "routing on webhooks for select",
            "append on jobs for insert",
            "count on usage for all",
            "count on outcomes for all",
            "last_used on api_keys for update",
            // A person sees where they belong before a tenant is chosen; a key opens its own row.
            "own_memberships on memberships for select",
            "own_tenants on tenants for select",
            "presented on invitations for select",
            "presented on management_keys for select",
            "presented on public_api_links for select",
            // Workers claim over all tenants; maintenance deletes what is old, and leaves what is due.
            "claim on jobs for all",
            "claim on destination_pauses for select",
            "claim on tenants for select",
            "claim on webhooks for select",
            // They go on with the replays of all tenants.
            "claim on replays for all",
            // The operator, as the owner, looks at all tenants.
            "operator on tenants for select",
            // And so does the role of the operator's API; it finds a tenant by the address of a member.
            "administer on tenants for select",
            "administer on memberships for select",
            // Erasing a tenant looks whether its members are in another one.
            "erasure on memberships for select",
            "live_work on jobs for select",
            "append on deduplication_keys for all",
            "append on duplicates for all",
            "append on audit_log for insert",
            "count on drift for all",
            "maintenance on audit_log for all",
            "maintenance on deduplication_keys for all",
            "maintenance on failed_callbacks for all",
            "maintenance on duplicates for all",
            "maintenance on idempotency_keys for all",
            "maintenance on invitations for all",
            "maintenance on refusals for all",
            "maintenance on samples for all",
            "maintenance on sessions for all",
            "maintenance on usage for all",
        ],
    );
    expect(
        "SELECT p.tablename::text AS line FROM pg_policies p WHERE p.policyname = 'tenant'
            AND (p.qual NOT IN ('(tenant_id = current_tenant())', '(id = current_tenant())')
              OR p.with_check NOT IN ('(tenant_id = current_tenant())', '(id = current_tenant())'))",
        &[],
    );
}

#[test]
fn the_roles_have_only_these_privileges() {
    let all = "DELETE,INSERT,SELECT,UPDATE";
    let mut expected: Vec<String> = Vec::new();
    for table in [
        "users",
        "tenants",
        "memberships",
        "invitations",
        "mails",
        "totp_secrets",
        "login_sessions",
        "refresh_tokens",
        "signing_keys",
        "management_keys",
        "idempotency_keys",
        "webhooks",
        "revisions",
        "urls",
        "url_tokens",
        "api_keys",
        "allowlists",
        "allowlist_entries",
        "webhook_allowlists",
        "destinations",
        "pairings",
        "collections",
        "records",
        "secrets",
        "replays",
        "notification_settings",
    ] {
        expected.push(format!("hookgate_management {table}: {all}"));
    }
    for table in ["refusals", "attempts"] {
        expected.push(format!("hookgate_management {table}: SELECT"));
    }
    for table in [
        "tenants",
        "webhooks",
        "revisions",
        "urls",
        "url_tokens",
        "api_keys",
        "allowlist_entries",
        "webhook_allowlists",
    ] {
        expected.push(format!("hookgate_ingress {table}: SELECT"));
    }
    for table in [
        "revisions",
        "destinations",
        "collections",
        "notification_settings",
    ] {
        expected.push(format!("hookgate_worker {table}: SELECT"));
    }
    expected.push("hookgate_worker events: INSERT,SELECT".to_owned());
    expected.extend(
        [
            "hookgate_admin memberships: SELECT",
            "hookgate_admin mails: INSERT",
            "hookgate_admin operators_audit_log: SELECT",
            "hookgate_admin outcomes: SELECT",
            "hookgate_admin plans: DELETE,INSERT,SELECT,UPDATE",
            "hookgate_admin tenants: SELECT",
            "hookgate_admin totp_secrets: DELETE",
            "hookgate_admin usage: SELECT",
            "hookgate_ingress outcomes: INSERT,SELECT",
            "hookgate_management outcomes: SELECT",
            "hookgate_worker outcomes: DELETE,INSERT,SELECT",
            "hookgate_ingress plans: SELECT",
            "hookgate_management plans: SELECT",
            "hookgate_management events: INSERT,SELECT",
            "hookgate_management jobs: DELETE,INSERT",
            "hookgate_management runs: DELETE,SELECT",
            "hookgate_management destination_pauses: DELETE,INSERT,SELECT",
            "hookgate_worker destination_pauses: INSERT,SELECT",
            "hookgate_ingress captures: SELECT",
            "hookgate_ingress samples: INSERT",
            "hookgate_management captures: INSERT,SELECT,UPDATE",
            "hookgate_management samples: DELETE,INSERT,SELECT",
            "hookgate_worker samples: DELETE",
            "hookgate_ingress jobs: INSERT",
            "hookgate_ingress deduplication_keys: INSERT,SELECT,UPDATE",
            "hookgate_ingress duplicates: INSERT,SELECT,UPDATE",
            "hookgate_ingress drift: INSERT,SELECT,UPDATE",
            "hookgate_management audit_log: SELECT",
            "hookgate_worker audit_log: DELETE",
            "hookgate_worker operators_audit_log: DELETE",
            "hookgate_management drift: DELETE,SELECT",
            "hookgate_management public_api_links: DELETE,INSERT,SELECT",
            "hookgate_management deduplication_keys: INSERT,SELECT,UPDATE",
            "hookgate_management duplicates: SELECT",
            "hookgate_worker deduplication_keys: DELETE",
            "hookgate_worker duplicates: DELETE",
            "hookgate_ingress usage: INSERT,SELECT",
            "hookgate_management usage: INSERT,SELECT",
            "hookgate_management failed_callbacks: DELETE,SELECT",
            "hookgate_worker failed_callbacks: DELETE,INSERT,SELECT",
            "hookgate_worker replays: DELETE,SELECT,UPDATE",
            "hookgate_worker usage: DELETE,INSERT,SELECT",
            "hookgate_worker jobs: DELETE,INSERT,SELECT,UPDATE",
            "hookgate_worker records: DELETE,INSERT,SELECT,UPDATE",
            "hookgate_worker sessions: DELETE,INSERT,SELECT,UPDATE",
            "hookgate_management sessions: DELETE,SELECT",
            "hookgate_worker runs: INSERT,SELECT",
            "hookgate_worker attempts: INSERT,SELECT",
            "hookgate_worker refusals: DELETE,SELECT",
            "hookgate_worker idempotency_keys: DELETE",
            "hookgate_worker refresh_tokens: DELETE",
            "hookgate_worker login_sessions: DELETE",
            "hookgate_worker invitations: DELETE",
            "hookgate_management mailed_tokens: DELETE,INSERT,SELECT",
            "hookgate_management recovery_codes: DELETE,INSERT,SELECT",
            "hookgate_worker mailed_tokens: DELETE",
        ]
        .map(str::to_owned),
    );
    expect(
        "SELECT format('%s %s: %s', g.grantee::regrole, c.relname, string_agg(g.privilege_type, ',' ORDER BY g.privilege_type)) AS line
            FROM pg_class c, aclexplode(c.relacl) g
            WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
              AND g.grantee <> c.relowner AND c.relname NOT LIKE '\\_\\_diesel%'
            GROUP BY g.grantee, c.relname",
        &expected.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    expect(
        "SELECT format('%s %s.%s: %s', g.grantee::regrole, c.relname, a.attname, g.privilege_type) AS line
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid, aclexplode(a.attacl) g
            WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition",
        &[
            // What the operator decides about.
            "hookgate_admin tenants.delete_at: UPDATE",
            "hookgate_admin tenants.limits: UPDATE",
            "hookgate_admin tenants.plan_id: UPDATE",
            "hookgate_admin tenants.suspended_at: UPDATE",
            "hookgate_admin tenants.suspension_reason: UPDATE",
            "hookgate_admin tenants.updated_at: UPDATE",
            "hookgate_admin tenants.version: UPDATE",
            "hookgate_admin webhooks.tenant_id: SELECT",
            "hookgate_admin users.id: SELECT",
            "hookgate_admin users.email: SELECT",
            "hookgate_admin users.name: SELECT",
            "hookgate_admin users.created_at: SELECT",
            // For the lock.
            "hookgate_admin users.created_at: UPDATE",
            "hookgate_admin users.email_verified_at: SELECT",
            "hookgate_admin totp_secrets.user_id: SELECT",
            "hookgate_admin totp_secrets.confirmed_at: SELECT",
            "hookgate_admin login_sessions.id: SELECT",
            "hookgate_admin login_sessions.user_id: SELECT",
            "hookgate_admin login_sessions.expires_at: SELECT",
            "hookgate_admin login_sessions.revoked_at: SELECT",
            "hookgate_admin login_sessions.revoked_at: UPDATE",
            "hookgate_worker plans.id: SELECT",
            "hookgate_worker plans.name: SELECT",
            "hookgate_worker plans.limits: SELECT",
            "hookgate_ingress api_keys.last_used_at: UPDATE",
            "hookgate_ingress captures.taken: UPDATE",
            "hookgate_ingress captures.ended_at: UPDATE",
            "hookgate_ingress captures.ended_by: UPDATE",
            "hookgate_ingress samples.tenant_id: SELECT",
            "hookgate_ingress samples.webhook_id: SELECT",
            "hookgate_ingress samples.stored_bytes: SELECT",
            "hookgate_worker samples.tenant_id: SELECT",
            "hookgate_worker samples.id: SELECT",
            "hookgate_worker samples.source: SELECT",
            "hookgate_ingress pairings.tenant_id: SELECT",
            "hookgate_ingress pairings.webhook_id: SELECT",
            "hookgate_ingress pairings.expires_at: SELECT",
            "hookgate_ingress pairings.completed_at: SELECT",
            "hookgate_ingress secrets.tenant_id: SELECT",
            "hookgate_ingress secrets.id: SELECT",
            "hookgate_ingress secrets.value: SELECT",
            "hookgate_ingress runs.tenant_id: SELECT",
            "hookgate_ingress runs.id: SELECT",
            "hookgate_ingress runs.answer: SELECT",
            "hookgate_ingress jobs.tenant_id: SELECT",
            "hookgate_ingress jobs.id: SELECT",
            "hookgate_ingress jobs.state: SELECT",
            "hookgate_management jobs.tenant_id: SELECT",
            "hookgate_management jobs.id: SELECT",
            "hookgate_management jobs.webhook_id: SELECT",
            "hookgate_management jobs.revision_id: SELECT",
            "hookgate_management jobs.event_ids: SELECT",
            "hookgate_management jobs.due_at: SELECT",
            "hookgate_management jobs.leased_until: SELECT",
            "hookgate_management jobs.lease_token: SELECT",
            "hookgate_management jobs.attempt: SELECT",
            "hookgate_management jobs.is_retry: SELECT",
            "hookgate_worker deduplication_keys.tenant_id: SELECT",
            "hookgate_worker deduplication_keys.digest: SELECT",
            "hookgate_worker deduplication_keys.expires_at: SELECT",
            "hookgate_worker deduplication_keys.expires_at: UPDATE",
            "hookgate_worker duplicates.tenant_id: SELECT",
            "hookgate_worker duplicates.event_id: SELECT",
            "hookgate_ingress outcomes.count: UPDATE",
            "hookgate_worker outcomes.count: UPDATE",
            "hookgate_ingress usage.events: UPDATE",
            "hookgate_ingress usage.body_bytes: UPDATE",
            "hookgate_management usage.events: UPDATE",
            "hookgate_management usage.body_bytes: UPDATE",
            "hookgate_management refusals.event_id: UPDATE",
            "hookgate_worker refusals.request: UPDATE",
            "hookgate_worker usage.events: UPDATE",
            "hookgate_worker usage.body_bytes: UPDATE",
            "hookgate_worker usage.day: SELECT",
            "hookgate_worker secrets.tenant_id: SELECT",
            "hookgate_worker secrets.id: SELECT",
            "hookgate_worker secrets.value: SELECT",
            "hookgate_worker tenants.id: SELECT",
            "hookgate_worker tenants.status: SELECT",
            "hookgate_worker tenants.delete_at: SELECT",
            "hookgate_worker tenants.plan_id: SELECT",
            "hookgate_worker tenants.limits: SELECT",
            "hookgate_worker tenants.retention_days: SELECT",
            "hookgate_worker webhooks.tenant_id: SELECT",
            "hookgate_worker webhooks.id: SELECT",
            "hookgate_worker webhooks.status: SELECT",
            "hookgate_worker webhooks.draft_revision_id: SELECT",
            "hookgate_worker webhooks.published_revision_id: SELECT",
            "hookgate_worker notification_settings.window_started_at: UPDATE",
            "hookgate_worker notification_settings.sent: UPDATE",
            "hookgate_worker notification_settings.suppressed: UPDATE",
            "hookgate_worker audit_log.tenant_id: SELECT",
            "hookgate_worker audit_log.id: SELECT",
            "hookgate_worker operators_audit_log.id: SELECT",
            "hookgate_worker idempotency_keys.created_at: SELECT",
            "hookgate_worker refresh_tokens.expires_at: SELECT",
            "hookgate_worker login_sessions.expires_at: SELECT",
            "hookgate_worker invitations.expires_at: SELECT",
            "hookgate_worker mailed_tokens.expires_at: SELECT",
        ],
    );
}

#[test]
fn partitions_are_written_by_the_ingress_and_read_by_nobody() {
    expect(
        "SELECT DISTINCT format('%s %s: %s', g.grantee::regrole, regexp_replace(c.relname, '_[0-9]{8}$', '_<day>'), g.privilege_type) AS line
            FROM pg_class c, aclexplode(c.relacl) g
            WHERE c.relnamespace = 'public'::regnamespace AND c.relispartition AND g.grantee <> c.relowner AND c.relkind = 'r'",
        &["hookgate_ingress events_<day>: INSERT", "hookgate_ingress refusals_<day>: INSERT"],
    );
    assert_eq!(
        lines("SELECT relname::text AS line FROM pg_class WHERE relispartition AND relkind = 'r' AND relname ~ '^events_'").len(),
        4,
        "the template has partitions to look at"
    );
}

#[test]
fn functions_with_the_owners_rights_are_these() {
    expect(
        "SELECT format('%s: %s', p.proname, string_agg(g.grantee::regrole::text, ',' ORDER BY g.grantee::regrole::text)) AS line
            FROM pg_proc p, aclexplode(p.proacl) g
            WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef AND g.grantee <> p.proowner GROUP BY p.proname",
        &["complete_pairing: hookgate_ingress", "delete_older: hookgate_worker", "drop_partitions: hookgate_worker", "ensure_partitions: hookgate_ingress,hookgate_management,hookgate_worker", "erase_tenant: hookgate_worker"],
    );
}

#[test]
fn every_column_of_bytes_is_sealed_or_known_to_be_none() {
    let sealed = Column::ALL.map(|column| format!("{}.{}", column.table(), column.name()));
    let mut expected: Vec<&str> = sealed.iter().map(String::as_str).collect();
    expected.sort_unstable();
    // A job's state is that of a callback, or the progress of a run.
    expected.dedup();
    expected.extend([
        // Digests, which nothing opens.
        "api_keys.digest",
        "deduplication_keys.digest",
        "idempotency_keys.request_digest",
        "invitations.digest",
        "mailed_tokens.digest",
        "recovery_codes.digest",
        "management_keys.digest",
        "public_api_links.digest",
        "refresh_tokens.digest",
        // What tenants received and sent, as data protection leaves it; sealed, if at all, with the key of a run.
        "attempts.response_preview",
        "deduplication_keys.answer",
        "events.body",
        "events.headers",
        "refusals.body_preview",
        "refusals.headers",
        "runs.answer",
        "runs.state",
        "runs.steps",
        "samples.body",
        "samples.headers",
        // The public half.
        "signing_keys.public_key",
    ]);
    expect(
        "SELECT format('%s.%s', c.relname, a.attname) AS line FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
              AND a.atttypid = 'bytea'::regtype AND NOT a.attisdropped",
        &expected,
    );
}

#[test]
fn every_table_of_tenants_is_exported_or_known_not_to_be() {
    let expected: Vec<&str> = TABLES
        .iter()
        .map(|table| table.name)
        .filter(|name| *name != "tenants")
        .chain(NOT_EXPORTED)
        .collect();
    expect(
        &format!("SELECT relname::text AS line FROM ({TENANT_TABLES}) t"),
        &expected,
    );
}

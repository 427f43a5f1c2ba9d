//! How much of everything one tenant may have. Each bound is far above what a tenant needs, and low enough that none
//! can fill the tables or make an ingress compile a webhook for seconds.

/// Plans of the operator: metrics have series for each.
pub const PLANS: i64 = 100;
/// Characters of a plan's name.
pub const PLAN_NAME_CHARACTERS: usize = 64;
/// Webhooks of one tenant.
pub const WEBHOOKS: i64 = 1_000;
/// URLs of one webhook, revoked and expired ones included.
pub const URLS: i64 = 100;
/// API keys of one webhook that are neither revoked nor expired: an ingress compares a request with each of them.
pub const LIVE_API_KEYS: i64 = 20;
/// API keys of one webhook in all.
pub const API_KEYS: i64 = 200;
/// Allowlists of one tenant.
pub const ALLOWLISTS: i64 = 200;
/// Entries of one allowlist.
pub const ALLOWLIST_ENTRIES: i64 = 10_000;
/// Allowlists that are attached to one webhook.
pub const ATTACHED_ALLOWLISTS: usize = 10;
/// Destinations of one tenant.
pub const DESTINATIONS: i64 = 1_000;
/// Collections of one tenant.
pub const COLLECTIONS: i64 = 200;
/// Secrets of one tenant.
pub const SECRETS: i64 = 1_000;
/// Live secrets of one sender in a webhook's authentication.
pub const SENDER_SECRETS: i32 = 10;
/// Bytes of a secret: enough for a private key in PEM form.
pub const SECRET_BYTES: usize = 16 * 1024;
/// Revisions of one webhook: every saved draft is one.
pub const REVISIONS: i64 = 10_000;
/// Replays of one tenant that run at the same time.
pub const RUNNING_REPLAYS: i64 = 10;
/// Links to the document of one tenant's webhooks.
pub const PUBLIC_API_LINKS: i64 = 100;
/// Webhooks that the document tells of.
pub const DOCUMENTED_WEBHOOKS: i64 = 500;
/// Bytes of their revisions.
pub const DOCUMENTED_BYTES: i64 = 8 << 20;
/// Characters of a name.
pub const NAME_CHARACTERS: usize = 200;
/// Characters of the reason for which a tenant is suspended.
pub const REASON_CHARACTERS: usize = 500;
/// Characters of a note.
pub const NOTE_CHARACTERS: usize = 500;

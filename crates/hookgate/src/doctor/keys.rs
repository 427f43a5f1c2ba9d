//! Whether the master key opens what is stored, and which keys have sealed it.

use hookgate_domain::crypto::{KeyId, MasterKey};
use hookgate_domain::database::PgConnection;
use hookgate_domain::{Result, clock, sealed, signing_keys};

use super::finding::Report;

pub(super) fn judge_signing_keys(
    conn: &mut PgConnection,
    key: &MasterKey,
    report: &mut Report,
) -> Result<()> {
    const CHECK: &str = "master_key";
    let keys = signing_keys::live(conn, clock::now())?;
    let opens = |stored: &signing_keys::SigningKey| {
        key.open(&signing_keys::context(&stored.kid), &stored.private_key)
            .is_ok()
    };
    let closed = keys.iter().filter(|stored| !opens(stored)).count();
    if keys.is_empty() {
        report.ok(CHECK, "nothing is sealed yet");
    } else if closed == 0 {
        report.ok(CHECK, "opens what is stored");
    } else {
        report.error(
            CHECK,
            format!("does not open {closed} of {} stored signing keys", keys.len()),
            "set the master key that this database was used with",
        );
    }
    Ok(())
}

/// Which keys have sealed what is stored.
pub(super) fn judge_sealed(
    check: &str,
    counted: &[(Option<KeyId>, i64)],
    key: &MasterKey,
    report: &mut Report,
) {
    let sum = |wanted: &dyn Fn(Option<KeyId>) -> bool| -> i64 {
        counted
            .iter()
            .filter(|(id, _)| wanted(*id))
            .map(|(_, values)| values)
            .sum()
    };
    let unknown = sum(&|id| !id.is_some_and(|id| key.knows(id)));
    let previous = sum(&|id| id.is_some_and(|id| id != key.id() && key.knows(id)));
    if unknown > 0 {
        report.error(
            check,
            format!("{unknown} values are sealed with keys that are not set"),
            "name the earlier keys in previous_master_keys (HOOKGATE_PREVIOUS_MASTER_KEYS)",
        );
    } else if previous > 0 {
        report.warning(
            check,
            format!("{previous} values are still sealed with a previous key"),
            "once all services have the new key, run `hookgate master-key reseal`",
        );
    } else {
        report.ok(
            check,
            format!("{} values are sealed with the current key", sum(&|_| true)),
        );
    }
}

/// Everything, which the owner alone sees.
pub(super) fn judge_all_sealed(owner: &mut PgConnection, key: &MasterKey, report: &mut Report) {
    const CHECK: &str = "master_key.all";
    match sealed::count(owner) {
        Ok(count) => {
            let counted: Vec<_> = count.into_iter().map(|((_, id), values)| (id, values)).collect();
            judge_sealed(CHECK, &counted, key, report);
        }
        Err(_) => report.error(
            CHECK,
            "what is sealed could not be counted",
            "set database.owner_url to the owner of the tables, and run `hookgate migrate`",
        ),
    }
}

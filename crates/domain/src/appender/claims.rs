//! Which rows of a batch are deliveries that came before, and which are new.
//!
//! Rows are decided in their order, as if each were committed alone: a row is a duplicate when one of its keys belongs to
//! an event, stored before or earlier in the batch. The keys of the batch are claimed in Postgres first, for the events that
//! would win if nothing were stored yet; what others turn out to hold then decides anew.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;

use hookgate_model::deduplication::KeyDigest;
use hookgate_model::ids::EventId;
use uuid::Uuid;

use super::batch::Entry;
use super::libpq::{PgError, Row};
use crate::deduplication::{self, Duplicate, seconds};

/// Prepared once for a session. Its statements look keys up by arrays of unknown length, in a table that may have grown a
/// thousandfold since it was last analysed: only the index is ever right.
pub(super) fn prepare() -> String {
    let (claim, read, moved) = (
        deduplication::CLAIM,
        deduplication::READ_OTHERS,
        deduplication::MOVE,
    );
    format!(
        "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
         SET plan_cache_mode = force_generic_plan; \
         PREPARE claim_keys (uuid[], bytea[], uuid[], int[], int[], bytea[]) AS {claim}; \
         PREPARE read_other_keys (uuid[], bytea[]) AS {read}; \
         PREPARE move_keys (uuid[], bytea[], uuid[], int[], bytea[]) AS {moved}"
    )
}

/// How long a claim waits for another that is being committed, in milliseconds. A commit takes far less; a node that stands
/// still in the middle of one must not hold up the others for longer.
const LOCK_TIMEOUT_MS: u32 = 500;

/// A row's keys, as it waits.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) tenant: Uuid,
    pub(super) event: EventId,
    pub(super) keys: Vec<KeyDigest>,
    pub(super) seconds: i32,
    pub(super) answer: Option<Arc<[u8]>>,
}

impl Claim {
    pub(super) fn of(tenant: Uuid, event: EventId, keys: &deduplication::DeliveryKeys) -> Self {
        Self {
            tenant,
            event,
            keys: keys.keys.clone(),
            seconds: seconds(keys.remember),
            answer: keys.answer.clone(),
        }
    }

    /// The bytes of the answer that is stored beside its keys.
    pub(super) fn answer_bytes(&self) -> usize {
        self.answer.as_ref().map_or(0, |answer| answer.len())
    }

    /// The event itself, as the one that came first.
    fn as_first(&self) -> Duplicate {
        Duplicate {
            first: self.event,
            answer: self.answer.clone(),
        }
    }
}

/// What keys belong to.
type Holders = HashMap<KeyDigest, Duplicate>;

/// The claims of a batch.
pub(super) struct Claims<'a> {
    /// By the place of their row.
    rows: Vec<(usize, &'a Claim)>,
    /// By tenant and key, which is the order of the primary key: the row that brings the key first.
    keys: BTreeMap<(Uuid, KeyDigest), &'a Claim>,
    /// What the keys belong to if Postgres knows none of them.
    wanted: Holders,
}

/// What is to become of a batch.
#[derive(Debug)]
pub(super) struct Decision {
    /// The event that came before, for each row of the batch that is a duplicate.
    pub duplicates: BTreeMap<usize, Duplicate>,
    /// The statement that gives keys of duplicates to the events that came before.
    pub moves: Option<String>,
    /// Whether the batch is stored already: an earlier try was committed, though nobody heard of it.
    pub is_committed: bool,
}

impl<'a> Claims<'a> {
    /// The claims of a batch; `None` when no row has a key.
    pub fn of(entries: &'a [Entry]) -> Option<Self> {
        let rows = entries.iter().enumerate();
        let rows = rows.filter_map(|(place, entry)| Some((place, entry.claim.as_deref()?)));
        Self::of_rows(rows.collect())
    }

    fn of_rows(rows: Vec<(usize, &'a Claim)>) -> Option<Self> {
        if rows.is_empty() {
            return None;
        }
        let mut keys = BTreeMap::new();
        for (_, claim) in &rows {
            for key in &claim.keys {
                keys.entry((claim.tenant, *key)).or_insert(*claim);
            }
        }
        let (_, wanted) = decide(&rows, Holders::new());
        Some(Self { rows, keys, wanted })
    }

    /// The statements that begin the transaction and claim the keys. Their rows are for [`Self::decide`].
    pub fn statements(&self) -> String {
        let mut arrays: [String; 5] = Default::default();
        let mut answers = Answers::default();
        for ((tenant, key), claim) in &self.keys {
            let Some(holder) = self.wanted.get(key) else {
                continue;
            };
            let [tenants, digests, events, spans, places] = &mut arrays;
            let _ = write!(tenants, "{},", tenant.as_hyphenated());
            write_bytes(digests, key.as_bytes());
            let _ = write!(events, "{},", holder.first.uuid().as_hyphenated());
            let _ = write!(spans, "{},", claim.seconds);
            answers.write_place(places, holder.answer.as_ref());
        }
        let [tenants, digests, events, spans, places] = arrays.map(array);
        let answers = answers.array();
        format!(
            "BEGIN; SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; \
             EXECUTE claim_keys ({tenants}, {digests}, {events}, {spans}, {places}, {answers}); \
             EXECUTE read_other_keys ({tenants}, {digests}); SET LOCAL lock_timeout = 0"
        )
    }

    /// Decides every row, with what others hold.
    pub fn decide(&self, others: &[Row]) -> Result<Decision, PgError> {
        let others: Holders = others.iter().map(holder).collect::<Result<_, _>>()?;
        let events: HashSet<EventId> = self.rows.iter().map(|(_, claim)| claim.event).collect();
        let is_committed = others.values().any(|holder| events.contains(&holder.first));
        let (duplicates, holders) = decide(&self.rows, others.clone());
        let moved = self.keys.keys().filter(|(_, key)| {
            !others.contains_key(key)
                && holders.get(key).map(|holder| holder.first)
                    != self.wanted.get(key).map(|holder| holder.first)
        });
        Ok(Decision {
            moves: move_statement(moved, &holders),
            duplicates,
            is_committed,
        })
    }
}

/// Goes through the rows in their order. Returns what came before each duplicate, and what every key belongs to in the end.
fn decide(rows: &[(usize, &Claim)], mut holders: Holders) -> (BTreeMap<usize, Duplicate>, Holders) {
    let mut duplicates = BTreeMap::new();
    for (place, claim) in rows {
        let known = claim.keys.iter().find_map(|key| holders.get(key)).cloned();
        let first = known.unwrap_or_else(|| claim.as_first());
        for key in &claim.keys {
            holders.entry(*key).or_insert_with(|| first.clone());
        }
        if first.first != claim.event {
            duplicates.insert(*place, first);
        }
    }
    (duplicates, holders)
}

fn move_statement<'k>(
    keys: impl Iterator<Item = &'k (Uuid, KeyDigest)>,
    holders: &Holders,
) -> Option<String> {
    let mut arrays: [String; 4] = Default::default();
    let mut answers = Answers::default();
    for (tenant, key) in keys {
        let Some(holder) = holders.get(key) else { continue };
        let [tenants, digests, events, places] = &mut arrays;
        let _ = write!(tenants, "{},", tenant.as_hyphenated());
        write_bytes(digests, key.as_bytes());
        let _ = write!(events, "{},", holder.first.uuid().as_hyphenated());
        answers.write_place(places, holder.answer.as_ref());
    }
    if arrays[0].is_empty() {
        return None;
    }
    let arrays = arrays.map(array).join(", ");
    Some(format!("EXECUTE move_keys ({arrays}, {})", answers.array()))
}

/// The answers of a batch, each once: most are the same for all events of a webhook.
#[derive(Default)]
struct Answers {
    places: HashMap<Arc<[u8]>, usize>,
    array: String,
}

impl Answers {
    fn write_place(&mut self, places: &mut String, answer: Option<&Arc<[u8]>>) {
        let Some(answer) = answer else {
            places.push_str("NULL,");
            return;
        };
        let next = self.places.len() + 1;
        let place = *self.places.entry(Arc::clone(answer)).or_insert_with(|| {
            write_bytes(&mut self.array, answer);
            next
        });
        let _ = write!(places, "{place},");
    }

    fn array(self) -> String {
        array(self.array)
    }
}

/// An array's literal of its elements, each of which ends with a comma. They are UUIDs, numbers and hexadecimal digits:
/// nothing that came from outside.
fn array(elements: String) -> String {
    format!("'{{{}}}'", elements.trim_end_matches(','))
}

fn write_bytes(elements: &mut String, bytes: &[u8]) {
    elements.push_str("\"\\\\x");
    elements.push_str(&base16ct::lower::encode_string(bytes));
    elements.push_str("\",");
}

/// Reads what [`deduplication::READ_OTHERS`] gives.
fn holder(row: &Row) -> Result<(KeyDigest, Duplicate), PgError> {
    let [Some(digest), Some(event), answer] = row.as_slice() else {
        return Err(unreadable());
    };
    let bytes = |hex: &str| base16ct::lower::decode_vec(hex).map_err(|_| unreadable());
    let digest = KeyDigest::from_slice(&bytes(digest)?).ok_or_else(unreadable)?;
    let first: Uuid = event.parse().map_err(|_| unreadable())?;
    let answer = answer.as_deref().map(bytes).transpose()?;
    let duplicate = Duplicate {
        first: EventId::from(first),
        answer: answer.map(Arc::from),
    };
    Ok((digest, duplicate))
}

fn unreadable() -> PgError {
    PgError {
        sqlstate: String::new(),
        message: "a remembered delivery cannot be read".into(),
    }
}

#[cfg(test)]
mod tests {
    use hookgate_model::deduplication::KeySecret;
    use hookgate_model::ids::WebhookId;
    use hookgate_model::webhook::Environment;

    use super::*;

    fn key(name: char) -> KeyDigest {
        let secret = KeySecret::new(zeroize::Zeroizing::new([7; 32]));
        let webhook = WebhookId::from(Uuid::nil());
        KeyDigest::of_text(&secret, webhook, Environment::Production, &name.to_string())
    }

    fn event(number: u128) -> EventId {
        EventId::from(Uuid::from_u128(number))
    }

    /// Rows by number, each with the letters of its keys.
    fn claims(rows: &[&str]) -> Vec<Claim> {
        let claim = |(number, keys): (u128, &&str)| Claim {
            tenant: Uuid::nil(),
            event: event(number),
            keys: keys.chars().map(key).collect(),
            seconds: 3600,
            answer: Some(Arc::from(number.to_be_bytes().as_slice())),
        };
        (1..).zip(rows).map(claim).collect()
    }

    fn row(name: char, first: u128) -> Row {
        let digest = base16ct::lower::encode_string(key(name).as_bytes());
        vec![
            Some(digest),
            Some(event(first).uuid().to_string()),
            Some("00".into()),
        ]
    }

    /// Of each row, the event that came before; and whether keys were moved.
    fn decided(rows: &[&str], others: &[(char, u128)]) -> (Vec<Option<u128>>, bool) {
        let claims = claims(rows);
        let claims = Claims::of_rows(claims.iter().enumerate().collect()).expect("claims");
        let others: Vec<Row> = others.iter().map(|(name, first)| row(*name, *first)).collect();
        let decision = claims.decide(&others).expect("a decision");
        assert!(!decision.is_committed);
        let first = |place| {
            decision
                .duplicates
                .get(&place)
                .map(|first| first.first.uuid().as_u128())
        };
        ((0..rows.len()).map(first).collect(), decision.moves.is_some())
    }

    #[test]
    fn rows_are_decided_in_their_order() {
        for (rows, others, expected, moves) in [
            (&["a", "b"][..], &[][..], vec![None, None], false),
            (&["a", "a", "a"], &[], vec![None, Some(1), Some(1)], false),
            (&["a"], &[('a', 90)], vec![Some(90)], false),
            (
                &["a", "a", "b"],
                &[('a', 90)],
                vec![Some(90), Some(90), None],
                false,
            ),
            // Two keys: either makes a duplicate, and both then belong to what came before.
            (&["ab", "cb", "c"], &[], vec![None, Some(1), Some(1)], false),
            (&["ab"], &[('b', 90)], vec![Some(90)], true),
            (&["ab"], &[('a', 90), ('b', 91)], vec![Some(90)], false),
            (&["ab", "cb"], &[('c', 90)], vec![None, Some(90)], false),
            (&["ab", "bc", "cd"], &[('a', 90)], vec![Some(90); 3], true),
            (&["ab", "c"], &[('b', 90)], vec![Some(90), None], true),
        ] {
            assert_eq!(decided(rows, others), (expected, moves), "{rows:?} {others:?}");
        }
    }

    #[test]
    fn a_batch_that_is_stored_already_is_recognised() {
        let claims = claims(&["a", "b", "b"]);
        let claims = Claims::of_rows(claims.iter().enumerate().collect()).expect("claims");
        let decision = claims.decide(&[row('a', 1), row('b', 2)]).expect("a decision");
        assert!(decision.is_committed && decision.moves.is_none());
        assert_eq!(decision.duplicates.keys().collect::<Vec<_>>(), [&2]);
    }

    #[test]
    fn statements_hold_each_answer_once_and_keys_in_their_order() {
        let mut rows = claims(&["c", "a", "b"]);
        let same: Arc<[u8]> = Arc::from(&b"answer"[..]);
        for row in &mut rows {
            row.answer = Some(Arc::clone(&same));
        }
        rows[1].answer = None;
        let claims = Claims::of_rows(rows.iter().enumerate().collect()).expect("claims");
        let statements = claims.statements();
        assert_eq!(
            statements.matches(&base16ct::lower::encode_string(&same)).count(),
            1
        );
        let mut places: Vec<_> = ['a', 'b', 'c']
            .map(|name| statements.find(&base16ct::lower::encode_string(key(name).as_bytes())))
            .into();
        let mut keys = [('a', key('a')), ('b', key('b')), ('c', key('c'))];
        keys.sort_unstable_by_key(|(_, key)| *key);
        places.sort_unstable();
        let in_order: Vec<_> = keys
            .iter()
            .map(|(_, key)| statements.find(&base16ct::lower::encode_string(key.as_bytes())))
            .collect();
        assert_eq!(in_order, places);
    }
}

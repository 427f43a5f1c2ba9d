//! What all signatures have in common: where they are, what they cover, when they were made, and whether the whole body or
//! each of its items is signed.

use chrono::{DateTime, Utc};

use super::content::Part;
use super::json::{Field, Wanted};
use super::place::Pointer;
use super::signature::{Bounds, SignatureSettings, Signatures};
use super::signed_content::{Beside, SignedContent};
use super::source::Source;
use super::timestamp::{Timestamp, TimestampSettings};
use super::trace::Trace;
use super::verdict::{Denial, DenialCode};
use super::verifier::{Look, Stop};

/// A signed request, compiled.
pub(super) struct Signed {
    wanted: Wanted,
    pub content: SignedContent,
    pub signatures: Signatures,
    timestamp: Option<Timestamp>,
    items: Option<(Wanted, Field)>,
}

impl Signed {
    pub fn compile(
        content: &[Part],
        signature: &SignatureSettings,
        timestamp: Option<&TimestampSettings>,
        items: Option<&Pointer>,
        bounds: Bounds,
    ) -> Self {
        let mut wanted = Wanted::default();
        Self {
            content: SignedContent::compile(content, &mut wanted),
            signatures: Signatures::compile(signature, bounds, &mut wanted),
            timestamp: timestamp.map(|settings| Timestamp::compile(settings, &mut wanted)),
            items: items.map(|pointer| {
                let mut list = Wanted::default();
                let field = list.add(pointer);
                (list, field)
            }),
            wanted,
        }
    }

    /// Whether it takes the body to decide.
    pub fn needs_body(&self) -> bool {
        self.items.is_some()
            || self.content.reads_body()
            || self.signatures.is_in_body()
            || self.timestamp.as_ref().is_some_and(Timestamp::is_in_body)
    }

    /// Verifies a request: `check` decides whether one of the signatures belongs to what is signed. Without the body only what
    /// stands in the head is looked at. Returns the earliest time of signing.
    pub fn verify(
        &self,
        look: &Look<'_>,
        trace: &mut Trace,
        mut check: impl FnMut(&Source<'_>, Beside<'_>, &mut Trace) -> Result<(), Stop>,
    ) -> Result<Option<DateTime<Utc>>, Stop> {
        if !look.has_body && self.needs_body() {
            self.look_at_head(look, trace)?;
            return Err(Stop::NeedsBody);
        }
        let Some((list, field)) = &self.items else {
            let source = Source::whole(look.request, &self.wanted)?;
            return self.verify_one(&source, trace, &mut check);
        };
        let items = Source::whole(look.request, list)?.items(*field)?;
        trace.passed("items", || format!("the body holds {} signed items", items.len()));
        let mut earliest: Option<DateTime<Utc>> = None;
        for (index, item) in items.into_iter().enumerate() {
            let source = Source::over(look.request, item, &self.wanted)?;
            let time = self
                .verify_one(&source, trace, &mut check)
                .map_err(|stop| in_item(stop, index))?;
            earliest = earliest.into_iter().chain(time).min();
        }
        Ok(earliest)
    }

    /// Denies what can be denied before the body is read.
    fn look_at_head(&self, look: &Look<'_>, trace: &mut Trace) -> Result<(), Denial> {
        let source = Source::head(look.request);
        if let Some(timestamp) = self
            .timestamp
            .as_ref()
            .filter(|timestamp| !timestamp.is_in_body())
        {
            timestamp.verify(&source, trace)?;
        }
        if !self.signatures.is_in_body() {
            self.signatures.each(&source, &mut |_| {})?;
        }
        Ok(())
    }

    fn verify_one(
        &self,
        source: &Source<'_>,
        trace: &mut Trace,
        check: &mut impl FnMut(&Source<'_>, Beside<'_>, &mut Trace) -> Result<(), Stop>,
    ) -> Result<Option<DateTime<Utc>>, Stop> {
        let time = match &self.timestamp {
            Some(timestamp) => Some(timestamp.verify(source, trace)?),
            None => None,
        };
        let beside = Beside {
            timestamp: time.as_ref().map(|time| &*time.text).unwrap_or_default(),
            secret: b"",
        };
        check(source, beside, trace)?;
        Ok(time.map(|time| time.time))
    }
}

fn in_item(stop: Stop, index: usize) -> Stop {
    match stop {
        Stop::Denied(denial) => Stop::Denied(Denial::new(
            denial.code,
            format!("Item {index}: {}", denial.detail),
        )),
        other => other,
    }
}

/// The denial of a signature that belongs to something else.
pub(super) fn wrong(place: &str) -> Denial {
    Denial::new(
        DenialCode::SignatureWrong,
        format!(
            "No signature in {place} belongs to this request and a live key: compare the key, and what is signed."
        ),
    )
}

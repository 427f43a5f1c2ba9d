//! The marks of notifications, in the form of their header.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{HEADER, Kind, message};
use crate::base32;
use crate::flow::step::http::HttpCall;
use crate::headers;
use crate::ids::JobId;

/// The most marks that are passed on: as many tenants can tell each other in turn.
const MOST: usize = 8;

/// Says which notification it was that caused something: `run.failed; id=msg_…; mac=…`. Only who sent it knows whether it is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// What was told.
    pub kind: Kind,
    /// The notification.
    pub id: JobId,
    /// Proves to its tenant that it was told.
    pub mac: [u8; 32],
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, id, mac } = self;
        write!(
            f,
            "{kind}; id={}; mac={}",
            message(*id),
            URL_SAFE_NO_PAD.encode(mac)
        )
    }
}

impl Mark {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let kind = Kind::parse(parts.next()?)?;
        let id = parts.next()?.strip_prefix("id=msg_")?;
        let mac = URL_SAFE_NO_PAD.decode(parts.next()?.strip_prefix("mac=")?);
        let mark = Self {
            kind,
            id: uuid::Uuid::from_u128(base32::decode(id.as_bytes())?).into(),
            mac: mac.ok()?.try_into().ok()?,
        };
        parts.next().is_none().then_some(mark)
    }
}

/// The marks that an event brought. What has not their form is none.
pub fn marks(event_headers: &[u8]) -> Vec<Mark> {
    let value = headers::find(event_headers, HEADER).unwrap_or_default();
    read(value).flatten().take(MOST).collect()
}

/// Whether the header's value is marks and nothing else.
pub fn are_marks(value: &[u8]) -> bool {
    read(value).all(|mark| mark.is_some())
}

/// What stands in the header's value, between commas.
fn read(value: &[u8]) -> impl Iterator<Item = Option<Mark>> {
    let value = std::str::from_utf8(value).unwrap_or_default();
    value.split(',').map(Mark::parse)
}

/// Marks as the header's value: the first ones, if there are too many.
pub(super) fn value(marks: &[Mark]) -> String {
    let marks: Vec<String> = marks.iter().take(MOST).map(Mark::to_string).collect();
    marks.join(", ")
}

/// Gives a call of a run the marks that its event brought.
pub fn mark(call: &mut HttpCall, event_headers: &[u8]) {
    let marks = marks(event_headers);
    if !marks.is_empty() {
        call.headers.push((HEADER.to_owned(), value(&marks)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_as_they_are_written_and_nothing_else_is() {
        let mark = |n: u8| Mark {
            kind: Kind::CallbackFailed,
            id: uuid::Uuid::from_bytes([n; 16]).into(),
            mac: [n; 32],
        };
        let read = |value: &str| marks(format!("a: b\r\nHookgate-Notification: {value}\r\n").as_bytes());
        let all: Vec<Mark> = (1..=9).map(mark).collect();
        assert_eq!(read(&value(&all[..1])), all[..1]);
        assert_eq!(read(&value(&all)), all[..MOST]);
        let one = mark(1).to_string();
        assert_eq!(read(&format!("run.failed,{one} ,;, {one}")), [mark(1), mark(1)]);
        for wrong in [
            String::new(),
            "run.failed".to_owned(),
            one.replace("callback", "anything"),
            one.replace("msg_0", "msg_8"),
            one.replace("id=msg_", "id="),
            one[..one.len() - 4].to_owned(),
            format!("{one}AA"),
            format!("{one}; more=1"),
        ] {
            assert_eq!(read(&wrong), [], "{wrong}");
        }
        assert_eq!(marks(b"a: b\r\n"), []);
        assert!(are_marks(value(&all).as_bytes()) && !are_marks(b""));
        assert!(!are_marks(format!("{one}, Ada").as_bytes()));
    }
}

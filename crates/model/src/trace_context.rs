//! Which trace something belongs to, as W3C Trace Context tells it (<https://www.w3.org/TR/trace-context/>).
//!
//! A request that brings a `traceparent` stays in its trace. Any other begins one, whose id is that of its event: so whoever
//! works at the event later knows the trace without being told.

use std::fmt;

use uuid::Uuid;

/// The header's name.
pub const HEADER: &str = "traceparent";

/// The id of a trace: 32 hexadecimal digits, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

impl TraceId {
    /// As bytes, in the order of its digits.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Whether this trace is among the given share (0 to 1) of all: the same decision wherever it is asked. It rests on the last
    /// seven bytes, which are random in any trace id of level 2, and in a UUIDv7.
    pub fn is_sampled(self, ratio: f64) -> bool {
        const RANDOM_BITS: u32 = 56;
        let random = self.0 & ((1 << RANDOM_BITS) - 1);
        // 56 bits: what is lost in a floating-point number does not matter for a share.
        (random as f64) < ratio * f64::from(2).powi(RANDOM_BITS.cast_signed())
    }
}

impl From<Uuid> for TraceId {
    fn from(id: Uuid) -> Self {
        Self(id.as_u128().max(1))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A place in a trace: the operation that is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The operation: what it starts has this as its parent.
    pub span_id: u64,
    /// Whether somebody records the trace.
    pub is_sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent` (section 3.2).
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace_id, span_id, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |part: &str, length| {
            part.len() == length
                && part
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let is_whole = version != "00" || parts.next().is_none();
        let fits = is_hex(version, 2) && is_hex(trace_id, 32) && is_hex(span_id, 16) && is_hex(flags, 2);
        if !fits || version == "ff" || !is_whole {
            return None;
        }
        let trace_id = u128::from_str_radix(trace_id, 16).ok().filter(|id| *id != 0)?;
        let span_id = u64::from_str_radix(span_id, 16).ok().filter(|id| *id != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self {
            trace_id: TraceId(trace_id),
            span_id,
            is_sampled: flags & 1 == 1,
        })
    }

    /// The context of an event, from its request's `traceparent` and its id; of a trace that begins with it, the given share is
    /// sampled.
    pub fn of_event(traceparent: Option<&[u8]>, event: Uuid, ratio: f64) -> Self {
        let told = traceparent.and_then(|value| std::str::from_utf8(value).ok());
        told.and_then(Self::parse).unwrap_or_else(|| {
            let trace_id = TraceId::from(event);
            Self {
                trace_id,
                span_id: Self::span_of(event),
                is_sampled: trace_id.is_sampled(ratio),
            }
        })
    }

    /// The operation of receiving an event: what is done for it later has this as its parent.
    pub fn span_of(event: Uuid) -> u64 {
        event.as_u64_pair().1.max(1)
    }

    /// An operation within this one, by a random number.
    #[must_use]
    pub fn child(self, random: u64) -> Self {
        Self {
            span_id: random.max(1),
            ..self
        }
    }

    /// The value of the header.
    pub fn header(self) -> String {
        format!(
            "00-{}-{:016x}-{:02x}",
            self.trace_id,
            self.span_id,
            u8::from(self.is_sampled)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_traceparent_is_taken_over() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        let text = format!("00-{id}-b7ad6b7169203331-01");
        let context = TraceContext::parse(&text).expect("a context");
        assert_eq!(
            (context.trace_id.to_string().as_str(), context.is_sampled),
            (id, true)
        );
        assert_eq!(context.header(), text);
        let later = format!("01-{id}-b7ad6b7169203331-00-more");
        assert!(TraceContext::parse(&later).is_some_and(|context| !context.is_sampled));
        for wrong in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ] {
            assert_eq!(TraceContext::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_event_begins_a_trace_unless_its_request_is_in_one() {
        let event = Uuid::from_u128(0x019a_0000_0000_7000_8000_0000_0000_0001);
        let begun = TraceContext::of_event(None, event, 1.0);
        assert_eq!(begun.trace_id.to_string(), event.simple().to_string());
        assert_eq!(begun, TraceContext::of_event(Some(b"nonsense"), event, 1.0));
        let given = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let taken = TraceContext::of_event(Some(given), event, 1.0);
        assert_eq!(taken.header().as_bytes(), given);
        assert_eq!(taken.child(0).span_id, 1, "an id is never zero");
    }

    #[test]
    fn a_share_of_the_traces_is_sampled() {
        let id = |random: u128| TraceId(0x0123 << 112 | random << 48);
        let sampled = |ratio| (0..256).filter(|byte| id(*byte).is_sampled(ratio)).count();
        assert_eq!((sampled(0.0), sampled(0.25), sampled(1.0)), (0, 64, 256));
    }
}

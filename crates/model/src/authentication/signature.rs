//! Where signatures are in a request, and how they are written.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::content::Encoding;
use super::hashing::SIGNATURE_BYTES;
use super::json::Wanted;
use super::pairs::Found;
use super::place::{HeaderName, Place};
use super::problem::{Problem, ProblemCode, check_some_text};
use super::source::{Source, Spot, split};
use super::verdict::{Denial, DenialCode};

/// How many numbered headers there may be.
const MAX_NUMBERED: u16 = 100;
/// The longest prefix or separator, in characters.
const MAX_TEXT: usize = 100;

/// Where the signatures of a request are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"at": {"in": "header", "name": "x-hub-signature-256"}, "prefix": "sha256=", "encoding": "hex"}))]
pub struct SignatureSettings {
    /// Where they are. A key of `pair` may be there several times.
    pub at: Place,
    /// Whether the name of the header is followed by `-1`, `-2` and so on, up to this number.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100)]
    pub numbered_up_to: Option<u16>,
    /// What stands between several signatures in one value; without it the value is one signature.
    #[serde(default)]
    #[schema(example = " ")]
    pub separator: Option<String>,
    /// What each signature begins with. In a list, what begins otherwise is passed over.
    #[serde(default)]
    #[schema(example = "sha256=")]
    pub prefix: Option<String>,
    /// What each signature ends with, such as the `:` of a structured field.
    #[serde(default)]
    #[schema(example = ":")]
    pub suffix: Option<String>,
    /// How its bytes are written.
    #[serde(default)]
    pub encoding: Encoding,
}

impl SignatureSettings {
    pub(super) fn check(&self, problems: &mut Vec<Problem>, parent: &str) {
        if let Some(most) = self.numbered_up_to {
            let at = format!("{parent}/numbered_up_to");
            if !(1..=MAX_NUMBERED).contains(&most) {
                let detail = format!("must be from 1 to {MAX_NUMBERED}");
                problems.push(Problem::new(at, ProblemCode::OutOfRange, detail));
            } else if !matches!(self.at, Place::Header { .. }) {
                problems.push(Problem::new(
                    at,
                    ProblemCode::Invalid,
                    "only headers are numbered",
                ));
            }
        }
        if let Some(separator) = &self.separator {
            check_some_text(problems, &format!("{parent}/separator"), separator, MAX_TEXT);
        }
        for (name, text) in [("prefix", &self.prefix), ("suffix", &self.suffix)] {
            if let Some(text) = text {
                check_some_text(problems, &format!("{parent}/{name}"), text, MAX_TEXT);
            }
        }
    }
}

/// Where signatures are, compiled.
pub(super) struct Signatures {
    spot: Spot,
    numbered: Vec<HeaderName>,
    separator: Option<Vec<u8>>,
    prefix: Vec<u8>,
    suffix: Vec<u8>,
    encoding: Encoding,
    bounds: Bounds,
}

/// What signatures of an algorithm must be like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// How many of a request are looked at, at the most; a request with more is refused.
    pub most: usize,
    /// How many bytes each has, where that is fixed.
    pub length: Option<usize>,
}

/// What was found where the signatures are.
#[derive(Default)]
struct Seen {
    /// Signatures, of whatever form.
    presented: usize,
    /// Those that are well-formed.
    readable: usize,
}

impl Signatures {
    pub fn compile(settings: &SignatureSettings, bounds: Bounds, wanted: &mut Wanted) -> Self {
        let numbered = match (&settings.at, settings.numbered_up_to) {
            (Place::Header { name }, Some(last)) => (1..=last)
                .filter_map(|number| HeaderName::parse(&format!("{name}-{number}")).ok())
                .collect(),
            _ => Vec::new(),
        };
        let text = |text: &Option<String>| text.as_ref().map(|text| text.as_bytes().to_vec());
        Self {
            spot: Spot::compile(&settings.at, wanted),
            numbered,
            separator: text(&settings.separator),
            prefix: text(&settings.prefix).unwrap_or_default(),
            suffix: text(&settings.suffix).unwrap_or_default(),
            encoding: settings.encoding,
            bounds,
        }
    }

    pub fn is_in_body(&self) -> bool {
        self.spot.is_in_body()
    }

    /// Gives every well-formed signature, and their number.
    pub fn each(&self, source: &Source<'_>, f: &mut dyn FnMut(&[u8])) -> Result<usize, Denial> {
        let mut seen = Seen::default();
        let mut buffer = [0; SIGNATURE_BYTES];
        let mut one = |text: &[u8]| {
            seen.presented += 1;
            if seen.presented > self.bounds.most {
                return;
            }
            let bytes = self.encoding.decode(text, &mut buffer);
            let bytes = bytes.filter(|bytes| {
                self.bounds
                    .length
                    .map_or(!bytes.is_empty(), |length| bytes.len() == length)
            });
            if let Some(bytes) = bytes {
                seen.readable += 1;
                f(bytes);
            }
        };
        let mut value = |value: &[u8]| self.each_in(value, &mut one);
        if !self.numbered.is_empty() {
            for name in &self.numbered {
                if let Some(found) = source.request.headers.combined(name.as_str()) {
                    value(&found);
                }
            }
        } else if let Spot::Pair { .. } = self.spot {
            source.each_pair(&self.spot, &mut value);
        } else {
            match source.find(&self.spot)? {
                Found::One(found) => value(&found),
                Found::Missing => {}
                Found::Several => {
                    let detail = format!("The {} is there more than once.", self.spot);
                    return Err(Denial::new(DenialCode::SignatureMalformed, detail));
                }
            }
        }
        self.judge(&seen)
    }

    /// The signatures in one value.
    fn each_in(&self, value: &[u8], one: &mut dyn FnMut(&[u8])) {
        match &self.separator {
            Some(separator) => split(value, separator)
                .filter_map(|piece| self.bare(piece))
                .for_each(one),
            // Without its prefix it is presented, but none that can be read.
            None => one(self.bare(value).unwrap_or(b"\0")),
        }
    }

    /// A signature without what it begins and ends with.
    fn bare<'v>(&self, piece: &'v [u8]) -> Option<&'v [u8]> {
        piece
            .strip_prefix(self.prefix.as_slice())?
            .strip_suffix(self.suffix.as_slice())
    }

    fn judge(&self, seen: &Seen) -> Result<usize, Denial> {
        let place = self.place();
        if seen.presented == 0 {
            let detail = match (&self.separator, self.prefix.is_empty()) {
                (Some(_), false) => format!("There is no signature `{}…` in {place}.", self.prefix()),
                _ => format!("There is no signature: no {place}."),
            };
            return Err(Denial::new(DenialCode::SignatureMissing, detail));
        }
        if seen.presented > self.bounds.most {
            let detail = format!("There are more than {} signatures in {place}.", self.bounds.most);
            return Err(Denial::new(DenialCode::SignatureMalformed, detail));
        }
        if seen.readable == 0 {
            let form = match self.bounds.length {
                Some(length) => format!("{length} bytes in {}", self.encoding.name()),
                None => self.encoding.name().to_owned(),
            };
            let after = match self.prefix() {
                prefix if prefix.is_empty() => String::new(),
                prefix => format!(" after `{prefix}`"),
            };
            let detail = format!("What is in {place} is no signature: expected {form}{after}.");
            return Err(Denial::new(DenialCode::SignatureMalformed, detail));
        }
        Ok(seen.readable)
    }

    /// Where they are, in words.
    pub fn place(&self) -> String {
        match self.numbered.last() {
            Some(last) => format!("{}-1 to `{last}`", self.spot),
            None => self.spot.to_string(),
        }
    }

    fn prefix(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.prefix)
    }
}

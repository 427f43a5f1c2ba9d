//! What is masked in a body, and what kind of body it is.

use std::ops::Range;

use bytes::Bytes;

use super::mask_path::Segment;
use super::{BodyRemoved, MASKED, json, pairs};
use crate::body::media_type::Parameterized;
use crate::body::{Body, BodyKind, encoding, multipart};
use crate::headers;

/// The paths into bodies, all of them followed at the same time.
#[derive(Debug, Default)]
pub(super) struct BodyMask {
    /// The segments of each path, with its number among all paths of the webhook.
    paths: Vec<(usize, Vec<Segment>)>,
}

/// How far each path has come at one value: its place in [`BodyMask::paths`], and its next segment.
pub(super) type Progress = Vec<(usize, usize)>;

impl BodyMask {
    pub fn push(&mut self, number: usize, segments: Vec<Segment>) {
        self.paths.push((number, segments));
    }

    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The paths that mask the whole body.
    pub fn whole(&self) -> impl Iterator<Item = usize> {
        let whole = self.paths.iter().filter(|(_, segments)| segments.is_empty());
        whole.map(|(number, _)| *number)
    }

    /// All paths at the body itself.
    pub fn begin(&self) -> Progress {
        (0..self.paths.len()).map(|path| (path, 0)).collect()
    }

    /// From an object to its value of a name.
    pub fn step(&self, progress: &Progress, name: &str) -> Progress {
        let mut next = Progress::new();
        for &(path, at) in progress {
            let Some((_, segments)) = self.paths.get(path) else {
                continue;
            };
            let mut reach = |at: usize| {
                if !next.contains(&(path, at)) {
                    next.push((path, at));
                }
            };
            match (segments.get(at), segments.get(at + 1)) {
                (Some(Segment::Key(key)), _) if key == name => reach(at + 1),
                (Some(Segment::AnyKey), _) => reach(at + 1),
                (Some(Segment::AnyDepth), following) => {
                    if matches!(following, Some(Segment::Key(key)) if key == name) {
                        reach(at + 2);
                    }
                    reach(at);
                }
                _ => {}
            }
        }
        next
    }

    /// The numbers of the paths that lead to this very value.
    pub fn arrived<'a>(&'a self, progress: &'a Progress) -> impl Iterator<Item = usize> + 'a {
        progress.iter().filter_map(|&(path, at)| {
            let (number, segments) = self.paths.get(path)?;
            (at == segments.len()).then_some(*number)
        })
    }
}

/// A value that is masked: where it is, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub span: Range<usize>,
    /// The numbers of the paths that lead there.
    pub paths: Vec<usize>,
    /// What must not be recorded elsewhere.
    pub secret: Secret,
}

/// A masked value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Secret {
    /// A piece of JSON.
    Json(String),
    Text(String),
    /// Nothing that could be looked for.
    Unknown,
}

/// What is to be done with a body.
pub(super) enum Decision {
    /// These values are replaced by this text.
    Replace(Vec<Found>, &'static str),
    /// All of it goes.
    Remove(BodyRemoved),
}

/// Finds what is masked in a body. What kind of body it is, is decided where templates have it decided, so that no value is
/// stored that a template could reach by a masked path.
pub(super) fn decide(mask: &BodyMask, stored_headers: &[u8], sent: &Bytes) -> Decision {
    if mask.is_empty() || sent.is_empty() {
        return Decision::Replace(Vec::new(), "");
    }
    if mask.whole().next().is_some() {
        return Decision::Remove(BodyRemoved::Masked);
    }
    // What is compressed could be masked only by storing something that was never sent.
    let is_plain = encoding::declared(stored_headers).is_ok_and(|encodings| encodings.is_empty());
    let body = Body::new(stored_headers, sent.clone());
    let found = if is_plain && body.document().is_some() {
        let content_type =
            Parameterized::parse(headers::find(stored_headers, "content-type").unwrap_or_default());
        match body.kind() {
            BodyKind::Json => find_in_json(mask, sent),
            BodyKind::JsonLines => find_in_lines(mask, sent),
            BodyKind::Form => find_in_form(mask, &content_type, sent),
            BodyKind::Multipart => find_in_parts(mask, &content_type, sent),
            BodyKind::Empty | BodyKind::Xml | BodyKind::Text | BodyKind::Binary => None,
        }
    } else {
        None
    };
    found.unwrap_or(Decision::Remove(BodyRemoved::NotReadable))
}

const QUOTED: &str = "\"[masked]\"";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn find_in_json(mask: &BodyMask, sent: &[u8]) -> Option<Decision> {
    let json = sent.strip_prefix(BYTE_ORDER_MARK).unwrap_or(sent);
    // A lone number or text has no names by which it could be told what it is.
    if !matches!(json.trim_ascii_start().first(), Some(b'{' | b'[')) {
        return None;
    }
    let found = json::find(mask, json, sent.len() - json.len()).ok()?;
    Some(Decision::Replace(found, QUOTED))
}

fn find_in_lines(mask: &BodyMask, sent: &[u8]) -> Option<Decision> {
    let mut found = Vec::new();
    let mut at = 0;
    for line in sent.split_inclusive(|&byte| byte == b'\n') {
        let json = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        if !json.trim_ascii().is_empty() {
            found.extend(json::find(mask, json, at + line.len() - json.len()).ok()?);
        }
        at += line.len();
    }
    Some(Decision::Replace(found, QUOTED))
}

fn find_in_form(mask: &BodyMask, content_type: &Parameterized, sent: &[u8]) -> Option<Decision> {
    // No form begins so: it is JSON that broke off, and would be one long name.
    if matches!(sent.trim_ascii_start().first(), Some(b'{' | b'[')) {
        return None;
    }
    let charset = content_type.parameter("charset").unwrap_or("utf-8");
    let form = std::str::from_utf8(sent)
        .ok()
        .filter(|_| charset.eq_ignore_ascii_case("utf-8"))?;
    let begin = mask.begin();
    let mut found = Vec::new();
    for pair in pairs::read(form) {
        let paths: Vec<usize> = mask.arrived(&mask.step(&begin, &pair.name)).collect();
        if !paths.is_empty() && pair.has_value {
            found.push(Found {
                span: pair.value_span.clone(),
                paths,
                secret: Secret::Text(pair.value.into_owned()),
            });
        }
    }
    Some(Decision::Replace(found, pairs::MASKED_VALUE))
}

/// Fields and files alike: a path names the part.
fn find_in_parts(mask: &BodyMask, content_type: &Parameterized, sent: &[u8]) -> Option<Decision> {
    let begin = mask.begin();
    let mut found = Vec::new();
    for part in multipart::parts(sent, content_type.parameter("boundary")?).ok()? {
        let paths: Vec<usize> = mask.arrived(&mask.step(&begin, &part.name)).collect();
        if !paths.is_empty() {
            let content = sent.get(part.content.clone())?;
            found.push(Found {
                span: part.content.clone(),
                paths,
                secret: match std::str::from_utf8(content) {
                    Ok(text) => Secret::Text(text.to_owned()),
                    // In whatever form it would turn up elsewhere.
                    Err(_) => Secret::Unknown,
                },
            });
        }
    }
    Some(Decision::Replace(found, MASKED))
}

/// The bytes with some spans replaced; the spans are in their order and apart.
pub(super) fn replace(bytes: &[u8], spans: impl Iterator<Item = Range<usize>>, by: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    for span in spans {
        out.extend_from_slice(bytes.get(at..span.start).unwrap_or_default());
        out.extend_from_slice(by.as_bytes());
        at = span.end;
    }
    out.extend_from_slice(bytes.get(at..).unwrap_or_default());
    out
}

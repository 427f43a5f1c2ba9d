//! What is masked in a body, and what kind of body it is.

use std::borrow::Cow;
use std::ops::Range;

use super::mask_path::Segment;
use super::{BodyRemoved, MASKED, json, pairs};
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
}

/// What is to be done with a body.
pub(super) enum Decision {
    /// These values are replaced by this text.
    Replace(Vec<Found>, &'static str),
    /// All of it goes.
    Remove(BodyRemoved),
}

/// Finds what is masked in a body.
pub(super) fn decide(mask: &BodyMask, stored_headers: &[u8], body: &[u8]) -> Decision {
    if mask.is_empty() || body.is_empty() {
        return Decision::Replace(Vec::new(), "");
    }
    if mask.whole().next().is_some() {
        return Decision::Remove(BodyRemoved::Masked);
    }
    if is_encoded(stored_headers) {
        return Decision::Remove(BodyRemoved::NotReadable);
    }
    let is_json = matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
    if media_type(stored_headers).eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        // JSON from a sender that calls everything a form would be one name, without a value that could be masked.
        return match std::str::from_utf8(body) {
            _ if is_json => find_json(mask, body),
            Ok(form) => Decision::Replace(find_in_form(mask, form), pairs::MASKED_VALUE),
            Err(_) => Decision::Remove(BodyRemoved::NotReadable),
        };
    }
    if is_json {
        find_json(mask, body)
    } else {
        // Also a lone number or text, which is JSON too: it has no names by which it could be told what it is.
        Decision::Remove(BodyRemoved::NotReadable)
    }
}

fn find_json(mask: &BodyMask, body: &[u8]) -> Decision {
    const QUOTED: &str = "\"[masked]\"";
    debug_assert_eq!(QUOTED.trim_matches('"'), MASKED);
    match json::find(mask, body) {
        Ok(found) => Decision::Replace(found, QUOTED),
        Err(_) => Decision::Remove(BodyRemoved::NotReadable),
    }
}

fn find_in_form(mask: &BodyMask, form: &str) -> Vec<Found> {
    let begin = mask.begin();
    let mut found = Vec::new();
    for pair in pairs::read(form) {
        let paths: Vec<usize> = mask.arrived(&mask.step(&begin, &pair.name)).collect();
        if !paths.is_empty() {
            found.push(Found {
                span: pair.value_span.clone(),
                paths,
                secret: Secret::Text(pair.value.into_owned()),
            });
        }
    }
    found
}

/// Whether the bytes are compressed: then nothing can be found in them.
fn is_encoded(stored_headers: &[u8]) -> bool {
    headers::read(stored_headers).any(|(name, value)| {
        name.eq_ignore_ascii_case("content-encoding")
            && !value.trim_ascii().is_empty()
            && !value.trim_ascii().eq_ignore_ascii_case(b"identity")
    })
}

fn media_type(stored_headers: &[u8]) -> Cow<'_, str> {
    let content_type = headers::find(stored_headers, "content-type").unwrap_or_default();
    let media_type = content_type
        .split(|&byte| byte == b';')
        .next()
        .unwrap_or_default();
    String::from_utf8_lossy(media_type.trim_ascii())
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

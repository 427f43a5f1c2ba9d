//! Applies a webhook's data protection to a request.

use std::net::IpAddr;
use std::ops::Range;

use bytes::Bytes;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::body::{self, BodyMask, Decision};
use super::mask_path::{Name, Target};
use super::pairs::{self, MASKED_VALUE};
use super::scrub::{Collector, Secrets};
use super::{BodyRemoved, Condition, DataProtection, MASKED, Masked};
use crate::headers;
use crate::notification;
use crate::suffix::UrlSuffix;

/// Headers that say who sent a request, masked with its address.
const ADDRESS_HEADERS: [&str; 11] = [
    "cf-connecting-ip",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-forwarded-for",
    "x-original-forwarded-for",
    "x-real-ip",
];
/// Headers with a hash of the body that needs no secret: whoever knows the rest of a body could try values until it fits.
/// They are masked with the body.
const DIGEST_HEADERS: [&str; 5] = [
    "content-digest",
    "content-md5",
    "digest",
    "repr-digest",
    "x-amz-content-sha256",
];
/// Headers that a sensitive request keeps: they say how it was sent, not what.
const TECHNICAL_HEADERS: [&str; 9] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "host",
    "user-agent",
];

/// A compiled [`DataProtection`].
#[derive(Debug)]
pub struct Protection {
    /// The paths as the tenant wrote them.
    paths: Vec<String>,
    headers: Vec<(usize, Name)>,
    query: Vec<(usize, Name)>,
    parameters: Vec<(usize, Name)>,
    body: BodyMask,
    mask_address: bool,
    sensitive_if: Option<Condition>,
}

/// A request as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The headers in the form of [`crate::headers`].
    pub headers: &'a [u8],
    /// The query after the `?`.
    pub query: &'a str,
    /// The path after the token.
    pub path: &'a str,
    /// The suffix of the URL that it came to.
    pub suffix: &'a UrlSuffix,
    /// Who sent it.
    pub address: Option<IpAddr>,
    /// The body's bytes.
    pub body: &'a Bytes,
}

/// What is stored of a request; `None` where a part is stored as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    /// The headers.
    pub headers: Option<Vec<u8>>,
    /// The query.
    pub query: Option<String>,
    /// The path.
    pub path: Option<String>,
    /// The network of the address.
    pub address: Option<IpNet>,
    /// The body.
    pub body: Option<Vec<u8>>,
    /// What was masked, for the tenant.
    pub masked: Masked,
    /// What must not be recorded anywhere else.
    pub secrets: Secrets,
}

impl Protection {
    /// Compiles the settings.
    ///
    /// # Errors
    /// When `sensitive_if` cannot work; not for settings that were checked when they were saved.
    pub fn compile(settings: &DataProtection) -> Result<Self, String> {
        let mut compiled = Self {
            paths: settings.mask.iter().map(ToString::to_string).collect(),
            headers: Vec::new(),
            query: Vec::new(),
            parameters: Vec::new(),
            body: BodyMask::default(),
            mask_address: settings.mask_address,
            sensitive_if: settings
                .sensitive_if
                .as_deref()
                .map(Condition::compile)
                .transpose()?,
        };
        for (number, path) in settings.mask.iter().enumerate() {
            match path.target().clone() {
                Target::Header(name) => compiled.headers.push((number, name)),
                Target::Query(name) => compiled.query.push((number, name)),
                Target::PathParameter(name) => compiled.parameters.push((number, name)),
                Target::Body(segments) => compiled.body.push(number, segments),
            }
        }
        Ok(compiled)
    }

    /// Protection that stores nothing of any request: for settings that cannot be read.
    pub fn total() -> Self {
        Self {
            paths: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
            parameters: Vec::new(),
            body: BodyMask::default(),
            mask_address: true,
            sensitive_if: Some(Condition::always()),
        }
    }

    /// The condition under which nothing of a request is stored.
    pub fn sensitive_if(&self) -> Option<&Condition> {
        self.sensitive_if.as_ref()
    }

    /// Whether a body must be read for what is masked in it.
    pub fn reads_bodies(&self) -> bool {
        !self.body.is_empty()
    }

    /// What is stored of a request that is sensitive as a whole, or is not.
    pub fn apply(&self, parts: &Parts<'_>, is_sensitive: bool) -> Kept {
        let mut work = Work {
            protection: self,
            parts,
            is_sensitive,
            kept: Kept::default(),
            hits: vec![false; self.paths.len()],
            secrets: Collector::default(),
        };
        if is_sensitive {
            work.secrets.everything();
        }
        work.address();
        work.body();
        work.headers();
        work.query();
        work.path();
        work.done()
    }
}

struct Work<'a> {
    protection: &'a Protection,
    parts: &'a Parts<'a>,
    is_sensitive: bool,
    kept: Kept,
    hits: Vec<bool>,
    secrets: Collector,
}

impl Work<'_> {
    fn hit(&mut self, path: usize) {
        if let Some(hit) = self.hits.get_mut(path) {
            *hit = true;
        }
    }

    /// The paths among `names` that cover a name, noted as hits. Returns whether there is one.
    fn covers(&mut self, names: &[(usize, Name)], name: &str) -> bool {
        let mut covered = false;
        for (path, candidate) in names {
            if candidate.covers(name) {
                self.hit(*path);
                covered = true;
            }
        }
        covered
    }

    fn address(&mut self) {
        let Some(address) = self.parts.address.filter(|_| self.protection.mask_address) else {
            return;
        };
        self.kept.address = Some(network_of(address));
        self.secrets.text(&address.to_string());
        self.secrets.text(&address.to_canonical().to_string());
    }

    fn body(&mut self) {
        if self.parts.body.is_empty() {
            return;
        }
        let decision = if self.is_sensitive {
            Decision::Remove(BodyRemoved::Masked)
        } else {
            body::decide(&self.protection.body, self.parts.headers, self.parts.body)
        };
        match decision {
            Decision::Remove(reason) => {
                let whole: Vec<usize> = self.protection.body.whole().collect();
                whole.into_iter().for_each(|path| self.hit(path));
                self.kept.masked.body_removed = Some(reason);
                self.kept.body = Some(Vec::new());
                self.secrets.everything();
            }
            Decision::Replace(found, by) => {
                for value in &found {
                    value.paths.iter().for_each(|path| self.hit(*path));
                    self.secrets.add(&value.secret);
                }
                if !found.is_empty() {
                    let spans = found.iter().map(|value| value.span.clone());
                    self.kept.body = Some(body::replace(self.parts.body, spans, by));
                }
            }
        }
    }

    fn headers(&mut self) {
        let mut kept = Vec::with_capacity(self.parts.headers.len());
        let mut changed = false;
        for (name, value) in headers::read(self.parts.headers) {
            let lower = name.to_ascii_lowercase();
            // It says whose doing the request is, so that nobody is told of that, and nothing of the sender's.
            if lower == notification::HEADER && notification::are_marks(value) {
                headers::write(&mut kept, name.as_bytes(), value);
                continue;
            }
            let known = |list: &[&str]| list.contains(&lower.as_str());
            let address = self.protection.mask_address && known(&ADDRESS_HEADERS);
            let digest = self.kept.body.is_some() && known(&DIGEST_HEADERS);
            let asked = self.covers(&self.protection.headers, &lower);
            let sensitive = self.is_sensitive && !known(&TECHNICAL_HEADERS);
            if asked || address {
                self.secrets.header(&String::from_utf8_lossy(value));
            }
            if asked || address || digest || sensitive {
                headers::write(&mut kept, name.as_bytes(), MASKED.as_bytes());
                changed = true;
            } else {
                headers::write(&mut kept, name.as_bytes(), value);
            }
        }
        self.kept.headers = changed.then_some(kept);
    }

    fn query(&mut self) {
        let mut spans: Vec<Range<usize>> = Vec::new();
        for pair in pairs::read(self.parts.query) {
            let asked = self.covers(&self.protection.query, &pair.name);
            if asked && pair.has_value {
                self.secrets.text(&pair.value);
            }
            // A name alone may be the data itself.
            if self.is_sensitive && !pair.has_value {
                spans.push(pair.span);
            } else if (asked || self.is_sensitive) && pair.has_value {
                spans.push(pair.value_span);
            }
        }
        self.kept.query = replaced(self.parts.query, spans);
    }

    fn path(&mut self) {
        let Parts { path, suffix, .. } = *self.parts;
        if self.protection.parameters.is_empty() && !self.is_sensitive {
            return;
        }
        let Some(parameters) = suffix.parameters(path) else {
            // Not a path of this URL: what is where is unknown. As the suffix itself it holds no values.
            if path != suffix.as_str() {
                self.kept.path = Some(MASKED_VALUE.to_owned());
            }
            return;
        };
        let mut spans = Vec::new();
        let mut at = 0;
        for (part, name) in path.split('/').zip(suffix.parameter_of_segments()) {
            let span = at..at + part.len();
            at = span.end + 1;
            let Some(name) = name else { continue };
            if self.covers(&self.protection.parameters, name) || self.is_sensitive {
                if let Some((_, value)) = parameters.iter().find(|(known, _)| *known == name) {
                    self.secrets.text(value);
                }
                spans.push(span);
            }
        }
        self.kept.path = replaced(path, spans);
    }

    fn done(self) -> Kept {
        let Self {
            protection,
            is_sensitive,
            mut kept,
            hits,
            secrets,
            ..
        } = self;
        let hit = protection.paths.iter().zip(&hits).filter(|(_, hit)| **hit);
        kept.masked.paths = hit.map(|(path, _)| path.clone()).collect();
        if kept.address.is_some() {
            kept.masked.paths.push("address".to_owned());
        }
        kept.masked.sensitive = is_sensitive;
        kept.secrets = secrets.finish();
        kept
    }
}

fn replaced(text: &str, spans: Vec<Range<usize>>) -> Option<String> {
    if spans.is_empty() {
        return None;
    }
    let bytes = body::replace(text.as_bytes(), spans.into_iter(), MASKED_VALUE);
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// What is left of an address: the /24 of IPv4, the /48 of IPv6, which is what one customer of a provider is usually given
/// (RFC 6177), with zeros for the rest.
pub fn network_of(address: IpAddr) -> IpNet {
    match address.to_canonical() {
        IpAddr::V4(v4) => Ipv4Net::new_assert(v4, 24).trunc().into(),
        IpAddr::V6(v6) => Ipv6Net::new_assert(v6, 48).trunc().into(),
    }
}

#[cfg(test)]
mod tests;

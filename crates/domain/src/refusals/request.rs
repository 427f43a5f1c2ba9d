//! A refused request as it came: kept sealed, since it holds what refused it, such as a wrong credential.

use bytes::Bytes;
use hookgate_model::ids::{RefusalId, TenantId};
use zeroize::Zeroizing;

use crate::body::{self, StoredBody};
use crate::crypto::MasterKey;
use crate::error::{Error, Result};

/// The first byte of the form below.
const VERSION: u8 = 1;

/// A refused request, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRequest {
    /// What its sender called: the path with the token, and the query.
    pub target: String,
    /// The headers in the form of [`hookgate_model::headers`].
    pub headers: Vec<u8>,
    /// The body.
    pub body: Bytes,
}

/// What a sealed request is bound to.
pub(crate) fn context(tenant: TenantId, id: RefusalId) -> String {
    format!("refusals/{tenant}/{id}")
}

impl RefusedRequest {
    /// Its length, before it is sealed.
    pub fn bytes(&self) -> usize {
        self.target.len() + self.headers.len() + self.body.len()
    }

    /// Seals it for its refusal. The form within: the version, then each but the last with its length in 4 bytes: the
    /// target, the headers, the codec and the original length of the body, the body as it is stored.
    ///
    /// # Errors
    /// [`Error::Query`] for one of more than 4 GiB.
    pub fn seal(&self, key: &MasterKey, tenant: TenantId, id: RefusalId) -> Result<Vec<u8>> {
        let stored = StoredBody::new(self.body.clone());
        let mut plain = Zeroizing::new(Vec::with_capacity(self.bytes() + 20));
        plain.push(VERSION);
        for part in [self.target.as_bytes(), &self.headers] {
            let length = u32::try_from(part.len())
                .map_err(|_| Error::Query("a refused request is too long to seal".into()))?;
            plain.extend_from_slice(&length.to_be_bytes());
            plain.extend_from_slice(part);
        }
        plain.extend_from_slice(&stored.codec().to_be_bytes());
        plain.extend_from_slice(&stored.original_length().to_be_bytes());
        plain.extend_from_slice(stored.stored());
        key.seal(&context(tenant, id), &plain)
    }

    /// Opens what [`Self::seal`] sealed.
    ///
    /// # Errors
    /// [`Error::Unreadable`] for another master key, another refusal, or a damaged value.
    pub fn open(key: &MasterKey, tenant: TenantId, id: RefusalId, sealed: &[u8]) -> Result<Self> {
        let plain = key.open(&context(tenant, id), sealed)?;
        Self::read(&plain).ok_or(Error::Unreadable {
            what: "refused request",
        })
    }

    fn read(plain: &[u8]) -> Option<Self> {
        let (&VERSION, rest) = plain.split_first()? else {
            return None;
        };
        let (target, rest) = part(rest)?;
        let (headers, rest) = part(rest)?;
        let (codec, rest) = rest.split_first_chunk()?;
        let (length, stored) = rest.split_first_chunk()?;
        let body = body::read(i16::from_be_bytes(*codec), i32::from_be_bytes(*length), stored).ok()?;
        Some(Self {
            target: std::str::from_utf8(target).ok()?.to_owned(),
            headers: headers.to_vec(),
            body: body.into_owned().into(),
        })
    }

    /// The path after the token, and the query after the `?`.
    pub fn path_and_query(&self) -> (&str, &str) {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let below = path.strip_prefix('/').unwrap_or(path);
        (below.split_once('/').map_or("", |(_, path)| path), query)
    }
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_request_comes_back_for_its_own_refusal_alone() {
        let key = MasterKey::from_bytes(&[7; 32]);
        let (tenant, id) = (clock::new_id(), clock::new_id());
        for body in [
            Bytes::new(),
            Bytes::from(vec![0xff; 5]),
            Bytes::from("a".repeat(5000)),
        ] {
            let request = RefusedRequest {
                target: "/token/orders/42?a=b?c".to_owned(),
                headers: b"a: \xff\r\n".to_vec(),
                body,
            };
            let sealed = request.seal(&key, tenant, id).expect("sealed");
            assert_eq!(
                RefusedRequest::open(&key, tenant, id, &sealed).expect("opened"),
                request
            );
            assert!(RefusedRequest::open(&key, tenant, clock::new_id(), &sealed).is_err());
            assert!(RefusedRequest::open(&key, clock::new_id(), id, &sealed).is_err());
            assert_eq!(request.path_and_query(), ("orders/42", "a=b?c"));
        }
    }

    #[test]
    fn damage_is_no_panic() {
        for plain in [
            &b""[..],
            b"\x02",
            b"\x01\0\0\0\x09abc",
            b"\x01\0\0\0\0\0\0\0\0\0",
            b"\x01\xff\xff\xff\xff",
        ] {
            assert_eq!(RefusedRequest::read(plain), None);
        }
    }
}

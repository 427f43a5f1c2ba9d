//! The stored form of a body: the exact bytes, compressed with LZ4 where that makes them smaller.
//!
//! Hookgate compresses before the COPY because Postgres then has less to copy, to log and to store, and because a body
//! of 8 kB shrinks to a row that fits a page: TOAST, which would cut it into rows of 2 kB each, is not involved.

use std::borrow::Cow;
use std::cell::RefCell;

use bytes::Bytes;
use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

use crate::error::{Error, Result};

const RAW: i16 = 0;
const LZ4: i16 = 1;

/// Bodies shorter than this stay as they are: their row is small enough.
const WORTH_COMPRESSING: usize = 256;

/// A body as it is stored.
#[derive(Debug, Clone)]
pub struct StoredBody {
    codec: i16,
    original_length: i32,
    stored: Bytes,
}

impl StoredBody {
    /// Takes a body. Costs about 2 µs per kB for one worth compressing.
    pub fn new(body: Bytes) -> Self {
        let original_length = i32::try_from(body.len()).unwrap_or(i32::MAX);
        if body.len() >= WORTH_COMPRESSING {
            let compressed = compress(&body);
            if compressed.len() < body.len() / 10 * 9 {
                return Self {
                    codec: LZ4,
                    original_length,
                    stored: compressed.into(),
                };
            }
        }
        Self {
            codec: RAW,
            original_length,
            stored: body,
        }
    }

    /// Takes a body as it is.
    pub fn raw(body: Bytes) -> Self {
        let original_length = i32::try_from(body.len()).unwrap_or(i32::MAX);
        Self {
            codec: RAW,
            original_length,
            stored: body,
        }
    }

    /// How the bytes are stored.
    pub const fn codec(&self) -> i16 {
        self.codec
    }

    /// The length of the body as it was sent.
    pub const fn original_length(&self) -> i32 {
        self.original_length
    }

    /// The bytes as they are stored, without copying them.
    pub(crate) fn into_stored(self) -> Bytes {
        self.stored
    }

    /// The bytes as they are stored.
    pub fn stored(&self) -> &[u8] {
        &self.stored
    }
}

/// The table and the room that short bodies are compressed with are kept per thread: making them costs as much as
/// using them.
fn compress(body: &[u8]) -> Vec<u8> {
    thread_local! {
        static KEPT: RefCell<(CompressTable, Vec<u8>)> = RefCell::new((CompressTable::small(), Vec::new()));
    }
    if body.len() >= usize::from(u16::MAX) {
        return lz4_flex::block::compress(body);
    }
    KEPT.with_borrow_mut(|(table, room)| {
        let worst = get_maximum_output_size(body.len());
        if room.len() < worst {
            room.resize(worst, 0);
        }
        // There is room for the worst case, so this cannot fail; if it did, the body would be stored as it is.
        let length = compress_into_with_table(body, room, table).unwrap_or(body.len());
        room[..length].to_vec()
    })
}

/// Gives the body back as it was sent.
///
/// # Errors
/// [`Error::Unreadable`] for a damaged value or an unknown codec.
pub fn read(codec: i16, original_length: i32, stored: &[u8]) -> Result<Cow<'_, [u8]>> {
    let unreadable = || Error::Unreadable { what: "body" };
    match codec {
        RAW => Ok(Cow::Borrowed(stored)),
        LZ4 => {
            let length = usize::try_from(original_length).map_err(|_| unreadable())?;
            lz4_flex::block::decompress(stored, length)
                .map(Cow::Owned)
                .map_err(|_| unreadable())
        }
        _ => Err(unreadable()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_comes_back_byte_for_byte() {
        let repetitive = br#"{"login":"octocat","id":1}"#.repeat(400);
        let random: Vec<u8> = (0..5000_u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        for body in [Vec::new(), b"{}".to_vec(), repetitive.clone(), random] {
            let stored = StoredBody::new(body.clone().into());
            let back = read(stored.codec(), stored.original_length(), stored.stored()).expect("readable");
            assert_eq!(back, body);
        }
        assert!(StoredBody::new(repetitive.into()).stored().len() < 1000);
    }

    #[test]
    fn damage_is_an_error() {
        assert!(read(LZ4, 100, b"\xff\xff\xff").is_err());
        assert!(read(9, 1, b"x").is_err());
        assert!(read(LZ4, -1, b"").is_err());
    }
}

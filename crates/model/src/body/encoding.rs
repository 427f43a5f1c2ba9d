//! Content encodings: gzip, deflate, brotli and zstd, decoded within a bound, piece by piece, so that a few bytes that
//! would become gigabytes never do.

use std::io::Read;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status, bufread::GzDecoder};
use ruzstd::decoding::StreamingDecoder;

use super::BodyError;
use crate::headers;
use crate::webhook::MAX_BODY_BYTES;

/// The most encodings, one over the other.
pub const MAX_ENCODINGS: usize = 3;
/// What any body may decode to, however short it is, in bytes.
pub const ALWAYS_ALLOWED: usize = 1 << 20;
/// How many times its own length a body may decode to, beyond [`ALWAYS_ALLOWED`]. JSON seldom shrinks to less than a
/// fortieth; deflate can shrink zeros to a thousandth.
pub const MAX_RATIO: usize = 100;
/// The most that any body decodes to, in bytes.
pub const MAX_DECODED: usize = MAX_BODY_BYTES as usize;

/// How much is decoded at once.
const PIECE: usize = 32 * 1024;
/// Streams of gzip one after the other (RFC 1952, section 2.2); each costs a decoder.
const MAX_MEMBERS: usize = 1_000;
/// The window that a decoder of zstd must have, and an encoder may not pass (RFC 9659).
const ZSTD_WINDOW: u64 = 8 << 20;

/// One encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 1952.
    Gzip,
    /// zlib (RFC 1950), as RFC 9110 (section 8.4.1.2) demands, or bare deflate (RFC 1951), as some senders write.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

/// The encodings of a body, in the order in which they were applied.
///
/// # Errors
/// [`BodyError::UnknownEncoding`].
pub fn declared(stored_headers: &[u8]) -> Result<Vec<Encoding>, BodyError> {
    let mut encodings = Vec::new();
    for (name, value) in headers::read(stored_headers) {
        if !name.eq_ignore_ascii_case("content-encoding") {
            continue;
        }
        for token in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            let encoding = match token.to_ascii_lowercase().as_slice() {
                b"" | b"identity" => continue,
                b"gzip" | b"x-gzip" => Encoding::Gzip,
                b"deflate" => Encoding::Deflate,
                b"br" => Encoding::Brotli,
                b"zstd" => Encoding::Zstd,
                _ => return Err(unknown(token)),
            };
            if encodings.len() == MAX_ENCODINGS {
                return Err(unknown(value));
            }
            encodings.push(encoding);
        }
    }
    Ok(encodings)
}

fn unknown(token: &[u8]) -> BodyError {
    let token = String::from_utf8_lossy(token);
    BodyError::UnknownEncoding(token.chars().take(50).collect())
}

/// The most that a body of so many bytes decodes to.
pub fn most_decoded(sent: usize) -> usize {
    sent.saturating_mul(MAX_RATIO).clamp(ALWAYS_ALLOWED, MAX_DECODED)
}

/// Decodes a body.
///
/// # Errors
/// When it is not so encoded, or decodes to more than [`most_decoded`].
pub fn decode(sent: &Bytes, encodings: &[Encoding]) -> Result<Bytes, BodyError> {
    let most = most_decoded(sent.len());
    encodings.iter().rev().try_fold(sent.clone(), |body, encoding| {
        let mut out = Bounded {
            out: Vec::new(),
            most,
        };
        match encoding {
            Encoding::Gzip => gzip(&body, &mut out)?,
            Encoding::Deflate => deflate(&body, &mut out)?,
            Encoding::Brotli => brotli(&body, &mut out)?,
            Encoding::Zstd => zstd(&body, &mut out)?,
        }
        Ok(out.out.into())
    })
}

struct Bounded {
    out: Vec<u8>,
    most: usize,
}

impl Bounded {
    fn add(&mut self, piece: &[u8]) -> Result<(), BodyError> {
        if self.out.len() + piece.len() > self.most {
            return Err(BodyError::DecodesToTooMuch(self.most));
        }
        self.out.extend_from_slice(piece);
        Ok(())
    }

    fn add_all(&mut self, mut reader: impl Read, name: &'static str) -> Result<(), BodyError> {
        let mut piece = vec![0; PIECE];
        loop {
            let read = reader
                .read(&mut piece)
                .map_err(|_| BodyError::MalformedEncoding(name))?;
            if read == 0 {
                return Ok(());
            }
            self.add(piece.get(..read).unwrap_or_default())?;
        }
    }
}

fn gzip(body: &[u8], out: &mut Bounded) -> Result<(), BodyError> {
    let mut left = body;
    for _ in 0..MAX_MEMBERS {
        out.add_all(GzDecoder::new(&mut left), "gzip")?;
        if left.is_empty() {
            return Ok(());
        }
    }
    Err(BodyError::MalformedEncoding("gzip"))
}

fn deflate(body: &[u8], out: &mut Bounded) -> Result<(), BodyError> {
    let malformed = || BodyError::MalformedEncoding("deflate");
    // RFC 1950, section 2.2: the method is 8, and the first two bytes are a multiple of 31.
    let has_header = matches!(body, [first, second, ..]
        if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)).is_multiple_of(31));
    let mut decoder = Decompress::new(has_header);
    let mut piece = vec![0; PIECE];
    let mut left = body;
    loop {
        let (before_in, before_out) = (decoder.total_in(), decoder.total_out());
        let status = decoder
            .decompress(left, &mut piece, FlushDecompress::None)
            .map_err(|_| malformed())?;
        let taken = usize::try_from(decoder.total_in() - before_in).map_err(|_| malformed())?;
        let made = usize::try_from(decoder.total_out() - before_out).map_err(|_| malformed())?;
        left = left.get(taken..).ok_or_else(malformed)?;
        out.add(piece.get(..made).ok_or_else(malformed)?)?;
        match status {
            Status::StreamEnd if left.is_empty() => return Ok(()),
            Status::StreamEnd => return Err(malformed()),
            Status::Ok | Status::BufError if taken == 0 && made == 0 => return Err(malformed()),
            Status::Ok | Status::BufError => {}
        }
    }
}

fn brotli(body: &[u8], out: &mut Bounded) -> Result<(), BodyError> {
    let malformed = || BodyError::MalformedEncoding("br");
    // Strict: without the windows of up to 1 GiB that RFC 7932 does not know.
    let alloc = StandardAlloc::default;
    let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
    let mut piece = vec![0; PIECE];
    let (mut left, mut taken, mut total) = (body.len(), 0, 0);
    loop {
        let (mut room, mut made) = (piece.len(), 0);
        let result = BrotliDecompressStream(
            &mut left, &mut taken, body, &mut room, &mut made, &mut piece, &mut total, &mut state,
        );
        out.add(piece.get(..made).ok_or_else(malformed)?)?;
        match result {
            BrotliResult::ResultSuccess if left == 0 => return Ok(()),
            BrotliResult::NeedsMoreOutput => {}
            _ => return Err(malformed()),
        }
    }
}

fn zstd(body: &[u8], out: &mut Bounded) -> Result<(), BodyError> {
    let malformed = |_| BodyError::MalformedEncoding("zstd");
    let mut left = body;
    let decoder = StreamingDecoder::new_with_max_window_size(&mut left, ZSTD_WINDOW).map_err(malformed)?;
    out.add_all(decoder, "zstd")?;
    if left.is_empty() {
        Ok(())
    } else {
        Err(BodyError::MalformedEncoding("zstd"))
    }
}

#[cfg(test)]
pub(super) mod tests;

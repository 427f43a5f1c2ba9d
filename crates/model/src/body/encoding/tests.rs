use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("written")
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("written")
}

fn bare_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("written")
}

pub fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams {
        quality: 5,
        ..Default::default()
    };
    brotli::BrotliCompress(&mut &*bytes, &mut out, &parameters).expect("written");
    out
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

type Encode = fn(&[u8]) -> Vec<u8>;
const ALL: [(&str, Encode, Encoding); 5] = [
    ("gzip", gzip, Encoding::Gzip),
    ("deflate", zlib, Encoding::Deflate),
    ("deflate", bare_deflate, Encoding::Deflate),
    ("br", brotli, Encoding::Brotli),
    ("zstd", zstd, Encoding::Zstd),
];

fn decoded(sent: Vec<u8>, encodings: &[Encoding]) -> Result<Vec<u8>, BodyError> {
    decode(&sent.into(), encodings).map(|bytes| bytes.to_vec())
}

#[test]
fn headers_name_encodings() {
    let declared = |lines: &[&str]| {
        let mut stored = Vec::new();
        for line in lines {
            headers::write(&mut stored, b"Content-Encoding", line.as_bytes());
        }
        declared(&stored)
    };
    for (lines, expected) in [
        (&[][..], &[][..]),
        (&["identity", ""], &[]),
        (&["GZIP"], &[Encoding::Gzip]),
        (
            &["x-gzip , br", "deflate"],
            &[Encoding::Gzip, Encoding::Brotli, Encoding::Deflate],
        ),
        (&["zstd"], &[Encoding::Zstd]),
    ] {
        assert_eq!(declared(lines).as_deref(), Ok(expected), "{lines:?}");
    }
    for lines in [
        &["compress"][..],
        &["gzip, snappy"],
        &["gzip, gzip, gzip, gzip"],
        &["gzip;q=1"],
    ] {
        assert_eq!(
            declared(lines).expect_err("unknown").code(),
            "unknown_encoding",
            "{lines:?}"
        );
    }
}

#[test]
fn what_was_encoded_is_decoded() {
    let long: Vec<u8> = (0..300_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 22) as u8)
        .collect();
    for (name, encode, encoding) in ALL {
        for body in [&b""[..], b"{}", &long] {
            assert_eq!(decoded(encode(body), &[encoding]).as_deref(), Ok(body), "{name}");
        }
    }
    let members = [gzip(b"one, "), gzip(b""), gzip(b"two")].concat();
    assert_eq!(
        decoded(members, &[Encoding::Gzip]).as_deref(),
        Ok(&b"one, two"[..])
    );
    let stacked = brotli(&gzip(&zlib(b"text")));
    let encodings = [Encoding::Deflate, Encoding::Gzip, Encoding::Brotli];
    assert_eq!(decoded(stacked, &encodings).as_deref(), Ok(&b"text"[..]));
}

#[test]
fn what_is_cut_or_goes_on_is_malformed() {
    let text = b"some text, some text, some more text".repeat(20);
    for (name, encode, encoding) in ALL {
        let whole = encode(&text);
        for length in [0, 1, 2, whole.len() / 2, whole.len() - 1] {
            let cut = whole[..length].to_vec();
            assert_eq!(
                decoded(cut, &[encoding]),
                Err(BodyError::MalformedEncoding(name)),
                "{name} cut to {length} of {}",
                whole.len()
            );
        }
        let trailing = [whole.as_slice(), b"more"].concat();
        assert_eq!(
            decoded(trailing, &[encoding]),
            Err(BodyError::MalformedEncoding(name)),
            "{name}"
        );
        assert_eq!(
            decoded(text.to_vec(), &[encoding]),
            Err(BodyError::MalformedEncoding(name)),
            "{name}"
        );
    }
    let members = gzip(b"").repeat(MAX_MEMBERS + 1);
    assert_eq!(
        decoded(members, &[Encoding::Gzip]),
        Err(BodyError::MalformedEncoding("gzip"))
    );
}

#[test]
fn the_bound_follows_the_length() {
    assert_eq!(most_decoded(0), ALWAYS_ALLOWED);
    assert_eq!(most_decoded(20_000), 2_000_000);
    assert_eq!(most_decoded(usize::MAX), MAX_DECODED);
    for (name, encode, encoding) in ALL {
        let fits = vec![b'x'; ALWAYS_ALLOWED];
        assert_eq!(
            decoded(encode(&fits), &[encoding]).map(|body| body.len()),
            Ok(fits.len()),
            "{name}"
        );
        let passes = vec![b'x'; ALWAYS_ALLOWED + 1];
        let sent = encode(&passes);
        assert!(most_decoded(sent.len()) == ALWAYS_ALLOWED);
        assert_eq!(
            decoded(sent, &[encoding]),
            Err(BodyError::DecodesToTooMuch(ALWAYS_ALLOWED)),
            "{name}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_without_panic(bytes: Vec<u8>, which in 0..ALL.len()) {
        let (_, encode, encoding) = ALL[which];
        let _ = decoded(bytes.clone(), &[encoding]);
        let mut damaged = encode(&bytes);
        if let Some(byte) = damaged.last_mut() {
            *byte ^= 1;
        }
        let _ = decoded(damaged, &[encoding]);
    }
}

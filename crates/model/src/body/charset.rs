//! Bytes to text: by the byte order mark, else by the charset that was declared, else as UTF-8.

use std::borrow::Cow;

use encoding_rs::{Encoding, REPLACEMENT, UTF_8};

use super::BodyError;

/// The encoding that a body's text is in, and the length of its byte order mark.
///
/// # Errors
/// [`BodyError::UnknownCharset`] when it has no byte order mark, and nobody knows the charset.
fn encoding(bytes: &[u8], declared: Option<&str>) -> Result<(&'static Encoding, usize), BodyError> {
    if let Some(marked) = Encoding::for_bom(bytes) {
        return Ok(marked);
    }
    let Some(label) = declared else {
        return Ok((UTF_8, 0));
    };
    // Senders that say so often mean UTF-8, of which it is a part.
    if label.eq_ignore_ascii_case("us-ascii") || label.eq_ignore_ascii_case("ascii") {
        return Ok((UTF_8, 0));
    }
    Encoding::for_label(label.as_bytes())
        .filter(|encoding| *encoding != REPLACEMENT)
        .map(|encoding| (encoding, 0))
        .ok_or_else(|| BodyError::UnknownCharset(label.chars().take(50).collect()))
}

/// The text of a body. What cannot be decoded becomes U+FFFD.
///
/// # Errors
/// [`BodyError::UnknownCharset`].
pub fn decode<'a>(bytes: &'a [u8], declared: Option<&str>) -> Result<Cow<'a, str>, BodyError> {
    let (encoding, mark) = encoding(bytes, declared)?;
    let bytes = bytes.get(mark..).unwrap_or_default();
    Ok(encoding.decode_without_bom_handling(bytes).0)
}

/// Whether a body says itself what it is written in.
pub fn has_byte_order_mark(bytes: &[u8]) -> bool {
    Encoding::for_bom(bytes).is_some()
}

/// Whether a body says itself that it is UTF-16.
pub fn has_wide_mark(bytes: &[u8]) -> bool {
    Encoding::for_bom(bytes).is_some_and(|(encoding, _)| encoding != UTF_8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_decoded_as_it_says() {
        for (bytes, declared, expected) in [
            (&b"na\xc3\xafve"[..], None, "naïve"),
            (b"na\xc3\xafve", Some("UTF-8"), "naïve"),
            (b"na\xc3\xafve", Some("us-ascii"), "naïve"),
            (b"na\xefve", Some("iso-8859-1"), "naïve"),
            (b"\x80", Some("windows-1252"), "€"),
            (b"\x93\xfa\x96\x7b", Some("Shift_JIS"), "日本"),
            (b"\xff\xfeh\0i\0", None, "hi"),
            (b"\xfe\xff\0h\0i", Some("utf-8"), "hi"),
            (b"h\0i\0", Some("utf-16"), "hi"),
            (b"\xef\xbb\xbfhi", None, "hi"),
            (b"a\xffb", None, "a\u{fffd}b"),
            (b"", Some("utf-8"), ""),
        ] {
            assert_eq!(decode(bytes, declared).as_deref(), Ok(expected), "{declared:?}");
        }
        for label in ["klingon", "utf-7", "hz-gb-2312", ""] {
            assert_eq!(
                decode(b"x", Some(label)),
                Err(BodyError::UnknownCharset(label.into()))
            );
        }
    }
}

//! `multipart/form-data` (RFC 7578): fields and files, as stretches of the body.

use std::ops::Range;

use memchr::memmem;

use super::document::{Builder, Document, Repeated};
use super::media_type::Parameterized;
use super::{BodyError, charset};

/// The most parts of a body.
pub const MAX_PARTS: usize = 1_000;
/// The longest headers of a part, in bytes, and the most of them.
const HEADER_BYTES: usize = 16 * 1024;
const HEADERS: usize = 16;
/// RFC 2046, section 5.1.1.
const BOUNDARY_BYTES: usize = 70;

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The name of its field.
    pub name: String,
    /// The name of its file; only a file has one.
    pub filename: Option<String>,
    /// Its content type.
    pub content_type: Option<String>,
    /// Where its content is in the body.
    pub content: Range<usize>,
}

/// Finds the parts of a body.
///
/// # Errors
/// When it is not of the form, or has more than [`MAX_PARTS`] parts.
pub fn parts(body: &[u8], boundary: &str) -> Result<Vec<Part>, BodyError> {
    if boundary.is_empty() || boundary.len() > BOUNDARY_BYTES {
        return Err(malformed(
            "the content type names no boundary of 1 to 70 characters",
        ));
    }
    // The first one need not be preceded by a line end.
    let opening = format!("--{boundary}");
    let delimiter = format!("\r\n{opening}");
    let finder = memmem::Finder::new(delimiter.as_bytes());
    let mut next = if body.starts_with(opening.as_bytes()) {
        after_delimiter(body, opening.len())
    } else {
        None
    };
    if next.is_none() {
        next = find(body, &finder, 0).map(|(_, after)| after);
    }
    let mut parts = Vec::new();
    loop {
        match next {
            None => return Err(malformed("it does not end with its boundary")),
            Some(After::End) => return Ok(parts),
            Some(After::Part(start)) => {
                if parts.len() == MAX_PARTS {
                    return Err(BodyError::TooManyParts);
                }
                // An empty content begins where its headers end, so the blank line may be the delimiter's.
                let from = start.saturating_sub(2);
                let (end, after) = find(body, &finder, from)
                    .ok_or_else(|| malformed("it does not end with its boundary"))?;
                parts.push(part(body, start..end.max(start))?);
                next = Some(after);
            }
        }
    }
}

/// What follows a delimiter.
enum After {
    /// A part that begins here.
    Part(usize),
    /// Nothing that counts.
    End,
}

/// The next delimiter: where it begins, and what follows. A line that only begins like one is content.
fn find(body: &[u8], finder: &memmem::Finder<'_>, from: usize) -> Option<(usize, After)> {
    finder.find_iter(body.get(from..)?).find_map(|place| {
        let after = after_delimiter(body, from + place + finder.needle().len())?;
        Some((from + place, after))
    })
}

fn after_delimiter(body: &[u8], at: usize) -> Option<After> {
    let rest = body.get(at..)?;
    if rest.starts_with(b"--") {
        return Some(After::End);
    }
    let blanks = rest
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    rest.get(blanks..)?
        .starts_with(b"\r\n")
        .then_some(After::Part(at + blanks + 2))
}

fn part(body: &[u8], whole: Range<usize>) -> Result<Part, BodyError> {
    let text = body.get(whole.clone()).unwrap_or_default();
    let mut lines = [httparse::EMPTY_HEADER; HEADERS];
    let head = text.get(..HEADER_BYTES).unwrap_or(text);
    let Ok(httparse::Status::Complete((length, headers))) = httparse::parse_headers(head, &mut lines) else {
        return Err(malformed(
            "a part has no headers, or more than 16 or 16 KiB of them",
        ));
    };
    let header = |name: &str| {
        let found = headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value)
    };
    let disposition = Parameterized::parse(header("content-disposition").unwrap_or_default());
    if disposition.value() != "form-data" {
        return Err(malformed("a part is not of the disposition `form-data`"));
    }
    let name = disposition.field_name();
    Ok(Part {
        name: name.ok_or_else(|| malformed("a part names no field"))?,
        filename: disposition.filename(),
        content_type: header("content-type").map(|value| String::from_utf8_lossy(value).into_owned()),
        content: whole.start + length..whole.end,
    })
}

/// The fields as a document: a name that is there several times has a list. Files are not among them.
///
/// # Errors
/// When nobody knows a field's charset.
pub fn fields(body: &[u8], parts: &[Part]) -> Result<Document, BodyError> {
    let fields = || parts.iter().filter(|part| part.filename.is_none());
    let content = |part: &Part| body.get(part.content.clone()).unwrap_or_default();
    // RFC 7578, section 4.6: a field of this name says what the others are written in.
    let default = fields()
        .find(|part| part.name == "_charset_")
        .map(|part| String::from_utf8_lossy(content(part)).trim().to_owned());
    let mut builder = Builder::default();
    builder.open()?;
    for part in fields() {
        let content_type = part.content_type.as_deref().unwrap_or_default();
        let content_type = Parameterized::parse(content_type.as_bytes());
        let declared = content_type.parameter("charset").or(default.as_deref());
        builder.text(&part.name)?;
        builder.text(&charset::decode(content(part), declared)?)?;
    }
    builder.close_object(Repeated::Gathered)?;
    Ok(builder.finish())
}

fn malformed(detail: &str) -> BodyError {
    BodyError::Malformed {
        what: "multipart/form-data",
        detail: detail.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// A body whose lines end as HTTP wants them to.
    fn lines(lines: &[&str]) -> Vec<u8> {
        lines.join("\r\n").into_bytes()
    }

    const FIELD: &str = "content-disposition: form-data; name=\"a\"";

    #[test]
    fn fields_and_files_are_found() {
        let body = lines(&[
            "a preamble",
            "--b",
            FIELD,
            "",
            "1",
            "--b  ",
            "Content-Type: text/plain; charset=iso-8859-1",
            "Content-Disposition: form-data; name=\"file\"; filename=\"a b.txt\"",
            "",
            "line\r\n--bx\r\n--",
            "--b",
            FIELD,
            "",
            "",
            "--b--",
            "an epilogue --b",
        ]);
        let parts = parts(&body, "b").expect("parts");
        let content = |place: usize| std::str::from_utf8(&body[parts[place].content.clone()]).expect("text");
        assert_eq!(
            (parts.len(), content(0), content(1), content(2)),
            (3, "1", "line\r\n--bx\r\n--", "")
        );
        assert_eq!(parts[1].filename.as_deref(), Some("a b.txt"));
        assert_eq!(
            parts[1].content_type.as_deref(),
            Some("text/plain; charset=iso-8859-1")
        );
        let fields = fields(&body, &parts).expect("fields");
        assert_eq!(fields.root().to_json(), json!({"a": ["1", ""]}));
    }

    #[test]
    fn fields_have_charsets() {
        let mut body = lines(&[
            "--b",
            "content-disposition: form-data; name=_charset_",
            "",
            "iso-8859-1",
            "--b",
            FIELD,
            "",
            "",
        ]);
        body.extend_from_slice(b"\xef\r\n--b\r\n");
        body.extend(lines(&[
            "content-type: text/plain; charset=utf-8",
            FIELD,
            "",
            "ï",
            "--b--",
        ]));
        let parts = parts(&body, "b").expect("parts");
        assert_eq!(
            fields(&body, &parts).expect("fields").root().to_json(),
            json!({"_charset_": "iso-8859-1", "a": ["ï", "ï"]})
        );
    }

    #[test]
    fn what_is_malformed_is_told() {
        let named = |name: &str| format!("content-disposition: form-data; name={name}");
        let many_headers: Vec<String> = (0..20).map(|n| format!("x-{n}: 1")).collect();
        let long_header = format!("x: {}", "y".repeat(20_000));
        let table: [(Vec<u8>, &str); 14] = [
            (lines(&[""]), "b"),
            (lines(&["--b--"]), ""),
            (lines(&["--b--"]), &"b".repeat(71)),
            (lines(&["--b", FIELD, "", "1"]), "b"),
            (lines(&["--b", FIELD, "", "1", "--c--"]), "b"),
            (lines(&["--b", FIELD, "1", "--b--"]), "b"),
            (lines(&["--b", "", "1", "--b--"]), "b"),
            (
                lines(&["--b", "content-disposition: attachment; name=a", "", "1", "--b--"]),
                "b",
            ),
            (
                lines(&["--b", "content-disposition: form-data", "", "1", "--b--"]),
                "b",
            ),
            (
                lines(&["--b", &many_headers.join("\r\n"), FIELD, "", "1", "--b--"]),
                "b",
            ),
            (lines(&["--b", &long_header, FIELD, "", "1", "--b--"]), "b"),
            (lines(&["--b", "no header", FIELD, "", "1", "--b--"]), "b"),
            (
                b"--b\ncontent-disposition: form-data; name=a\n\n1\n--b--".to_vec(),
                "b",
            ),
            (lines(&["--b", &named("a"), "", "1", "--b-"]), "b"),
        ];
        for (body, boundary) in table {
            let error = parts(&body, boundary).expect_err("malformed");
            assert_eq!(error.code(), "malformed", "{}", String::from_utf8_lossy(&body));
        }
    }

    #[test]
    fn parts_are_counted() {
        let part = format!("--b\r\n{FIELD}\r\n\r\n1\r\n");
        let body = |count| format!("{}--b--", part.repeat(count)).into_bytes();
        assert_eq!(
            parts(&body(MAX_PARTS), "b").map(|parts| parts.len()),
            Ok(MAX_PARTS)
        );
        assert_eq!(parts(&body(MAX_PARTS + 1), "b"), Err(BodyError::TooManyParts));
        assert_eq!(parts(&body(100_000), "b"), Err(BodyError::TooManyParts));
        assert_eq!(parts(b"--b--", "b"), Ok(Vec::new()));
        assert_eq!(parts(b"\r\n--b--\r\n", "b"), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn any_content_comes_back(contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..5)) {
            let mut body = Vec::new();
            for content in &contents {
                body.extend_from_slice(format!("--boundary-7MA4\r\n{FIELD}; filename=f\r\n\r\n").as_bytes());
                body.extend_from_slice(content);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"--boundary-7MA4--\r\n");
            let parts = parts(&body, "boundary-7MA4").expect("parts");
            let found: Vec<Vec<u8>> = parts.iter().map(|part| body[part.content.clone()].to_vec()).collect();
            prop_assert_eq!(found, contents);
        }

        #[test]
        fn any_bytes_are_read_without_panic(pieces in proptest::collection::vec(prop_oneof![
            Just(b"--b".to_vec()), Just(b"\r\n".to_vec()), Just(b"--".to_vec()), Just(FIELD.as_bytes().to_vec()),
            proptest::collection::vec(any::<u8>(), 0..4),
        ], 0..24)) {
            let body = pieces.concat();
            if let Ok(parts) = parts(&body, "b") {
                for part in &parts {
                    prop_assert!(part.content.start <= part.content.end && part.content.end <= body.len());
                }
                let _ = fields(&body, &parts);
            }
        }
    }
}

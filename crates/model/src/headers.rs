//! The stored form of HTTP headers: one `name: value` line each, ended by CRLF, as RFC 9112 (section 5) writes them. A
//! value keeps its bytes, whatever they are: HTTP allows none that could end a line.

/// Appends one header.
pub fn write(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Reads the headers back, in their order.
pub fn read(stored: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    stored.split(|&byte| byte == b'\n').filter_map(|line| {
        let line = line.strip_suffix(b"\r")?;
        let colon = line.iter().position(|&byte| byte == b':')?;
        let value = line.get(colon + 2..)?;
        Some((std::str::from_utf8(&line[..colon]).ok()?, value))
    })
}

/// The first header of a name, compared without case.
pub fn find<'a>(stored: &'a [u8], name: &str) -> Option<&'a [u8]> {
    read(stored)
        .find(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn headers_read_back_byte_for_byte(
            headers in proptest::collection::vec(("[a-z][a-z0-9-]{0,20}", "[ -~\\x80-\\xff]{0,40}"), 0..8),
        ) {
            let mut stored = Vec::new();
            for (name, value) in &headers {
                write(&mut stored, name.as_bytes(), value.as_bytes());
            }
            let back: Vec<_> = read(&stored).map(|(n, v)| (n.to_owned(), v.to_vec())).collect();
            let sent: Vec<_> = headers.iter().map(|(n, v)| (n.clone(), v.as_bytes().to_vec())).collect();
            prop_assert_eq!(back, sent);
        }

        #[test]
        fn any_bytes_are_read_without_panic(stored: Vec<u8>) {
            let _ = read(&stored).count();
        }
    }
}

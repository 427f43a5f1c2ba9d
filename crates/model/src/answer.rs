//! What a caller gets back: a status, headers and a body. It travels over Redis and is kept with the run.

use crate::headers;

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code, 200 to 599.
    pub status: u16,
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
    /// The bytes of the body; empty for none.
    pub body: Vec<u8>,
}

impl Answer {
    /// The stored form: status (2 bytes, big-endian), length of the headers (4 bytes), headers, body.
    pub fn encode(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        for (name, value) in &self.headers {
            headers::write(&mut lines, name.as_bytes(), value.as_bytes());
        }
        let length = u32::try_from(lines.len()).unwrap_or(u32::MAX);
        [
            &self.status.to_be_bytes()[..],
            &length.to_be_bytes(),
            &lines,
            &self.body,
        ]
        .concat()
    }

    /// Reads the stored form; `None` when it is not one.
    pub fn decode(stored: &[u8]) -> Option<Self> {
        let (status, rest) = stored.split_first_chunk::<2>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (lines, body) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        let headers = headers::read(lines)
            .map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned()))
            .collect();
        Some(Self {
            status: u16::from_be_bytes(*status),
            headers,
            body: body.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reads_back() {
        let answer = Answer {
            status: 201,
            headers: vec![
                ("x-order".into(), "42".into()),
                ("content-type".into(), "application/json".into()),
            ],
            body: b"{\"ok\":true}".to_vec(),
        };
        assert_eq!(Answer::decode(&answer.encode()), Some(answer.clone()));
        for cut in 0..8 {
            assert_eq!(Answer::decode(&answer.encode()[..cut]), None);
        }
    }
}

//! Header values with parameters: media types (RFC 9110, section 8.3.1) and content dispositions (RFC 6266, RFC 7578).

/// A value and its parameters, such as `text/plain; charset=utf-8`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameterized {
    value: String,
    parameters: Vec<(String, String)>,
}

/// More parameters than this are not read: no sender has as many.
const MAX_PARAMETERS: usize = 16;

impl Parameterized {
    /// Reads a header's value. What is malformed is left out, so that this cannot fail.
    pub fn parse(header: &[u8]) -> Self {
        let text = String::from_utf8_lossy(header);
        let (value, mut rest) = text.split_once(';').unwrap_or((&text, ""));
        let mut parameters = Vec::new();
        while parameters.len() < MAX_PARAMETERS {
            rest = rest.trim_start_matches([' ', '\t', ';']);
            let Some((name, after)) = rest.split_once('=') else {
                break;
            };
            if let Some((skipped, _)) = name.split_once(';') {
                // A parameter without a value.
                rest = rest.get(skipped.len()..).unwrap_or_default();
                continue;
            }
            let (value, after) = read_value(after.trim_start());
            parameters.push((name.trim().to_ascii_lowercase(), value));
            rest = after;
        }
        Self {
            value: value.trim().to_ascii_lowercase(),
            parameters,
        }
    }

    /// The value without its parameters, in lower case.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The first parameter of a (lower-case) name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(candidate, _)| candidate == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The name of a file (`filename*` of RFC 8187 before `filename`).
    pub fn filename(&self) -> Option<String> {
        let extended = self.parameter("filename*").and_then(|value| {
            let (charset, rest) = value.split_once('\'')?;
            let (_, encoded) = rest.split_once('\'')?;
            let bytes: Vec<u8> = percent_encoding::percent_decode_str(encoded).collect();
            let encoding = encoding_rs::Encoding::for_label(charset.as_bytes())?;
            Some(encoding.decode_without_bom_handling(&bytes).0.into_owned())
        });
        extended.or_else(|| self.parameter("filename").map(unescape_form))
    }

    /// The name of a form's field.
    pub fn field_name(&self) -> Option<String> {
        self.parameter("name").map(unescape_form)
    }
}

/// What browsers write for a quotation mark and line ends (HTML, "multipart form data").
fn unescape_form(text: &str) -> String {
    text.replace("%22", "\"")
        .replace("%0D", "\r")
        .replace("%0A", "\n")
}

/// The value of a parameter, quoted or not, and what follows it.
fn read_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.trim_end().to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return (value, quoted.get(place + 1..).unwrap_or_default()),
            // Only what has to be escaped is: older browsers send `C:\path\file` as it is.
            '\\' if characters.next_if(|(_, next)| *next == '"').is_some() => value.push('"'),
            '\\' if characters.next_if(|(_, next)| *next == '\\').is_some() => value.push('\\'),
            _ => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parameters_are_read_quoted_or_not() {
        let table: [(&str, &str, &str, Option<&str>); 10] = [
            ("Application/JSON", "application/json", "charset", None),
            (
                "text/plain; charset=UTF-8",
                "text/plain",
                "charset",
                Some("UTF-8"),
            ),
            (
                "text/plain;Charset=\"utf-8\" ;a=b",
                "text/plain",
                "charset",
                Some("utf-8"),
            ),
            (
                "multipart/form-data; boundary=\"a;b=\\\"c\"",
                "multipart/form-data",
                "boundary",
                Some("a;b=\"c"),
            ),
            ("text/plain; flag; charset=x", "text/plain", "charset", Some("x")),
            ("text/plain; charset=", "text/plain", "charset", Some("")),
            (
                "text/plain; charset=\"open",
                "text/plain",
                "charset",
                Some("open"),
            ),
            ("text/plain;;; charset = x", "text/plain", "charset", Some("x")),
            ("", "", "charset", None),
            (";;;=;=", "", "charset", None),
        ];
        for (header, value, name, parameter) in table {
            let read = Parameterized::parse(header.as_bytes());
            assert_eq!(
                (read.value(), read.parameter(name)),
                (value, parameter),
                "{header}"
            );
        }
    }

    #[test]
    fn file_names_come_in_every_form() {
        for (header, expected) in [
            ("form-data; name=f; filename=\"a b.txt\"", Some("a b.txt")),
            ("form-data; filename=\"C:\\dir\\a.txt\"", Some("C:\\dir\\a.txt")),
            ("form-data; filename=\"a%22b.txt\"", Some("a\"b.txt")),
            (
                "form-data; filename=\"x\"; filename*=UTF-8''na%C3%AFve.txt",
                Some("naïve.txt"),
            ),
            ("form-data; filename*=iso-8859-1'en'%A3.txt", Some("£.txt")),
            ("form-data; filename*=nonsense; filename=y", Some("y")),
            ("form-data; filename=\"\"", Some("")),
            ("form-data; name=\"filename\"", None),
        ] {
            let read = Parameterized::parse(header.as_bytes());
            assert_eq!(read.filename().as_deref(), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(header: Vec<u8>) {
            let read = Parameterized::parse(&header);
            let _ = (read.filename(), read.field_name(), read.parameter("charset"));
        }
    }
}

//! XML as values, so that a template reads `{{ body.order.line[0]["@id"] }}`:
//!
//! - the document is an object with one field, the root element;
//! - an element with neither attributes nor elements in it is its text, without blanks around it;
//! - any other element is an object: attributes as `@name`, elements by their names, text as `#text` (if it has any, all
//!   pieces joined, without blanks around it);
//! - elements of one name in one element become a list, where the first of them stands;
//! - names are kept as they are written, with their prefix; comments and processing instructions are left out.
//!
//! A document type is refused, so there are no entities but the five of XML itself: nothing is expanded, nothing fetched.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::BodyError;
use super::document::{Builder, Document, Repeated};

/// The most attributes of an element.
const MAX_ATTRIBUTES: usize = 128;

/// Reads XML 1.0.
///
/// # Errors
/// When it is not well-formed, has a document type, or passes a bound.
pub fn read(xml: &str) -> Result<Document, BodyError> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().expand_empty_elements = true;
    let mut elements = Elements::new(xml.len())?;
    loop {
        match reader
            .read_event()
            .map_err(|error| malformed(error.to_string()))?
        {
            Event::Start(start) => elements.begin(&start)?,
            Event::End(_) => elements.end()?,
            Event::Text(text) => elements.text(&text.xml10_content())?,
            Event::CData(text) => elements.text(&text.xml10_content())?,
            Event::GeneralRef(reference) => elements.reference(&reference)?,
            Event::DocType(_) => return Err(malformed("a document type is not allowed")),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::Empty(_) => {}
            Event::Eof => return elements.finish(),
        }
    }
}

/// The encoding in an XML declaration (XML 1.0, section 4.3.3), for a body whose content type has no charset.
pub fn declared_encoding(xml: &[u8]) -> Option<&str> {
    let declaration = xml.strip_prefix(b"<?xml")?;
    let end = declaration.iter().take(200).position(|&byte| byte == b'>')?;
    let declaration = std::str::from_utf8(declaration.get(..end)?).ok()?;
    let (_, after) = declaration.split_once("encoding")?;
    let quoted = after.trim_start().strip_prefix('=')?.trim_start();
    let quote = quoted
        .chars()
        .next()
        .filter(|quote| matches!(quote, '"' | '\''))?;
    let (label, _) = quoted.get(1..)?.split_once(quote)?;
    // Who can read this declaration does not read UTF-16.
    (!label.to_ascii_lowercase().starts_with("utf-16")).then_some(label)
}

struct Elements {
    builder: Builder,
    open: Vec<OpenElement>,
    has_root: bool,
}

/// An element that is not closed yet.
#[derive(Default)]
struct OpenElement {
    text: String,
    is_object: bool,
}

impl Elements {
    fn new(bytes: usize) -> Result<Self, BodyError> {
        let mut builder = Builder::for_bytes(bytes);
        builder.open()?;
        Ok(Self {
            builder,
            open: Vec::new(),
            has_root: false,
        })
    }

    fn begin(&mut self, start: &BytesStart<'_>) -> Result<(), BodyError> {
        match self.open.last_mut() {
            Some(parent) => parent.is_object = true,
            None if self.has_root => return Err(malformed("there is more than one root element")),
            None => self.has_root = true,
        }
        self.builder.text(start.name().as_ref())?;
        self.builder.open()?;
        let mut element = OpenElement::default();
        for (count, attribute) in start.attributes().enumerate() {
            if count == MAX_ATTRIBUTES {
                return Err(malformed(format!(
                    "an element has more than {MAX_ATTRIBUTES} attributes"
                )));
            }
            let attribute = attribute.map_err(|error| malformed(error.to_string()))?;
            let value = attribute
                .normalized_value(quick_xml::XmlVersion::Explicit1_0)
                .map_err(|error| malformed(error.to_string()))?;
            self.builder.text(&format!("@{}", attribute.key.as_ref()))?;
            self.builder.text(&value)?;
            element.is_object = true;
        }
        self.open.push(element);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), BodyError> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim_ascii().trim_start_matches('\u{feff}').is_empty() => {}
            None => return Err(malformed("there is text outside the root element")),
        }
        Ok(())
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), BodyError> {
        let character = reference
            .resolve_char_ref()
            .map_err(|error| malformed(error.to_string()))?;
        match character {
            Some(character) => self.text(character.encode_utf8(&mut [0; 4])),
            None => {
                let name = reference.xml10_content();
                let text = resolve_predefined_entity(&name);
                self.text(text.ok_or_else(|| malformed("an entity is not one of XML's own five"))?)
            }
        }
    }

    fn end(&mut self) -> Result<(), BodyError> {
        let element = self.open.pop().unwrap_or_default();
        let text = element.text.trim();
        if !element.is_object {
            return self.builder.close_text(text);
        }
        if !text.is_empty() {
            self.builder.text("#text")?;
            self.builder.text(text)?;
        }
        self.builder.close_object(Repeated::Gathered)
    }

    fn finish(mut self) -> Result<Document, BodyError> {
        if !self.has_root || !self.open.is_empty() {
            return Err(malformed("it ends before its root element does"));
        }
        self.builder.close_object(Repeated::Gathered)?;
        Ok(self.builder.finish())
    }
}

fn malformed(detail: impl Into<String>) -> BodyError {
    BodyError::Malformed {
        what: "XML",
        detail: detail.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::MAX_DEPTH;
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn elements_become_values() {
        for (xml, expected) in [
            ("<a/>", json!({"a": ""})),
            ("<a> x </a>", json!({"a": "x"})),
            (
                "<?xml version=\"1.0\"?><!-- c --><a><b>1</b><c>2</c><b>3</b></a>",
                json!({"a": {"b": ["1", "3"], "c": "2"}}),
            ),
            (
                "<a id=\"7\" n='x&amp;&#65;'>t</a>",
                json!({"a": {"@id": "7", "@n": "x&A", "#text": "t"}}),
            ),
            ("<a id=\"7\"/>", json!({"a": {"@id": "7"}})),
            (
                "<a>one<b/>two<?pi x?></a>",
                json!({"a": {"b": "", "#text": "onetwo"}}),
            ),
            (
                "<a>&lt;&gt;&amp;&quot;&apos;&#x41;&#66;</a>",
                json!({"a": "<>&\"'AB"}),
            ),
            ("<a><![CDATA[<b>&amp;</b>]]></a>", json!({"a": "<b>&amp;</b>"})),
            (
                "<s:a xmlns:s=\"u\"><s:b/></s:a>",
                json!({"s:a": {"@xmlns:s": "u", "s:b": ""}}),
            ),
            ("<a>\n <b>1</b>\n</a>\n", json!({"a": {"b": "1"}})),
            ("<a>x\r\ny</a>", json!({"a": "x\ny"})),
        ] {
            let document = read(xml).unwrap_or_else(|error| panic!("{xml}: {error}"));
            assert_eq!(document.root().to_json(), expected, "{xml}");
        }
    }

    #[test]
    fn what_is_malformed_or_dangerous_is_refused() {
        let attributes: String = (0..200).map(|n| format!(" a{n}='1'")).collect();
        for xml in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "x<a/>",
            "<a b=1/>",
            "<a b='1' b='2'/>",
            "<a",
            "<a>&undefined;</a>",
            "<a>&#0;</a>",
            "<a>&#xD800;</a>",
            "<a b='&x;'/>",
            "</a>",
            "<a></a></a>",
            "<!DOCTYPE a><a/>",
            &format!("<a{attributes}/>"),
            "<!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol2 \"&lol;&lol;\">]><lolz>&lol2;</lolz>",
            "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
            "<!DOCTYPE a [<!ENTITY x SYSTEM \"http://127.0.0.1/\">]><a>&x;</a>",
        ] {
            assert_eq!(
                read(xml).map(drop).map_err(|error| error.code()),
                Err("malformed"),
                "{xml}"
            );
        }
    }

    #[test]
    fn depth_and_number_of_elements_are_bounded() {
        let nested = |depth| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(read(&nested(MAX_DEPTH - 1)).is_ok());
        assert_eq!(read(&nested(MAX_DEPTH)).map(drop), Err(BodyError::TooDeep));
        assert_eq!(read(&nested(200_000)).map(drop), Err(BodyError::TooDeep));
        let many = format!("<a>{}</a>", "<b/>".repeat(600_000));
        assert_eq!(read(&many).map(drop), Err(BodyError::TooManyValues));
    }

    #[test]
    fn the_declaration_names_an_encoding() {
        for (xml, expected) in [
            (
                "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a/>",
                Some("ISO-8859-1"),
            ),
            ("<?xml version='1.0' encoding = 'utf-8'?>", Some("utf-8")),
            ("<?xml version=\"1.0\" encoding=\"UTF-16\"?>", None),
            ("<?xml version=\"1.0\"?><a encoding=\"x\"/>", None),
            ("<a/>", None),
        ] {
            assert_eq!(declared_encoding(xml.as_bytes()), expected, "{xml}");
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_through(text in "[^\\x00-\\x1f\\x7f-\\x9f]{0,20}", attribute in "[^\\x00-\\x1f\\x7f-\\x9f]{0,20}") {
            let xml = format!("<a b=\"{}\">{}</a>", quick_xml::escape::escape(&attribute), quick_xml::escape::escape(&text));
            let document = read(&xml).expect("XML");
            let element = document.root().get("a").expect("the element");
            prop_assert_eq!(element.get("@b").and_then(|value| value.as_str()), Some(attribute.as_str()));
            let found = element.get("#text").and_then(|value| value.as_str()).unwrap_or_default();
            prop_assert_eq!(found, text.trim());
        }

        #[test]
        fn any_text_is_read_without_panic(pieces in proptest::collection::vec(prop_oneof![
            Just("<a"), Just(">"), Just("</a>"), Just("/>"), Just(" b='"), Just("'"), Just("&#"), Just(";"), Just("<![CDATA["), Just("]]>"),
            Just("<!--"), Just("-->"), Just("<?"), Just("?>"), Just("\u{feff}"), Just("x"), Just("<!DOCTYPE"),
        ], 0..16)) {
            let _ = read(&pieces.concat());
        }
    }
}

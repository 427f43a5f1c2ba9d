//! Values of a JSON body that nobody has authenticated yet: one pass over the bytes, no tree, bounded in size.
//!
//! Numbers keep the text that was sent. A member that is looked for may be there once only: were there two, the signature
//! could cover one and the flow take the other.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::place::Pointer;

/// The longest body that is looked into before it is authenticated, in bytes: 4 MiB. It bounds the work that a stranger can
/// ask for; no sender that signs parts of a JSON body sends nearly as much.
pub const BODY_BYTES: usize = 4 * 1024 * 1024;
/// The most items of a list whose items are signed one by one.
pub const MAX_ITEMS: usize = 1000;

/// The pointers that are looked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    root: Node,
    count: usize,
}

/// Which of the wanted values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field(usize);

#[derive(Debug, Clone, Default)]
struct Node {
    field: Option<usize>,
    children: Vec<(String, Node)>,
}

/// The raw JSON of the wanted values, as far as they are there.
#[derive(Debug)]
pub(super) struct Values<'a>(Vec<Option<&'a str>>);

/// Why a body cannot be looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    TooLong,
    NotJson,
    Twice,
    NoItems,
    TooManyItems,
    NotText,
}

impl Unreadable {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "The body is longer than the 4 MiB that are looked into before it is verified.",
            Self::NotJson => "The body is not the JSON that its verification needs.",
            Self::Twice => "A member of the body that is verified is there twice.",
            Self::NoItems => "The body has no list of signed items, or an empty one.",
            Self::TooManyItems => "The body has more than 1000 signed items.",
            Self::NotText => "A value of the body that is verified is an object or a list.",
        }
    }
}

impl Wanted {
    /// Adds a pointer; the same pointer is the same field.
    pub fn add(&mut self, pointer: &Pointer) -> Field {
        let mut node = &mut self.root;
        for segment in pointer.segments() {
            let place = node.children.iter().position(|(name, _)| *name == segment);
            let place = place.unwrap_or_else(|| {
                node.children.push((segment, Node::default()));
                node.children.len() - 1
            });
            node = &mut node.children[place].1;
        }
        Field(*node.field.get_or_insert_with(|| {
            self.count += 1;
            self.count - 1
        }))
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Finds the wanted values.
    pub fn find<'a>(&self, json: &'a [u8]) -> Result<Values<'a>, Unreadable> {
        if json.len() > BODY_BYTES {
            return Err(Unreadable::TooLong);
        }
        let mut values = vec![None; self.count];
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let seed = Search {
            node: &self.root,
            values: &mut values,
        };
        seed.deserialize(&mut deserializer)
            .and_then(|()| deserializer.end())
            .map_err(|error| {
                if error.to_string().starts_with(TWICE) {
                    Unreadable::Twice
                } else {
                    Unreadable::NotJson
                }
            })?;
        Ok(Values(values))
    }
}

impl<'a> Values<'a> {
    /// A value as text: a string, or a number or boolean as it was sent. `None` when it is not there or null.
    pub fn text(&self, field: Field) -> Result<Option<Cow<'a, str>>, Unreadable> {
        let Some(raw) = self.0.get(field.0).copied().flatten() else {
            return Ok(None);
        };
        match raw.as_bytes().first() {
            Some(b'"') => {
                let text: Text<'a> = serde_json::from_str(raw).map_err(|_| Unreadable::NotJson)?;
                Ok(Some(text.0))
            }
            Some(b'{' | b'[') => Err(Unreadable::NotText),
            _ if raw == "null" => Ok(None),
            _ => Ok(Some(Cow::Borrowed(raw))),
        }
    }

    /// The items of a list.
    pub fn items(&self, field: Field) -> Result<Vec<&'a [u8]>, Unreadable> {
        let raw = self
            .0
            .get(field.0)
            .copied()
            .flatten()
            .ok_or(Unreadable::NoItems)?;
        let items: Vec<&'a RawValue> = serde_json::from_str(raw).map_err(|_| Unreadable::NoItems)?;
        match items.len() {
            0 => Err(Unreadable::NoItems),
            1..=MAX_ITEMS => Ok(items.into_iter().map(|item| item.get().as_bytes()).collect()),
            _ => Err(Unreadable::TooManyItems),
        }
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

const TWICE: &str = "a member is there twice";

/// Follows the pointers into a value.
struct Search<'n, 'v, 'a> {
    node: &'n Node,
    values: &'v mut [Option<&'a str>],
}

impl<'a> DeserializeSeed<'a> for Search<'_, '_, 'a> {
    type Value = ();
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        let Some(field) = self.node.field else {
            return deserializer.deserialize_any(self);
        };
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        if let Some(value) = self.values.get_mut(field) {
            *value = Some(raw);
        }
        if self.node.children.is_empty() {
            return Ok(());
        }
        let mut inner = serde_json::Deserializer::from_str(raw);
        inner.deserialize_any(self).map_err(D::Error::custom)
    }
}

impl<'a> Visitor<'a> for Search<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        // Pointers are few: 64 members of one object at most are told apart, and more than that are refused when saved.
        let mut seen: u64 = 0;
        while let Some(Text(key)) = map.next_key()? {
            let place = self.node.children.iter().position(|(name, _)| **name == *key);
            let Some((place, (_, node))) =
                place.and_then(|place| Some((place, self.node.children.get(place)?)))
            else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let bit = 1u64.checked_shl(place as u32).unwrap_or(0);
            if seen & bit != 0 {
                return Err(A::Error::custom(TWICE));
            }
            seen |= bit;
            map.next_value_seed(Search {
                node,
                values: &mut *self.values,
            })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        let children = self.node.children.iter();
        let wanted: Vec<(usize, &Node)> = children
            .filter_map(|(name, node)| {
                Some((
                    name.parse()
                        .ok()
                        .filter(|index: &usize| index.to_string() == *name)?,
                    node,
                ))
            })
            .collect();
        for index in 0usize.. {
            let more = match wanted.iter().find(|(wanted, _)| *wanted == index) {
                Some((_, node)) => list
                    .next_element_seed(Search {
                        node,
                        values: &mut *self.values,
                    })?
                    .is_some(),
                None => list.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    // A scalar on the way to a pointer: there is nothing below it.
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(json: &str, pointers: &[&str]) -> Result<Vec<Option<String>>, Unreadable> {
        let mut wanted = Wanted::default();
        let fields: Vec<Field> = pointers
            .iter()
            .map(|pointer| wanted.add(&Pointer::parse(pointer).expect("a pointer")))
            .collect();
        let values = wanted.find(json.as_bytes())?;
        fields
            .into_iter()
            .map(|field| Ok(values.text(field)?.map(Cow::into_owned)))
            .collect()
    }

    #[test]
    fn values_are_found_as_they_were_sent() {
        let one = |json: &str, pointer: &str| find(json, &[pointer]).map(|mut found| found.remove(0));
        let some = |text: &str| Ok(Some(text.to_owned()));
        let table = [
            (r#"{"a":"x"}"#, "/a", some("x")),
            (r#"{"a":"\u00e4\n\/"}"#, "/a", some("ä\n/")),
            (r#"{"a":1.50}"#, "/a", some("1.50")),
            (
                r#"{"a":123456789012345678901234567890}"#,
                "/a",
                some("123456789012345678901234567890"),
            ),
            (r#"{"a":true}"#, "/a", some("true")),
            (r#"{"a":null}"#, "/a", Ok(None)),
            (r#"{"b":1}"#, "/a", Ok(None)),
            (r#"{"b":{"a":1}}"#, "/b/a", some("1")),
            (r#"{"b":7}"#, "/b/a", Ok(None)),
            (r#"{"b":[{"a":1},{"a":2}]}"#, "/b/1/a", some("2")),
            (r#"{"a/b":{"~":1}}"#, "/a~1b/~0", some("1")),
            (r#"[1,"two"]"#, "/1", some("two")),
            (r#"{"x":1,"x":2,"a":3}"#, "/a", some("3")),
            (r#"{"a":1,"a":1}"#, "/a", Err(Unreadable::Twice)),
            (r#"{"b":{"a":1},"b":{}}"#, "/b/a", Err(Unreadable::Twice)),
            (r#"{"a":1,"\u0061":1}"#, "/a", Err(Unreadable::Twice)),
            (r#"{"a":{}}"#, "/a", Err(Unreadable::NotText)),
            (r#"{"a":1"#, "/a", Err(Unreadable::NotJson)),
            (r#"{"a":1}}"#, "/a", Err(Unreadable::NotJson)),
            ("", "/a", Err(Unreadable::NotJson)),
        ];
        for (json, pointer, expected) in table {
            assert_eq!(one(json, pointer), expected, "{json} {pointer}");
        }
        let all = find(r#"{"a":{"b":"1","c":"2"},"d":3}"#, &["/d", "/a/c", "/a/b", "/d"]);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(all, Ok(vec![text("3"), text("2"), text("1"), text("3")]));
    }

    #[test]
    fn a_list_is_read_item_by_item() {
        let mut wanted = Wanted::default();
        let field = wanted.add(&Pointer::parse("/items").expect("a pointer"));
        let below = wanted.add(&Pointer::parse("/items/0/a").expect("a pointer"));
        let items = |json: &str| {
            let values = wanted.find(json.as_bytes())?;
            values.items(field).map(|items| {
                items
                    .iter()
                    .map(|item| String::from_utf8_lossy(item).into_owned())
                    .collect()
            })
        };
        assert_eq!(
            items(r#"{"items":[{"a": 1}, 2 ]}"#),
            Ok::<Vec<_>, _>(vec![r#"{"a": 1}"#.to_owned(), "2".to_owned()])
        );
        for json in [r#"{"items":[]}"#, r#"{"items":{}}"#, "{}"] {
            assert_eq!(items(json), Err(Unreadable::NoItems), "{json}");
        }
        let many = format!(r#"{{"items":[{}0]}}"#, "0,".repeat(MAX_ITEMS));
        assert_eq!(items(&many), Err(Unreadable::TooManyItems));
        let values = wanted.find(br#"{"items":[{"a": 1}]}"#).expect("JSON");
        assert_eq!(values.text(below), Ok(Some("1".into())));
    }

    #[test]
    fn hostile_bodies_are_bounded() {
        let deep = format!("{{\"b\":{}", "[".repeat(1_000_000));
        assert_eq!(find(&deep, &["/a"]), Err(Unreadable::NotJson));
        let deep = format!("{{\"a\":{}", "[".repeat(1_000_000));
        assert_eq!(find(&deep, &["/a/0/0/0"]), Err(Unreadable::NotJson));
        let long = " ".repeat(BODY_BYTES + 1);
        assert_eq!(find(&long, &["/a"]), Err(Unreadable::TooLong));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(json: Vec<u8>) {
            let mut wanted = Wanted::default();
            let field = wanted.add(&Pointer::parse("/a/0").expect("a pointer"));
            if let Ok(values) = wanted.find(&json) {
                let _ = values.text(field);
            }
        }
    }
}

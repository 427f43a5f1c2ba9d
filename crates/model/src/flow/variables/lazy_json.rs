//! A JSON body as templates see it, read no further than they look.
//!
//! Most templates look at two or three members of a body. Making values of all of it costs several times what the rest
//! of a request does; finding where its members begin and end costs a sixth of that. An object is therefore kept as its
//! members' bytes, and a member becomes a value when a template first asks for it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use indexmap::IndexMap;
use minijinja::value::{Enumerator, Object, Value as Variable};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Objects nested deeper than this are read whole, so that no byte is looked over more often than this.
const LAZY_LEVELS: u8 = 4;

/// The value of a text in JSON; nothing when it is none.
pub(super) fn read(json: &Bytes) -> Variable {
    read_at(json, 0)
}

fn read_at(json: &Bytes, level: u8) -> Variable {
    let is_object = json.trim_ascii_start().first() == Some(&b'{');
    let value = if is_object && level < LAZY_LEVELS {
        Members::read(json, level).map(Variable::from_object)
    } else {
        serde_json::from_slice(json)
    };
    value.unwrap_or(Variable::from(()))
}

/// The members of an object. Of several with one name the last counts, as for every other reader here.
struct Members {
    level: u8,
    by_name: IndexMap<Box<str>, Member>,
}

struct Member {
    json: Bytes,
    value: OnceLock<Variable>,
}

impl Members {
    fn read(json: &Bytes, level: u8) -> Result<Self, serde_json::Error> {
        let Raw(members) = serde_json::from_slice(json)?;
        let by_name = members.into_iter().map(|(name, member)| {
            let member = Member {
                json: json.slice_ref(member.get().as_bytes()),
                value: OnceLock::new(),
            };
            (name, member)
        });
        Ok(Self {
            level,
            by_name: by_name.collect(),
        })
    }
}

impl Object for Members {
    fn get_value(self: &Arc<Self>, key: &Variable) -> Option<Variable> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Variable> {
        let member = self.by_name.get(key)?;
        let value = member.value.get_or_init(|| read_at(&member.json, self.level + 1));
        Some(value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.by_name.keys().map(|name| Variable::from(&**name)).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.by_name.len())
    }
}

/// Says how much there is, not what: a body can hold anything.
impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object of {} members", self.by_name.len())
    }
}

/// An object's members as they stand in the text.
struct Raw<'a>(Vec<(Box<str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Raw<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Raw(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn lazily(text: &str) -> Value {
        serde_json::to_value(read(&Bytes::copy_from_slice(text.as_bytes()))).expect("JSON")
    }

    #[test]
    fn a_text_is_read_as_it_would_be_at_once() {
        for text in [
            r#"{"a": 1, "b": {"c": [1, {"d": null}], "ü\u00fc": "\ud83e\udd80"}, "a": 2.50}"#,
            r#" {"n": 18446744073709551615, "e": 1e3, "x": {}} "#,
            r#"{"a": {"a": {"a": {"a": {"a": {"a": "deep"}}}}}}"#,
            "[1, 2]",
            "\"text\"",
            "{}",
        ] {
            let expected: Value = serde_json::from_str(text).expect(text);
            assert_eq!(lazily(text), expected, "{text}");
        }
        for text in ["", "{", r#"{"a": 1,}"#, r#"{"a": 1} x"#, "{'a': 1}"] {
            assert_eq!(lazily(text), Value::Null, "{text}");
        }
    }

    #[test]
    fn deep_nesting_ends_instead_of_overflowing() {
        let deep = format!(r#"{}1{}"#, r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
        let mut value = lazily(&deep);
        for _ in 0..LAZY_LEVELS {
            value = value["a"].take();
        }
        assert_eq!(value, json!(null));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(7, 64, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec((".{0,4}", inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_comes_through(value in any_json()) {
            prop_assert_eq!(lazily(&value.to_string()), value);
        }
    }
}

//! Finds values in JSON without changing anything else: serde_json reads, and tells where a masked value begins and ends.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::body::{BodyMask, Found, Progress, Secret};

/// The masked values of a document that begins at `offset`, in their order.
///
/// # Errors
/// When it is no JSON, or nested deeper than 127 levels on the way of a path.
pub(super) fn find(mask: &BodyMask, json: &[u8], offset: usize) -> Result<Vec<Found>, serde_json::Error> {
    let mut found = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(json);
    let begin = mask.begin();
    let walk = Walk {
        mask,
        progress: &begin,
        base: json.as_ptr().addr(),
        offset,
        found: &mut found,
    };
    walk.deserialize(&mut reader)?;
    reader.end()?;
    Ok(found)
}

struct Walk<'a> {
    mask: &'a BodyMask,
    progress: &'a Progress,
    /// Where the document begins in memory.
    base: usize,
    offset: usize,
    found: &'a mut Vec<Found>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.progress.is_empty() {
            return IgnoredAny::deserialize(deserializer).map(drop);
        }
        let paths: Vec<usize> = self.mask.arrived(self.progress).collect();
        if paths.is_empty() {
            return deserializer.deserialize_any(self);
        }
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let start = raw.as_ptr().addr() - self.base + self.offset;
        self.found.push(Found {
            span: start..start + raw.len(),
            paths,
            secret: Secret::Json(raw.to_owned()),
        });
        Ok(())
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(progress) = map.next_key_seed(Step {
            mask: self.mask,
            progress: self.progress,
        })? {
            map.next_value_seed(Walk {
                mask: self.mask,
                progress: &progress,
                base: self.base,
                offset: self.offset,
                found: &mut *self.found,
            })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items
            .next_element_seed(Walk {
                mask: self.mask,
                progress: self.progress,
                base: self.base,
                offset: self.offset,
                found: &mut *self.found,
            })?
            .is_some()
        {}
        Ok(())
    }

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

/// Reads a name, and gives the progress of the paths at its value.
struct Step<'a> {
    mask: &'a BodyMask,
    progress: &'a Progress,
}

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = Progress;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Progress, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Step<'_> {
    type Value = Progress;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Progress, E> {
        Ok(self.mask.step(self.progress, name))
    }
}

//! What was learnt, and what somebody wrote: what is written stays, and where the two differ is said.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::{ExpectedData, Field, FieldPath, Place};

/// A structure of both.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// The structure.
    pub expected: ExpectedData,
    /// Where the samples differ from what is written.
    pub conflicts: Vec<Conflict>,
}

/// A field that is written otherwise than samples show it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ExpectationConflict)]
pub struct Conflict {
    /// In which part of the request.
    pub place: Place,
    /// As it is written, and stays.
    pub written: Field,
    /// As the samples show it.
    pub inferred: Field,
}

/// Brings what was learnt into a structure. Fields that somebody wrote or changed stay as they are; learnt ones are replaced;
/// learnt ones that no sample shows any more stay, but are not required.
pub fn merge(existing: &ExpectedData, learnt: ExpectedData) -> Merged {
    let mut conflicts = Vec::new();
    let mut list =
        |place, existing: &[Field], learnt: Vec<Field>| merge_list(place, existing, learnt, &mut conflicts);
    let expected = ExpectedData {
        mode: existing.mode,
        headers: list(Place::Headers, &existing.headers, learnt.headers),
        query: list(Place::Query, &existing.query, learnt.query),
        path: list(Place::Path, &existing.path, learnt.path),
        body: list(Place::Body, &existing.body, learnt.body),
        at_least_one_of: existing.at_least_one_of.clone(),
        full_body: existing.full_body,
    };
    Merged { expected, conflicts }
}

fn merge_list(
    place: Place,
    existing: &[Field],
    learnt: Vec<Field>,
    conflicts: &mut Vec<Conflict>,
) -> Vec<Field> {
    let mut merged: BTreeMap<FieldPath, Field> = learnt
        .into_iter()
        .map(|field| (field.path.clone(), field))
        .collect();
    for written in existing {
        match merged.get_mut(&written.path) {
            Some(_) if written.inferred => {}
            Some(known) => {
                if differ(written, known) {
                    conflicts.push(Conflict {
                        place,
                        written: written.clone(),
                        inferred: known.clone(),
                    });
                }
                known.clone_from(written);
            }
            None => {
                let mut kept = written.clone();
                kept.required &= !written.inferred;
                merged.insert(kept.path.clone(), kept);
            }
        }
    }
    merged.into_values().collect()
}

/// Whether samples contradict what is written: what is written may be wider.
fn differ(written: &Field, inferred: &Field) -> bool {
    let is_wider = match (written.field_type, inferred.field_type) {
        (super::FieldType::Any, _) | (super::FieldType::Number, super::FieldType::Integer) => true,
        (super::FieldType::String, other) => {
            super::format::FORMATS.contains(&other) || other == super::FieldType::String
        }
        (one, other) => one == other,
    };
    !is_wider
        || (written.required && !inferred.required)
        || (inferred.nullable && !written.nullable && written.field_type != super::FieldType::Any)
}

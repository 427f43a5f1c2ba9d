//! Letting a structure accept requests that differ from it.

use std::sync::Arc;

use super::format::FORMATS;
use super::{
    ExpectedData, Field, FieldPath, FieldType, MAX_VALUES, Matcher, Place, Violation, ViolationCode, infer,
};
use crate::flow::variables::Request;

/// How often a request is looked at again: each time, what it is told to differ in is widened.
const ROUNDS: usize = 20;

/// The structure, wide enough for these requests, too: fields that they lack are not required any more, types and values that
/// they have are added, and groups of which they have nothing are dropped. A body that cannot be read stays a difference.
pub fn widen(expected: &ExpectedData, requests: &[Arc<Request>]) -> ExpectedData {
    let mut widened = expected.clone();
    for request in requests {
        let seen = infer(std::slice::from_ref(request));
        for _ in 0..ROUNDS {
            let violations = Matcher::compile(&widened).check(request);
            if violations.is_empty() {
                break;
            }
            for violation in violations {
                accept(&mut widened, &seen, &violation);
            }
        }
    }
    widened
}

fn accept(expected: &mut ExpectedData, seen: &ExpectedData, violation: &Violation) {
    if violation.code == ViolationCode::NoneOfGroup {
        let name = |group: &Vec<FieldPath>| {
            let names: Vec<String> = group.iter().map(ToString::to_string).collect();
            names.join(",")
        };
        expected
            .at_least_one_of
            .retain(|group| name(group) != violation.path);
        return;
    }
    let (fields, seen) = match violation.place {
        Place::Headers => (&mut expected.headers, &seen.headers),
        Place::Query => (&mut expected.query, &seen.query),
        Place::Path => (&mut expected.path, &seen.path),
        Place::Body => (&mut expected.body, &seen.body),
    };
    let path = violation.path_in_structure();
    let is_it = |field: &&Field| field.path.to_string() == path;
    let seen = seen.iter().find(is_it);
    match fields.iter_mut().find(|field| field.path.to_string() == path) {
        Some(field) => widen_field(field, seen, violation.code),
        // A place that only lies on the way to listed ones: it is listed, as what it was seen to be.
        None => {
            if let Ok(path) = path.parse() {
                fields.push(Field {
                    path,
                    field_type: FieldType::Any,
                    required: false,
                    nullable: false,
                    values: Vec::new(),
                    example: serde_json::Value::Null,
                    inferred: false,
                });
            }
        }
    }
}

fn widen_field(field: &mut Field, seen: Option<&Field>, code: ViolationCode) {
    match (code, seen) {
        (ViolationCode::Missing, _) => field.required = false,
        (ViolationCode::WrongValue, Some(seen))
            if !seen.example.is_null() && field.values.len() < MAX_VALUES =>
        {
            field.values.push(seen.example.clone());
        }
        (ViolationCode::WrongValue, _) => field.values.clear(),
        (ViolationCode::WrongType, seen) => {
            let is_text = |kind: FieldType| kind == FieldType::String || FORMATS.contains(&kind);
            field.field_type = match (field.field_type, seen.map(|seen| seen.field_type)) {
                // Nothing but null was seen.
                (known, Some(FieldType::Any)) if !field.nullable => {
                    field.nullable = true;
                    known
                }
                (FieldType::Integer, Some(FieldType::Number)) => FieldType::Number,
                (known, Some(other)) if is_text(known) && is_text(other) && known != FieldType::String => {
                    FieldType::String
                }
                _ => FieldType::Any,
            };
        }
        (ViolationCode::NoneOfGroup | ViolationCode::Unreadable, _) => {}
    }
}

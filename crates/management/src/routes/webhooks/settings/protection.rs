//! What a webhook masks of its requests, as the API takes it.

use std::collections::HashSet;

use hookgate_model::flow::definition::MAX_TEMPLATE_BYTES;
use hookgate_model::protection::{Condition, DataProtection, MAX_PATHS, MaskPath};
use serde_json::Value;

use crate::error::FieldCode;
use crate::fields::{Fields, FromFields, Read, boolean, list, parsed, text, wrong};

impl FromFields for DataProtection {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let mask = fields.or("mask", Vec::new(), paths);
        let mask_address = fields.or("mask_address", false, boolean);
        let sensitive_if = fields.optional("sensitive_if", condition);
        Some(Self {
            mask: mask?,
            mask_address: mask_address?,
            sensitive_if: sensitive_if?,
        })
    }
}

fn paths(value: Value) -> Read<Vec<MaskPath>> {
    let paths: Vec<MaskPath> = list(0..=MAX_PATHS, parsed)(value)?;
    let mut seen = HashSet::new();
    if paths.iter().all(|path| seen.insert(path.as_str())) {
        Ok(paths)
    } else {
        wrong(FieldCode::Invalid, "may name each path once")
    }
}

fn condition(value: Value) -> Read<String> {
    let source = text(1..=MAX_TEMPLATE_BYTES)(value)?;
    match Condition::compile(&source) {
        Ok(_) => Ok(source),
        Err(detail) => wrong(FieldCode::Invalid, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::object;
    use serde_json::json;

    #[test]
    fn every_wrong_path_is_told() {
        let wrong = json!({"mask": ["body.card", "card", "body.**"], "mask_address": 1, "sensitive_if": "body.x", "hide": 1});
        let errors = object::<DataProtection>(wrong).expect_err("wrong");
        let told: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(
            told,
            ["/mask/1", "/mask/2", "/mask_address", "/sensitive_if", "/hide"]
        );
        let twice = object::<DataProtection>(json!({"mask": ["body.a", " body.a"]})).expect_err("twice");
        assert_eq!(twice[0].pointer, "/mask");
        let unknown =
            object::<DataProtection>(json!({"sensitive_if": "{{ crm.status }}"})).expect_err("unknown");
        assert!(unknown[0].detail.contains("`crm`"), "{}", unknown[0].detail);
        let none: DataProtection = object(json!({"sensitive_if": null})).expect("read");
        assert!(none.is_off());
    }
}

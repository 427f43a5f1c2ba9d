//! What holds of every known sender.

mod signed;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::authentication::{Authentication, ProblemCode, SenderSettings};
use crate::ids::SecretId;
use crate::methods::MethodSet;

fn secret(seed: u8) -> SecretId {
    SecretId::new(chrono::DateTime::UNIX_EPOCH, [seed; 8])
}

/// What a tenant writes of a sender, with everything that it needs.
fn settings(preset: &Preset) -> SenderSettings {
    let mut vectors = signed::vectors().into_iter();
    let vector = vectors.find(|vector| vector.sender == preset.name);
    settings_of(&vector.unwrap_or_else(|| panic!("{} has no signed request", preset.name)))
}

/// The settings that a signed request is verified with.
fn settings_of(vector: &signed::Vector) -> SenderSettings {
    let preset = find(&vector.sender).expect("a sender");
    let mut options = vector.options.clone();
    for choice in &preset.options {
        if choice.format == Format::Secret {
            options.insert(choice.name.clone(), secret(2).to_string());
        }
    }
    SenderSettings {
        sender: vector.sender.clone(),
        secrets: preset.secrets.iter().map(|_| secret(1)).collect(),
        public_keys: vector.public_keys.clone(),
        options,
        tolerance_seconds: None,
    }
}

#[test]
fn every_document_is_complete() {
    assert!(all().is_sorted_by(|a, b| a.name < b.name));
    for preset in all() {
        let name = preset.name;
        assert_eq!(find(name).map(|found| found.name), Some(name));
        for text in [&preset.title, &preset.summary, &preset.documentation_url] {
            assert!(!text.trim().is_empty(), "{name}");
        }
        assert!(preset.documentation_url.starts_with("https://"), "{name}");
        assert!(preset.summary.ends_with('.'), "{name}");
        assert!(!preset.steps.is_empty(), "{name}");
        for sentence in preset.steps.iter().chain(&preset.limits) {
            assert!(sentence.ends_with(['.', '?']), "{name}: {sentence}");
        }
        MethodSet::parse(&preset.methods).unwrap_or_else(|error| panic!("{name}: {error}"));
        let identity = [&preset.event_type, &preset.delivery_id];
        for template in identity.into_iter().flatten() {
            Identity::compile(Some(template), None, false).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        assert!(
            preset.delivery_id.is_some() || !preset.delivery_id_is_signed,
            "{name}"
        );
    }
    assert!(find("nobody").is_none() && find("").is_none());
}

#[test]
fn every_sender_is_an_authentication_that_a_tenant_could_write() {
    for preset in all() {
        let name = preset.name;
        let settings = settings(preset);
        let expanded = authentication(&settings).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert!(
            !matches!(expanded, Authentication::Sender(_) | Authentication::None { .. }),
            "{name}"
        );
        assert_eq!(expanded.problems(), [], "{name}");
        let written = serde_json::to_value(&expanded).expect("JSON");
        assert!(!written.to_string().contains("${"), "{name}: {written}");
        let read: Authentication = serde_json::from_value(written).expect(name);
        assert_eq!(read, expanded, "{name}");
        if preset.secrets.is_some() {
            assert_eq!(expanded.secret_ids(), [secret(1)], "{name}");
        }
        let handshake = handshake(&settings).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert_eq!(handshake.problems(), [], "{name}");
        assert_eq!(
            handshake.kind(),
            preset.handshake_kind().unwrap_or("none"),
            "{name}"
        );
        assert_eq!(handshake.is_pairing(), preset.pairs(), "{name}");
        let of_sender = Authentication::Sender(settings);
        for id in expanded.secret_ids().iter().chain(handshake.secret_ids()) {
            assert!(of_sender.secret_ids().contains(id), "{name}");
        }
    }
}

#[test]
fn what_is_missing_or_wrong_is_told_where_it_is() {
    let of = |value: Value| {
        let settings: SenderSettings = serde_json::from_value(value).expect("settings");
        let problem = authentication(&settings).expect_err("a problem");
        (problem.pointer, problem.code)
    };
    let one = secret(1);
    let table = [
        (json!({ "sender": "nobody" }), "/sender", ProblemCode::NotFound),
        (json!({ "sender": "stripe" }), "/secrets", ProblemCode::Required),
        (
            json!({ "sender": "stripe", "secrets": vec![one; 11] }),
            "/secrets",
            ProblemCode::TooLong,
        ),
        (
            json!({ "sender": "discord" }),
            "/public_keys",
            ProblemCode::Required,
        ),
        (
            json!({ "sender": "discord", "public_keys": ["no key"] }),
            "/public_keys/0",
            ProblemCode::Invalid,
        ),
        (
            json!({ "sender": "stripe", "secrets": [one], "public_keys": ["x"] }),
            "/public_keys",
            ProblemCode::Invalid,
        ),
        (
            json!({ "sender": "stripe", "secrets": [one], "options": { "a/b": "x" } }),
            "/options/a~1b",
            ProblemCode::Invalid,
        ),
        (
            json!({ "sender": "paypal" }),
            "/options/webhook_id",
            ProblemCode::Required,
        ),
        (
            json!({ "sender": "paypal", "options": { "webhook_id": "" } }),
            "/options/webhook_id",
            ProblemCode::Invalid,
        ),
        (
            json!({ "sender": "okta", "secrets": [one], "options": { "header": "a b" } }),
            "/options/header",
            ProblemCode::Invalid,
        ),
        (
            json!({ "sender": "event-grid-entra", "options": { "tenant_id": "../common", "audience": "a" } }),
            "/options/tenant_id",
            ProblemCode::Invalid,
        ),
        (
            json!({ "sender": "plaid", "options": { "keys": "{}" } }),
            "/options/keys",
            ProblemCode::Invalid,
        ),
        (
            json!({ "sender": "github", "secrets": [one], "tolerance_seconds": 60 }),
            "/tolerance_seconds",
            ProblemCode::Invalid,
        ),
        (
            json!({ "sender": "slack", "secrets": [one], "tolerance_seconds": 0 }),
            "/tolerance_seconds",
            ProblemCode::OutOfRange,
        ),
    ];
    for (value, pointer, code) in table {
        assert_eq!(of(value.clone()), (pointer.to_owned(), code), "{value}");
    }
    let without_token = SenderSettings {
        sender: "meta".to_owned(),
        secrets: vec![one],
        options: BTreeMap::from([("verify_token".to_owned(), "no id".to_owned())]),
        ..SenderSettings::default()
    };
    let problem = handshake(&without_token).expect_err("a problem");
    assert_eq!(problem.pointer, "/options/verify_token");
}

#[test]
fn the_tolerance_can_be_chosen_where_a_time_is_signed() {
    let settings = SenderSettings {
        sender: "slack".to_owned(),
        secrets: vec![secret(1)],
        tolerance_seconds: Some(42),
        ..SenderSettings::default()
    };
    let Authentication::Hmac(hmac) = authentication(&settings).expect("expanded") else {
        panic!("Slack signs by HMAC");
    };
    assert_eq!(
        hmac.timestamp.map(|timestamp| timestamp.tolerance_seconds),
        Some(42)
    );
}

#[test]
fn pairing_begins_without_a_secret() {
    for name in ["notion", "asana"] {
        let settings = SenderSettings {
            sender: name.to_owned(),
            ..SenderSettings::default()
        };
        let expanded = authentication(&settings).expect("expanded");
        assert_eq!(expanded.secret_ids(), []);
    }
}

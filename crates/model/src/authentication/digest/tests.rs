use serde_json::json;

use super::*;
use crate::authentication::testing::{Sent, id, problems, verifier};
use crate::authentication::{DenialCode, Encoding};

fn sha256(parts: &[&str]) -> String {
    let mut hasher = Hash::Sha256.hasher();
    parts.iter().for_each(|part| hasher.update(part.as_bytes()));
    Encoding::Hex.encode(hasher.finish().as_bytes())
}

#[test]
fn a_hash_with_a_secret_says_who_sent_it() {
    let hubspot = verifier(
        json!({"kind": "digest", "content": [{"part": "secret"}, {"part": "body"}], "secrets": [id(1), id(2)],
            "value": {"at": {"in": "header", "name": "x-hubspot-signature"}}}),
        &["first", "second"],
    );
    let with = |value: String| {
        Sent::new("{}")
            .header("X-HubSpot-Signature", value)
            .secret(&hubspot)
    };
    assert_eq!(with(sha256(&["first", "{}"])), Ok(Some(id(1))));
    assert_eq!(with(sha256(&["second", "{}"])), Ok(Some(id(2))));
    assert_eq!(with(sha256(&["third", "{}"])), Err(DenialCode::SignatureWrong));
    assert_eq!(with(sha256(&["{}"])), Err(DenialCode::SignatureWrong));
    assert_eq!(
        with(sha256(&["first", "{}"])[1..].to_owned()),
        Err(DenialCode::SignatureMalformed)
    );
    assert_eq!(
        Sent::new("{}").secret(&hubspot),
        Err(DenialCode::SignatureMissing)
    );
}

/// The example of RFC 9530 (appendix B.1): the body is the JSON text with its line feed.
#[test]
fn a_published_hash_of_a_body_is_accepted() {
    let digest = verifier(
        json!({"kind": "digest", "value": {"at": {"in": "pair", "header": "content-digest", "key": "sha-256"},
            "prefix": ":", "suffix": ":", "encoding": "base64"}}),
        &[],
    );
    let sent = Sent::new("{\"hello\": \"world\"}\n").header(
        "content-digest",
        "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
    );
    assert_eq!(sent.secret(&digest), Ok(None));
    let mut changed = sent;
    changed.body.pop();
    assert_eq!(changed.secret(&digest), Err(DenialCode::SignatureWrong));
}

#[test]
fn settings_that_cannot_work_are_told() {
    let value = json!({"at": {"in": "header", "name": "x-hash"}});
    let table = [
        (json!({"kind": "digest", "value": value}), vec![]),
        (
            json!({"kind": "digest", "value": value, "secrets": [id(1)]}),
            vec!["/secrets"],
        ),
        (
            json!({"kind": "digest", "value": value, "content": [{"part": "secret"}]}),
            vec!["/secrets"],
        ),
        (
            json!({"kind": "digest", "value": value, "content": [{"part": "timestamp"}]}),
            vec!["/content/0"],
        ),
    ];
    for (json, expected) in table {
        assert_eq!(problems(json.clone()), expected, "{json}");
    }
}

use serde_json::{Value, json};

use super::*;
use crate::authentication::testing::{Sent, id, problems, settings, verifier};
use crate::authentication::{DenialCode, NoKeys};

fn token(name: &str, seed: u8) -> Value {
    json!({"kind": "static_token", "at": {"in": "header", "name": name}, "secrets": [id(seed)]})
}

fn signed(pointer: &str) -> Value {
    json!({"kind": "static_token", "at": {"in": "body", "pointer": pointer}, "secrets": [id(3)]})
}

fn published() -> Value {
    json!({"kind": "jwt", "keys": {"from": "url", "url": "https://a.example/keys"}, "algorithms": ["RS256"]})
}

const SECRETS: [&str; 3] = ["first", "second", "third"];
/// A token with an algorithm that is allowed, whose keys are not at hand.
const TOKEN: &str = "Bearer eyJhbGciOiJSUzI1NiJ9.e30.AA";

fn with(headers: &[(&str, &str)], body: &str) -> Sent {
    headers
        .iter()
        .fold(Sent::new(body), |sent, (name, value)| sent.header(name, *value))
}

#[test]
fn all_of_wants_each_and_any_of_wants_one() {
    let all = verifier(
        json!({"kind": "all_of", "of": [token("a", 1), token("b", 2)]}),
        &SECRETS,
    );
    let any = verifier(
        json!({"kind": "any_of", "of": [token("a", 1), token("b", 2)]}),
        &SECRETS,
    );
    let missing = Err(DenialCode::CredentialsMissing);
    let wrong = Err(DenialCode::CredentialsWrong);
    let table: [(&[(&str, &str)], _, _); 6] = [
        (
            &[("a", "first"), ("b", "second")],
            Ok(Some(id(1))),
            Ok(Some(id(1))),
        ),
        (&[("a", "first")], missing, Ok(Some(id(1)))),
        (&[("b", "second")], missing, Ok(Some(id(2)))),
        (&[("a", "wrong"), ("b", "second")], wrong, Ok(Some(id(2)))),
        (&[("b", "wrong")], missing, wrong),
        (&[], missing, missing),
    ];
    for (headers, of_all, of_any) in table {
        assert_eq!(with(headers, "").secret(&all), of_all, "{headers:?}");
        assert_eq!(with(headers, "").secret(&any), of_any, "{headers:?}");
    }
}

#[test]
fn what_the_head_says_is_enough_where_it_decides() {
    let all = verifier(
        json!({"kind": "all_of", "of": [signed("/t"), token("a", 1)]}),
        &SECRETS,
    );
    let any = verifier(
        json!({"kind": "any_of", "of": [signed("/t"), token("a", 1)]}),
        &SECRETS,
    );
    assert!(all.needs_body() && any.needs_body());
    let right = with(&[("a", "first")], r#"{"t":"third"}"#);
    let wrong = with(&[("a", "wrong")], r#"{"t":"third"}"#);
    assert_eq!(right.head(&all), None);
    assert!(matches!(wrong.head(&all), Some(Verdict::Denied(_))));
    assert!(matches!(right.head(&any), Some(Verdict::Accepted(_))));
    assert_eq!(wrong.head(&any), None);
    for (sent, verifier, is_accepted) in [
        (&right, &all, true),
        (&wrong, &all, false),
        (&right, &any, true),
        (&wrong, &any, true),
    ] {
        assert_eq!(sent.verify(verifier).is_ok(), is_accepted);
    }
}

#[test]
fn keys_are_fetched_only_when_nothing_else_decides() {
    let all =
        |first: Value, second: Value| verifier(json!({"kind": "all_of", "of": [first, second]}), &SECRETS);
    let any =
        |first: Value, second: Value| verifier(json!({"kind": "any_of", "of": [first, second]}), &SECRETS);
    let both = with(&[("authorization", TOKEN), ("a", "first")], "");
    let stranger = with(&[("authorization", TOKEN), ("a", "wrong")], "");
    for verifier in [all(published(), token("a", 1)), all(token("a", 1), published())] {
        assert!(matches!(both.verdict(&verifier, &NoKeys), Verdict::NeedsKeys(_)));
        assert!(matches!(stranger.verdict(&verifier, &NoKeys), Verdict::Denied(_)));
    }
    for verifier in [any(published(), token("a", 1)), any(token("a", 1), published())] {
        assert!(matches!(both.verdict(&verifier, &NoKeys), Verdict::Accepted(_)));
        assert!(matches!(
            stranger.verdict(&verifier, &NoKeys),
            Verdict::NeedsKeys(_)
        ));
    }
    // The body decides before keys are fetched.
    let with_body = all(published(), signed("/t"));
    assert_eq!(both.head(&with_body), None);
    assert!(matches!(both.verdict(&with_body, &NoKeys), Verdict::Denied(_)));
}

#[test]
fn nesting_and_number_are_bounded() {
    let nest = |depth: usize| {
        (0..depth).fold(
            json!({"kind": "none"}),
            |inner, _| json!({"kind": "all_of", "of": [inner]}),
        )
    };
    assert_eq!(problems(nest(3)), Vec::<String>::new());
    assert_eq!(problems(nest(4)), ["/of/0/of/0/of/0"]);
    let many = |count: usize| json!({"kind": "any_of", "of": vec![token("a", 1); count]});
    assert_eq!(problems(many(10)), Vec::<String>::new());
    assert_eq!(problems(many(11)), ["/of", "/of"]);
    assert_eq!(
        problems(json!({"kind": "any_of", "of": [many(6), many(5)]})),
        ["/of"]
    );
    assert_eq!(problems(json!({"kind": "all_of", "of": []})), ["/of"]);
    assert_eq!(
        problems(
            json!({"kind": "all_of", "of": [{"kind": "none"}, {"kind": "any_of", "of": [{"kind": "basic", "users": []}]}]})
        ),
        ["/of/1/of/0/users"]
    );
}

#[test]
fn secrets_are_found_wherever_they_are_named() {
    let all = settings(json!({"kind": "all_of", "of": [
        token("a", 1),
        {"kind": "any_of", "of": [
            {"kind": "basic", "users": [{"name": "u", "passwords": [id(2), id(1)]}]},
            {"kind": "jwt", "keys": {"from": "secrets", "secrets": [id(3)]}, "algorithms": ["HS256"]},
            {"kind": "app_key_sign", "pairs": [{"app_key": "k", "signs": [id(4)]}]}]},
        {"kind": "sender", "sender": "stripe", "secrets": [id(5)]}]}));
    assert_eq!(all.secret_ids(), [id(1), id(2), id(3), id(4), id(5)]);
    let places: Vec<_> = all
        .secret_places()
        .into_iter()
        .map(|(pointer, _)| pointer)
        .collect();
    assert_eq!(
        places,
        [
            "/of/0/secrets/0",
            "/of/1/of/0/users/0/passwords/0",
            "/of/1/of/0/users/0/passwords/1",
            "/of/1/of/1/keys/secrets/0",
            "/of/1/of/2/pairs/0/signs/0",
            "/of/2/secrets/0"
        ]
    );
}

#[test]
fn unknown_fields_and_kinds_are_refused() {
    for json in [
        json!({"kind": "none", "secret": "a"}),
        json!({"kind": "api_key", "header": "a"}),
        json!({"kind": "magic"}),
        json!({"kind": "static_token", "at": {"in": "header", "name": "a b"}, "secrets": []}),
        json!({"kind": "static_token", "at": {"in": "header", "name": "a", "key": "b"}, "secrets": []}),
        json!({"kind": "static_token", "at": {"in": "body", "pointer": "a"}, "secrets": []}),
        json!({"kind": "static_token", "at": {"in": "cookie", "name": "a"}, "secrets": []}),
        json!({"kind": "jwt", "keys": {"from": "inline", "keys": []}, "algorithms": ["none"]}),
    ] {
        assert!(
            serde_json::from_value::<Authentication>(json.clone()).is_err(),
            "{json}"
        );
    }
    // What is stored reads back.
    let all =
        json!({"kind": "all_of", "of": [token("a", 1), published(), {"kind": "api_key"}, {"kind": "none"}]});
    let all = settings(all);
    assert_eq!(
        serde_json::from_value::<Authentication>(serde_json::to_value(&all).expect("JSON"))
            .expect("settings"),
        all
    );
}

#[test]
fn nothing_secret_is_shown() {
    let mut material = crate::authentication::testing::material(&SECRETS);
    material.api_keys.push(StoredKey {
        id: crate::ids::ApiKeyId::new(chrono::DateTime::UNIX_EPOCH, [1; 8]),
        digest: [0x5a; 32],
        expires_at: None,
    });
    let text = format!("{material:?} {:?}", verifier(token("a", 1), &SECRETS));
    assert!(
        SECRETS.iter().all(|secret| !text.contains(secret)) && !text.contains("90"),
        "{text}"
    );
}

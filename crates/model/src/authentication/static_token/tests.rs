use serde_json::{Value, json};

use super::*;
use crate::authentication::Verifier;
use crate::authentication::testing::{Sent, id, problems, verifier};

fn token(at: Value, prefix: Option<&str>) -> Verifier {
    let settings = json!({"kind": "static_token", "at": at, "prefix": prefix, "secrets": [id(1), id(2)]});
    verifier(settings, &["first", "second"])
}

fn form(body: &str) -> Sent {
    Sent::new(body).header("content-type", "application/x-www-form-urlencoded")
}

#[test]
fn a_token_stands_where_the_settings_say() {
    let header = token(json!({"in": "header", "name": "X-Gitlab-Token"}), None);
    let bearer = token(json!({"in": "header", "name": "authorization"}), Some("Bearer "));
    let query = token(json!({"in": "query", "name": "token"}), None);
    let field = token(json!({"in": "form", "name": "token"}), None);
    let body = token(json!({"in": "body", "pointer": "/value/0/clientState"}), None);
    let pair = token(json!({"in": "pair", "header": "x-auth", "key": "token"}), None);
    let url = |query: &str| Sent::new("").url(&format!("https://hooks.example.com/a?{query}"));
    let (first, second) = (Ok(Some(id(1))), Ok(Some(id(2))));
    let wrong = Err(DenialCode::CredentialsWrong);
    let missing = Err(DenialCode::CredentialsMissing);
    let table = [
        (&header, Sent::new("").header("X-Gitlab-Token", "first"), first),
        (&header, Sent::new("").header("x-gitlab-token", "second"), second),
        (&header, Sent::new("").header("x-gitlab-token", "firs"), wrong),
        (&header, Sent::new("").header("x-gitlab-token", "first "), wrong),
        (&header, Sent::new("").header("x-gitlab-token", "First"), wrong),
        (&header, Sent::new("").header("x-gitlab-token", ""), wrong),
        (
            &header,
            Sent::new("")
                .header("x-gitlab-token", "first")
                .header("x-gitlab-token", "first"),
            wrong,
        ),
        (&header, url("X-Gitlab-Token=first"), missing),
        (
            &bearer,
            Sent::new("").header("authorization", "Bearer first"),
            first,
        ),
        (
            &bearer,
            Sent::new("").header("authorization", "bearer first"),
            first,
        ),
        (&bearer, Sent::new("").header("authorization", "first"), wrong),
        (&bearer, Sent::new("").header("authorization", "Bearer"), wrong),
        (&query, url("a=1&token=fir%73t"), first),
        (&query, url("token=first&token=first"), wrong),
        (&query, url("Token=first"), missing),
        (&query, Sent::new("").header("token", "first"), missing),
        (&field, form("a=1&token=second"), second),
        (&field, form("token=second&token=second"), wrong),
        (&field, Sent::new("token=second"), missing),
        (&body, Sent::new(r#"{"value":[{"clientState":"first"}]}"#), first),
        (
            &body,
            Sent::new(r#"{"value":[{"clientState":"other"},{"clientState":"first"}]}"#),
            wrong,
        ),
        (&body, Sent::new(r#"{"value":[]}"#), missing),
        (&body, Sent::new("{"), Err(DenialCode::BodyUnreadable)),
        (&pair, Sent::new("").header("x-auth", "id=7,token=first"), first),
        (
            &pair,
            Sent::new("").header("x-auth", "token=first,token=first"),
            wrong,
        ),
    ];
    for (verifier, sent, expected) in table {
        assert_eq!(sent.secret(verifier), expected, "{sent:?}");
    }
    assert!(!query.needs_body() && body.needs_body() && field.needs_body());
}

#[test]
fn both_halves_of_a_pair_must_be_right() {
    let pair = verifier(
        json!({"kind": "static_token", "at": {"in": "header", "name": "x-secret"}, "secrets": [id(1)],
            "beside": {"at": {"in": "header", "name": "x-client"}, "value": "shop-1"}}),
        &["first"],
    );
    let with = |client: &str, secret: &str| {
        Sent::new("")
            .header("x-client", client)
            .header("x-secret", secret)
            .secret(&pair)
    };
    assert_eq!(with("shop-1", "first"), Ok(Some(id(1))));
    assert_eq!(with("shop-2", "first"), Err(DenialCode::CredentialsWrong));
    assert_eq!(with("shop-1", "second"), Err(DenialCode::CredentialsWrong));
    let half = Sent::new("").header("x-secret", "first");
    assert_eq!(half.secret(&pair), Err(DenialCode::CredentialsMissing));
}

#[test]
fn settings_that_cannot_work_are_told() {
    let json = json!({"kind": "static_token", "at": {"in": "header", "name": "a"}, "secrets": [], "prefix": "",
        "beside": {"at": {"in": "header", "name": "b"}, "value": ""}});
    assert_eq!(problems(json), ["/secrets", "/prefix", "/beside/value"]);
    let many: Vec<_> = (0..11).map(id).collect();
    let json = json!({"kind": "static_token", "at": {"in": "header", "name": "a"}, "secrets": many});
    assert_eq!(problems(json), ["/secrets"]);
}

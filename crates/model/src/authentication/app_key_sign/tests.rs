use serde_json::{Value, json};

use super::*;
use crate::authentication::Verifier;
use crate::authentication::testing::{Sent, id, problems, verifier};

fn hap(more: Value) -> Verifier {
    let mut settings = json!({"kind": "app_key_sign",
        "pairs": [{"app_key": "app-1", "signs": [id(1), id(2)]}, {"app_key": "app-2", "signs": [id(3)]}]});
    for (name, value) in more.as_object().expect("an object") {
        settings[name] = value.clone();
    }
    verifier(settings, &["sign-1", "sign-2", "sign-3"])
}

#[test]
fn the_pair_is_taken_from_the_places_that_are_configured() {
    let headers = hap(json!({}));
    let all = hap(json!({"places": ["headers", "query", "body"]}));
    let named = hap(json!({"places": ["query"], "app_key_name": "key", "sign_name": "s"}));
    let in_headers = |key: &str, sign: &str| Sent::new("").header("HAP-Appkey", key).header("HAP-Sign", sign);
    let url = |query: &str| Sent::new("{}").url(&format!("https://hooks.example.com/a?{query}"));
    let form = |body: &str| Sent::new(body).header("content-type", "application/x-www-form-urlencoded");
    let wrong = Err(DenialCode::CredentialsWrong);
    let missing = Err(DenialCode::CredentialsMissing);
    let table = [
        (&headers, in_headers("app-1", "sign-1"), Ok(Some(id(1)))),
        (&headers, in_headers("app-1", "sign-2"), Ok(Some(id(2)))),
        (&headers, in_headers("app-2", "sign-3"), Ok(Some(id(3)))),
        (&headers, in_headers("app-1", "sign-3"), wrong),
        (&headers, in_headers("app-3", "sign-1"), wrong),
        (&headers, in_headers("", ""), wrong),
        (&headers, Sent::new("").header("hap-appkey", "app-1"), wrong),
        (&headers, Sent::new("").header("hap-sign", "sign-1"), wrong),
        (&headers, Sent::new(""), missing),
        (&headers, url("AppKey=app-1&Sign=sign-1"), missing),
        (
            &headers,
            Sent::new(r#"{"AppKey":"app-1","Sign":"sign-1"}"#),
            missing,
        ),
        (&all, in_headers("app-1", "sign-1"), Ok(Some(id(1)))),
        (&all, url("AppKey=app-2&Sign=sign-3"), Ok(Some(id(3)))),
        (&all, url("AppKey=app-2&Sign=sign-3&Sign=sign-3"), wrong),
        (
            &all,
            Sent::new(r#"{"AppKey":"app-1","Sign":"sign-1","x":[1]}"#),
            Ok(Some(id(1))),
        ),
        (&all, Sent::new(r#"{"AppKey":"app-1","Sign":"sign-3"}"#), wrong),
        (&all, Sent::new(r#"{"AppKey":"app-1"}"#), wrong),
        (&all, Sent::new("{}"), missing),
        (&all, Sent::new("text"), Err(DenialCode::BodyUnreadable)),
        (&all, form("AppKey=app-1&Sign=sign-1"), Ok(Some(id(1)))),
        (&all, form("a=1"), missing),
        // The first place that holds either half counts.
        (
            &all,
            in_headers("app-1", "no").url("https://hooks.example.com/a?AppKey=app-1&Sign=sign-1"),
            wrong,
        ),
        (&named, url("key=app-1&s=sign-1"), Ok(Some(id(1)))),
        (&named, url("AppKey=app-1&Sign=sign-1"), missing),
    ];
    for (verifier, sent, expected) in table {
        assert_eq!(sent.secret(verifier), expected, "{sent:?}");
    }
    assert!(all.needs_body() && !headers.needs_body());
}

#[test]
fn settings_that_cannot_work_are_told() {
    let table = [
        (json!({"kind": "app_key_sign", "pairs": []}), vec!["/pairs"]),
        (
            json!({"kind": "app_key_sign", "places": [], "pairs": [{"app_key": "a", "signs": []}, {"app_key": "a", "signs": [id(1)]}]}),
            vec!["/pairs/0/signs", "/pairs/1/app_key", "/places"],
        ),
        (
            json!({"kind": "app_key_sign", "pairs": [{"app_key": "a", "signs": [id(1)]}], "app_key_name": "a b", "sign_name": "a b"}),
            vec!["/app_key_name", "/sign_name", "/sign_name"],
        ),
    ];
    for (json, expected) in table {
        assert_eq!(problems(json.clone()), expected, "{json}");
    }
}

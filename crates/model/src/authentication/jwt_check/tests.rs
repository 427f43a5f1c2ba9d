use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::authentication::testing::{Sent, id, problems, verifier};
use crate::authentication::{
    Certificate, Encoding, ExternalKeys, Hash, JwkSet, KeyKind, NoKeys, Verdict, Verifier,
};

/// The Ed25519 key of RFC 8037 (appendix A.1), in PKCS#8, and its public half.
const PRIVATE: &str = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g";
const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const NOW: i64 = 1_700_000_000;

fn jwk(kid: Option<&str>) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": kid, "x": PUBLIC})
}

fn ed_key() -> EncodingKey {
    EncodingKey::from_ed_der(&STANDARD.decode(PRIVATE).expect("base64"))
}

fn token(claims: &Value) -> String {
    token_of(Header::new(Algorithm::EdDSA), claims)
}

fn token_of(header: Header, claims: &Value) -> String {
    jsonwebtoken::encode(&header, claims, &ed_key()).expect("a token")
}

fn with(kid: &str) -> Header {
    Header {
        kid: Some(kid.into()),
        ..Header::new(Algorithm::EdDSA)
    }
}

/// Settings with an inline key, and more.
fn jwt(more: Value) -> Verifier {
    let mut settings =
        json!({"kind": "jwt", "keys": {"from": "inline", "keys": [jwk(None)]}, "algorithms": ["EdDSA"]});
    for (name, value) in more.as_object().expect("an object") {
        settings[name] = value.clone();
    }
    verifier(settings, &["secret"])
}

fn bearer(token: &str) -> Sent {
    Sent::new("{}").header("Authorization", format!("Bearer {token}"))
}

fn check(verifier: &Verifier, claims: &Value) -> Result<(), DenialCode> {
    bearer(&token(claims)).verify(verifier).map(|_| ())
}

/// The examples of RFC 7515 (appendices A.1 to A.3). The tokens of 2011 end in 1300819380.
#[test]
fn published_tokens_are_accepted() {
    const CLAIMS: &str =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let rsa = json!({"kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJ\
        rcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUs\
        LA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethF\
        kMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"});
    let elliptic = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
    let table = [
        (
            json!({"from": "secrets", "secrets": [id(1)], "key": {"encoding": "base64"}}),
            "HS256",
            format!(
                "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
            ),
        ),
        (
            json!({"from": "inline", "keys": [rsa]}),
            "RS256",
            format!(
                "eyJhbGciOiJSUzI1NiJ9.{CLAIMS}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_\
                lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07\
                Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98\
                rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
            ),
        ),
        (
            json!({"from": "inline", "keys": [elliptic]}),
            "ES256",
            format!(
                "eyJhbGciOiJFUzI1NiJ9.{CLAIMS}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3\
                -Kg6NU1Q"
            ),
        ),
    ];
    for (keys, algorithm, token) in table {
        let settings = json!({"kind": "jwt", "keys": keys, "algorithms": [algorithm], "issuers": ["joe"],
            "claims": {"http://example.com/is_root": true}});
        let verifier = verifier(settings, &[secret]);
        assert_eq!(
            bearer(&token).at(1_300_819_380).verify(&verifier).map(|_| ()),
            Ok(()),
            "{algorithm}"
        );
        assert_eq!(
            bearer(&token).at(1_300_819_440).verify(&verifier),
            Err(DenialCode::TokenExpired),
            "{algorithm}"
        );
        let (message, signature) = token.rsplit_once('.').expect("a signature");
        let changed = format!(
            "{message}.{}{}",
            if signature.starts_with('A') { "B" } else { "A" },
            &signature[1..]
        );
        assert_eq!(
            bearer(&changed).at(1_300_819_380).verify(&verifier),
            Err(DenialCode::SignatureWrong),
            "{algorithm}"
        );
        let short = bearer(&token[..token.len() - 4])
            .at(1_300_819_380)
            .verify(&verifier);
        assert_eq!(short, Err(DenialCode::SignatureWrong), "{algorithm}");
    }
}

#[test]
fn claims_must_be_as_they_are_demanded() {
    let demanding = jwt(
        json!({"issuers": ["https://a.example", "b"], "audiences": ["hooks"],
        "claims": {"email": "x@example.com", "email_verified": true}}),
    );
    let good = json!({"iss": "b", "aud": ["other", "hooks"], "exp": NOW + 60, "iat": NOW, "email": "x@example.com",
        "email_verified": true});
    let accepted = bearer(&token(&good)).verify(&demanding).expect("accepted");
    assert_eq!(accepted.signed_at.map(|time| time.timestamp()), Some(NOW));
    let wrong = Err(DenialCode::TokenClaimWrong);
    let table = [
        ("aud", json!("hooks"), Ok(())),
        ("aud", json!("hook"), wrong),
        ("aud", json!([]), wrong),
        ("aud", Value::Null, wrong),
        ("iss", json!("https://a.example/"), wrong),
        ("iss", json!(["b"]), wrong),
        ("iss", Value::Null, wrong),
        ("email", json!("X@example.com"), wrong),
        ("email_verified", json!("true"), wrong),
        ("email_verified", json!(false), wrong),
        ("exp", json!(NOW - 59), Ok(())),
        ("exp", json!(NOW - 60), Err(DenialCode::TokenExpired)),
        ("exp", json!(NOW as f64 + 0.5), Ok(())),
        ("exp", json!((NOW + 60).to_string()), wrong),
        ("exp", json!(1e300), wrong),
        ("exp", json!(u64::MAX), wrong),
        ("exp", json!(i64::MAX), Ok(())),
        ("exp", json!(i64::MIN), Err(DenialCode::TokenExpired)),
        ("exp", Value::Null, wrong),
        ("nbf", json!(NOW + 60), Ok(())),
        ("nbf", json!(NOW + 61), wrong),
        ("nbf", json!(i64::MIN), Ok(())),
        ("iat", json!(NOW + 61), wrong),
        ("iat", json!(NOW - 100_000), Ok(())),
    ];
    for (name, value, expected) in table {
        let mut claims = good.clone();
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().expect("an object").remove(name);
        }
        assert_eq!(check(&demanding, &claims), expected, "{name} {value}");
    }
}

#[test]
fn an_age_can_bound_a_token_without_end() {
    let young = jwt(json!({"require_expiry": false, "max_age_seconds": 300, "leeway_seconds": 0}));
    assert_eq!(check(&young, &json!({"iat": NOW - 300})), Ok(()));
    assert_eq!(
        check(&young, &json!({"iat": NOW - 301})),
        Err(DenialCode::TokenExpired)
    );
    assert_eq!(
        check(&young, &json!({"iat": NOW + 1})),
        Err(DenialCode::TokenClaimWrong)
    );
    assert_eq!(
        check(&young, &json!({"exp": NOW + 9})),
        Err(DenialCode::TokenClaimWrong)
    );
    assert_eq!(
        check(&young, &json!({"iat": NOW, "exp": NOW})),
        Err(DenialCode::TokenExpired)
    );
}

#[test]
fn a_body_hash_binds_the_token_to_the_body() {
    let plaid = jwt(
        json!({"at": {"in": "header", "name": "plaid-verification"}, "max_age_seconds": 300, "require_expiry": false,
        "body_hash": {"claim": "request_body_sha256"}}),
    );
    let mut hasher = Hash::Sha256.hasher();
    hasher.update(b"{}");
    let hash = Encoding::Hex.encode(hasher.finish().as_bytes());
    let sent = |claims: Value, body: &str| Sent::new(body).header("Plaid-Verification", token(&claims));
    let right = json!({"iat": NOW, "request_body_sha256": hash});
    assert_eq!(sent(right.clone(), "{}").verify(&plaid).map(|_| ()), Ok(()));
    assert_eq!(
        sent(right.clone(), "{ }").verify(&plaid),
        Err(DenialCode::SignatureWrong)
    );
    assert_eq!(
        sent(right.clone(), "").verify(&plaid),
        Err(DenialCode::SignatureWrong)
    );
    assert_eq!(
        sent(json!({"iat": NOW}), "{}").verify(&plaid),
        Err(DenialCode::SignatureWrong)
    );
    let short = json!({"iat": NOW, "request_body_sha256": &hash[2..]});
    assert_eq!(sent(short, "{}").verify(&plaid), Err(DenialCode::SignatureWrong));
    // What the head says is enough to deny, not to accept.
    assert_eq!(sent(right, "{}").head(&plaid), None);
    assert!(matches!(
        sent(json!({"iat": 1}), "{}").head(&plaid),
        Some(Verdict::Denied(_))
    ));
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(header), part(claims))
}

/// What attackers try: no algorithm, a public key taken for a secret, a key or its address in the token itself.
#[test]
fn a_token_cannot_choose_how_it_is_verified() {
    let plain = jwt(json!({}));
    let claims = json!({"exp": NOW + 60});
    let malformed = Err(DenialCode::TokenMalformed);
    for algorithm in ["none", "None", "NONE", "", "HS1"] {
        let token = unsigned(&json!({"alg": algorithm}), &claims);
        assert_eq!(bearer(&token).verify(&plain), malformed, "{algorithm}");
        assert_eq!(
            bearer(token.trim_end_matches('.')).verify(&plain),
            malformed,
            "{algorithm}"
        );
    }
    assert_eq!(
        bearer(&unsigned(&json!({"alg": "EdDSA"}), &claims)).verify(&plain),
        Err(DenialCode::SignatureWrong)
    );
    let public = URL_SAFE_NO_PAD.decode(PUBLIC).expect("base64");
    for secret in [public.as_slice(), PUBLIC.as_bytes()] {
        let confused = jsonwebtoken::encode(
            &Header::new(Algorithm::HS256),
            &claims,
            &EncodingKey::from_secret(secret),
        );
        assert_eq!(bearer(&confused.expect("a token")).verify(&plain), malformed);
    }
    let critical = Header {
        crit: Some(vec!["b64".into()]),
        ..Header::new(Algorithm::EdDSA)
    };
    assert_eq!(bearer(&token_of(critical, &claims)).verify(&plain), malformed);
    let mut own_key = Header::new(Algorithm::EdDSA);
    own_key.jwk = serde_json::from_value(jwk(None)).ok();
    own_key.jku = Some("https://evil.example/keys".into());
    let other = jwt(json!({"keys": {"from": "inline", "keys":
        [{"kty": "OKP", "crv": "Ed25519", "x": "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}]}}));
    assert_eq!(
        bearer(&token_of(own_key, &claims)).verify(&other),
        Err(DenialCode::SignatureWrong)
    );
    let good = token(&claims);
    let (header, rest) = good.split_once('.').expect("parts");
    for broken in [
        format!("{good}.x"),
        format!("{header}..{rest}"),
        format!(".{rest}"),
        header.to_owned(),
        String::new(),
        "..".to_owned(),
        format!("{good}="),
        "a.b.c".to_owned(),
        "x".repeat(20_000),
        format!("{header}.{}", rest.replacen('.', "", 1)),
    ] {
        let denied = bearer(&broken).verify(&plain);
        assert!(
            matches!(
                denied,
                Err(DenialCode::TokenMalformed | DenialCode::SignatureWrong)
            ),
            "{broken:.80} {denied:?}"
        );
    }
}

#[test]
fn the_token_is_where_the_settings_say() {
    let plain = jwt(json!({}));
    let good = token(&json!({"exp": NOW + 60}));
    let ok = |sent: Sent, verifier: &Verifier| sent.verify(verifier).map(|_| ());
    assert_eq!(
        ok(
            Sent::new("").header("authorization", format!("bearer  {good} ")),
            &plain
        ),
        Ok(())
    );
    assert_eq!(
        ok(Sent::new("").header("authorization", good.clone()), &plain),
        Err(DenialCode::TokenMalformed)
    );
    assert_eq!(ok(Sent::new(""), &plain), Err(DenialCode::TokenMissing));
    let twice = bearer(&good).header("authorization", format!("Bearer {good}"));
    assert_eq!(ok(twice, &plain), Err(DenialCode::TokenMalformed));
    let bare = jwt(json!({"prefix": ""}));
    assert_eq!(
        ok(Sent::new("").header("authorization", good.clone()), &bare),
        Ok(())
    );
    let query = jwt(json!({"at": {"in": "query", "name": "t"}}));
    assert_eq!(
        ok(Sent::new("").url(&format!("https://a.example/?t={good}")), &query),
        Ok(())
    );
    let body = jwt(json!({"at": {"in": "body", "pointer": "/tokens/0"}}));
    assert_eq!(
        ok(Sent::new(json!({"tokens": [good]}).to_string()), &body),
        Ok(())
    );
    assert_eq!(ok(Sent::new("{}"), &body), Err(DenialCode::TokenMissing));
    assert!(body.needs_body() && !query.needs_body());
}

/// Keys under one URL.
struct Published(Vec<Value>);

impl ExternalKeys for Published {
    fn jwks(&self, url: &str) -> Option<Arc<JwkSet>> {
        assert_eq!(url, "https://a.example/keys");
        let set = json!({"keys": self.0}).to_string();
        Some(Arc::new(JwkSet::parse(set.as_bytes()).expect("a set")))
    }
    fn certificate(&self, _: &str) -> Option<Arc<Certificate>> {
        None
    }
}

#[test]
fn published_keys_are_fetched_when_they_are_needed() {
    let google = jwt(json!({"keys": {"from": "url", "url": "https://a.example/keys"}}));
    let claims = json!({"exp": NOW + 60});
    let sent = |kid: &str| bearer(&token_of(with(kid), &claims));
    let needs = |verdict: Verdict| match verdict {
        Verdict::NeedsKeys(request) => {
            assert_eq!(
                (request.kind, request.url.as_str()),
                (KeyKind::Jwks, "https://a.example/keys")
            );
            Some((request.is_refresh, request.denial().code))
        }
        _ => None,
    };
    assert_eq!(
        needs(sent("1").verdict(&google, &NoKeys)),
        Some((false, DenialCode::KeysUnavailable))
    );
    let keys = Published(vec![jwk(Some("1"))]);
    assert!(matches!(sent("1").verdict(&google, &keys), Verdict::Accepted(_)));
    assert!(matches!(
        bearer(&token(&claims)).verdict(&google, &keys),
        Verdict::Accepted(_)
    ));
    assert_eq!(
        needs(sent("2").verdict(&google, &keys)),
        Some((true, DenialCode::KeyUnknown))
    );
    // A stranger without a token, or with one of a wrong kind, has nothing fetched.
    assert!(matches!(
        Sent::new("").verdict(&google, &NoKeys),
        Verdict::Denied(_)
    ));
    let other = unsigned(&json!({"alg": "HS256"}), &claims);
    assert!(matches!(
        bearer(&other).verdict(&google, &NoKeys),
        Verdict::Denied(_)
    ));
}

#[test]
fn key_sets_are_read_for_what_they_are_good_for() {
    let count = |keys: Value| {
        JwkSet::parse(json!({"keys": keys}).to_string().as_bytes())
            .map(|set| set.keys().len())
            .ok()
    };
    let encryption = json!({"kty": "OKP", "crv": "Ed25519", "use": "enc", "x": PUBLIC});
    let secret = json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"});
    let other_curve = json!({"kty": "EC", "crv": "secp256k1", "x": PUBLIC, "y": PUBLIC});
    let other_type = json!({"kty": "new", "x": 1});
    assert_eq!(
        count(json!([encryption, secret, other_curve, other_type, 7, jwk(None)])),
        Some(1)
    );
    assert_eq!(count(json!([encryption, secret])), None);
    assert_eq!(count(json!([])), None);
    assert!(JwkSet::parse(b"[]").is_err());
    let long = format!("{}{}", json!({"keys": [jwk(None)]}), " ".repeat(300_000));
    assert!(JwkSet::parse(long.as_bytes()).is_err());
}

#[test]
fn settings_that_cannot_work_are_told() {
    let with =
        |keys: Value, algorithms: Value| json!({"kind": "jwt", "keys": keys, "algorithms": algorithms});
    let inline = |key: Value| json!({"from": "inline", "keys": [key]});
    let secrets = json!({"from": "secrets", "secrets": [id(1)]});
    let mut private = jwk(None);
    private["d"] = json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    let p384 = include_str!("../public_key/fixtures/p384.pem");
    let ed25519 = include_str!("../public_key/fixtures/ed25519.pem");
    let table = [
        (with(inline(jwk(None)), json!(["EdDSA"])), vec![]),
        (
            with(inline(jwk(None)), json!([])),
            vec!["/algorithms", "/keys/keys/0"],
        ),
        (
            with(inline(jwk(None)), json!(["EdDSA", "HS256"])),
            vec!["/algorithms/1"],
        ),
        (with(inline(jwk(None)), json!(["RS256"])), vec!["/keys/keys/0"]),
        (with(inline(private), json!(["EdDSA"])), vec!["/keys/keys/0"]),
        (
            with(secrets.clone(), json!(["HS256", "RS256"])),
            vec!["/algorithms/1"],
        ),
        (
            with(json!({"from": "secrets", "secrets": []}), json!(["HS512"])),
            vec!["/keys/secrets"],
        ),
        (
            with(
                json!({"from": "pem", "keys": [ed25519]}),
                json!(["RS256", "EdDSA"]),
            ),
            vec![],
        ),
        (
            with(json!({"from": "pem", "keys": [p384, "x"]}), json!(["ES384"])),
            vec!["/keys/keys/1"],
        ),
        (
            with(
                json!({"from": "url", "url": "http://a.example"}),
                json!(["RS256"]),
            ),
            vec!["/keys/url"],
        ),
        (
            with(
                json!({"from": "url", "url": "https://u:p@a.example"}),
                json!(["RS256"]),
            ),
            vec!["/keys/url"],
        ),
        (
            with(json!({"from": "url", "url": "x"}), json!(["RS256"])),
            vec!["/keys/url"],
        ),
        (
            json!({"kind": "jwt", "keys": secrets, "algorithms": ["HS256"], "require_expiry": false, "leeway_seconds": 301}),
            vec!["/leeway_seconds", "/require_expiry"],
        ),
    ];
    for (json, expected) in table {
        assert_eq!(problems(json.clone()), expected, "{json}");
    }
}

proptest! {
    #[test]
    fn any_changed_character_is_refused(index: prop::sample::Index, with in "[A-Za-z0-9_.-]") {
        let plain = jwt(json!({}));
        let good = token(&json!({"exp": NOW + 60}));
        let mut changed = good.clone();
        let at = index.index(good.len());
        changed.replace_range(at..=at, &with);
        prop_assume!(changed != good);
        let is_refused = bearer(&changed).verify(&plain).is_err();
        prop_assert!(is_refused);
    }

    #[test]
    fn arbitrary_tokens_do_not_panic(token in "[ -~]{0,200}", set: Vec<u8>) {
        let plain = jwt(json!({}));
        let is_refused = bearer(&token).verify(&plain).is_err();
        prop_assert!(is_refused);
        let _ = JwkSet::parse(&set);
    }
}

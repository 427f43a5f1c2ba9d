use super::*;
use crate::authentication::request::StoredHeaders;
use crate::authentication::verifier::Stop;
use crate::headers;

fn key(seed: u8, expires_at: Option<DateTime<Utc>>) -> (String, StoredKey) {
    let text = text([seed; 32]);
    let id = ApiKeyId::new(DateTime::UNIX_EPOCH, [seed; 8]);
    let digest = digest(text.as_bytes());
    let stored = StoredKey {
        id,
        digest,
        expires_at,
    };
    (text, stored)
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_secs(1_000).expect("a time")
}

fn verify(keys: &ApiKeys, sent: &[(&str, &str)], query: &str) -> Result<ApiKeyId, DenialCode> {
    let mut stored = Vec::new();
    for (name, value) in sent {
        headers::write(&mut stored, name.as_bytes(), value.as_bytes());
    }
    let request = Request {
        method: "POST",
        public_url: "https://hooks.example.com/token/orders",
        path: "orders",
        query,
        headers: &StoredHeaders(&stored),
        body: b"",
        now: now(),
    };
    match keys.verify(&request, &mut Trace::off()) {
        Ok(accepted) => Ok(accepted.api_key.expect("a key")),
        Err(Stop::Denied(denial)) => Err(denial.code),
        Err(_) => panic!("it takes no more than the head"),
    }
}

#[test]
fn a_live_key_is_found_in_either_header() {
    let (first, first_stored) = key(1, None);
    let (old, old_stored) = key(2, Some(now()));
    let id = first_stored.id;
    let keys = ApiKeys::new(&ApiKeySettings::default(), &[first_stored, old_stored]);
    let wrong = Err(DenialCode::ApiKeyWrong);
    let table = [
        (vec![("x-api-key", first.clone())], Ok(id)),
        (vec![("authorization", first.clone())], Ok(id)),
        (vec![("authorization", format!("Bearer {first}"))], Ok(id)),
        (vec![("authorization", format!("bearer  {first} "))], Ok(id)),
        (vec![("authorization", format!("Basic {first}"))], wrong),
        (vec![("x-api-key", format!("{first}x"))], wrong),
        (vec![("x-api-key", first[..first.len() - 1].to_owned())], wrong),
        (vec![("x-api-key", String::new())], wrong),
        (
            vec![("x-api-key", first.clone()), ("x-api-key", first.clone())],
            wrong,
        ),
        (vec![("x-api-key", old)], Err(DenialCode::ApiKeyExpired)),
        (vec![], Err(DenialCode::ApiKeyMissing)),
    ];
    for (sent, expected) in table {
        let sent: Vec<_> = sent.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(verify(&keys, &sent, ""), expected, "{sent:?}");
    }
    let none = ApiKeys::new(&ApiKeySettings::default(), &[]);
    assert_eq!(verify(&none, &[("x-api-key", "x")], ""), wrong);
}

#[test]
fn a_query_parameter_counts_only_when_it_is_configured() {
    let (text, stored) = key(1, None);
    let id = stored.id;
    let query = format!("a=1&key={text}");
    let keys = ApiKeys::new(&ApiKeySettings::default(), std::slice::from_ref(&stored));
    assert_eq!(verify(&keys, &[], &query), Err(DenialCode::ApiKeyMissing));
    let settings = ApiKeySettings {
        headers: vec![HeaderName::parse("X-Key").expect("a name")],
        query_parameter: Some(ParameterName::parse("key").expect("a name")),
    };
    let keys = ApiKeys::new(&settings, &[stored]);
    assert_eq!(verify(&keys, &[], &query), Ok(id));
    assert_eq!(verify(&keys, &[("X-KEY", &text)], ""), Ok(id));
    assert_eq!(
        verify(&keys, &[("x-api-key", &text)], ""),
        Err(DenialCode::ApiKeyMissing)
    );
    assert_eq!(
        verify(&keys, &[], &format!("key={text}&key={text}")),
        Err(DenialCode::ApiKeyWrong)
    );
}

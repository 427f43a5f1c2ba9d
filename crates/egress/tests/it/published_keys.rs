//! Fetching keys: once for everybody, kept, and from where they can be trusted.

use std::time::Duration;

use hookgate_domain::clock;
use hookgate_egress::published_keys::{NotFetched, PublishedKeys};
use hookgate_egress::{Client, Settings};
use hookgate_model::authentication::{ExternalKeys, KeyKind, KeyRequest};
use hookgate_testkit::Receiver;
use hookgate_testkit::receiver::Reply;
use serde_json::json;

/// A key set with the public key of RFC 8037, appendix A.2.
fn key_set() -> Reply {
    let key = json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": "a",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    Reply::json(200, &json!({"keys": [key]}))
}

fn keys_trusting(receiver: &Receiver, networks: &[&str]) -> PublishedKeys {
    let networks = networks.iter().map(|network| network.parse().expect("a network"));
    let client = Client::new(&Settings {
        allowed_private_networks: networks.collect(),
        trusted_certificates: Some(receiver.certificate().to_owned()),
        ..Settings::default()
    });
    PublishedKeys::new(client.expect("a client"))
}

fn keys(receiver: &Receiver) -> PublishedKeys {
    keys_trusting(receiver, &["127.0.0.0/8", "::1/128"])
}

fn request(url: &str) -> KeyRequest {
    KeyRequest {
        kind: KeyKind::Jwks,
        url: url.to_owned(),
        is_refresh: false,
    }
}

fn unavailable(outcome: Result<(), NotFetched>) -> String {
    match outcome {
        Err(NotFetched::Unavailable(detail)) => detail,
        other => panic!("not unavailable but {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_waits_for_one_fetch_and_what_came_is_kept() {
    let receiver = Receiver::start_tls().await;
    receiver.otherwise(key_set().after(Duration::from_millis(200)));
    let (keys, tenant) = (keys(&receiver), clock::new_id());
    let url = format!("{}/jwks.json", receiver.url());
    assert!(keys.jwks(&url).is_none());
    let asking = (0..50).map(|_| {
        let (keys, request) = (keys.clone(), request(&url));
        tokio::spawn(async move { keys.fetch(tenant, &request).await })
    });
    for asked in asking.collect::<Vec<_>>() {
        asked.await.expect("an outcome").expect("the keys");
    }
    assert!(keys.jwks(&url).is_some() && keys.certificate(&url).is_none());
    keys.fetch(tenant, &request(&url)).await.expect("they are there");
    // A key that is not among them: they were fetched just now.
    let refresh = KeyRequest {
        is_refresh: true,
        ..request(&url)
    };
    assert_eq!(keys.fetch(tenant, &refresh).await, Err(NotFetched::NotAmong));
    let received = receiver.received();
    assert_eq!((received.len(), received[0].target.as_str()), (1, "/jwks.json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_not_repeated_at_once() {
    let receiver = Receiver::start_tls().await;
    receiver.otherwise(Reply::status(500));
    let (keys, tenant) = (keys(&receiver), clock::new_id());
    let url = format!("{}/jwks.json", receiver.url());
    for _ in 0..20 {
        let detail = unavailable(keys.fetch(tenant, &request(&url)).await);
        assert!(detail.contains("answered 500"), "{detail}");
    }
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_keys_from_the_named_place_counts() {
    let receiver = Receiver::start_tls().await;
    let (keys, tenant) = (keys(&receiver), clock::new_id());
    let redirect = Reply::status(302).with_header("location", "/jwks.json");
    let endless = Reply::status(200).with_body(vec![b' '; 300 * 1024]);
    let symmetric = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]});
    for (path, reply, expected) in [
        ("/redirect", redirect, "redirects are not followed"),
        ("/endless", endless, "longer than 262144 bytes"),
        (
            "/page",
            Reply::status(200).with_body("<html>"),
            "JSON Web Key Set",
        ),
        ("/secret", Reply::json(200, &symmetric), "JSON Web Key Set"),
        ("/slow", key_set().after(Duration::from_secs(60)), "within 3 s"),
        ("/broken", Reply::hang_up(), "no complete answer"),
    ] {
        receiver.script([reply]);
        let url = format!("{}{path}", receiver.url());
        let detail = unavailable(keys.fetch(tenant, &request(&url)).await);
        assert!(detail.contains(expected), "{path}: {detail}");
        assert!(keys.jwks(&url).is_none(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_trusted_servers_at_public_addresses_are_asked() {
    let (receiver, other) = (Receiver::start_tls().await, Receiver::start_tls().await);
    let tenant = clock::new_id();
    let url = format!("{}/jwks.json", receiver.url());
    let detail = unavailable(keys(&other).fetch(tenant, &request(&url)).await);
    assert!(detail.contains("no secure connection"), "{detail}");
    let private = keys_trusting(&receiver, &[]);
    let detail = unavailable(private.fetch(tenant, &request(&url)).await);
    assert!(detail.contains("not public"), "{detail}");
    let plain = Receiver::start().await;
    let detail = unavailable(keys(&receiver).fetch(tenant, &request(&plain.url())).await);
    assert!(detail.contains("https"), "{detail}");
    assert!(receiver.received().is_empty() && plain.received().is_empty());
}

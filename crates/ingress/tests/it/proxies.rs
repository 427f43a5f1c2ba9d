//! Senders behind proxies: the forwarded headers, and connections that begin with the PROXY protocol.

use hookgate_ingress::{ForwardedHeader, Settings};
use hookgate_testkit::fixtures::{NewWebhook, Webhook};
use serde_json::{Value, json};

use crate::harness::Harness;
use crate::wire::status_of;

fn networks(texts: &[&str]) -> Vec<ipnet::IpNet> {
    texts
        .iter()
        .map(|text| text.parse().expect("a network"))
        .collect()
}

fn proxied() -> Settings {
    Settings {
        trusted_proxies: networks(&["127.0.0.0/8", "10.0.0.0/8"]),
        proxy_protocol_listen: Some(([127, 0, 0, 1], 0).into()),
        header_timeout_ms: 1_500,
        ..Settings::default()
    }
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2 for a connection from 203.0.113.7, with an addition.
fn from_sender() -> Vec<u8> {
    let addresses = [203, 0, 113, 7, 10, 0, 0, 1, 0x12, 0x67, 0, 80];
    [SIGNATURE, &[0x21, 0x11, 0, 16], &addresses, b"\x04\x00\x01x"].concat()
}

fn request(webhook: &Webhook, more: &str) -> Vec<u8> {
    let path = &webhook.production.path;
    format!("POST {path} HTTP/1.1\r\nhost: a\r\n{more}content-length: 2\r\n\r\n{{}}").into_bytes()
}

fn addresses(harness: &Harness, webhook: &Webhook) -> Vec<String> {
    harness.database.query_text(&format!(
        "SELECT host(address) FROM events WHERE webhook_id = '{}' ORDER BY id",
        webhook.id.uuid()
    ))
}

#[tokio::test]
async fn a_proxy_says_for_whom_it_connects() {
    let mut harness = Harness::with(proxied()).await;
    let webhook = harness.webhook(NewWebhook::default());
    let at = harness.proxies_address;
    let plain = request(&webhook, "");
    let header = from_sender();
    assert_eq!(status_of(at, &[&header, &plain]).await, 200);
    // Byte by byte, and together with the request.
    let bytes: Vec<&[u8]> = header.chunks(1).chain([&plain[..]]).collect();
    assert_eq!(status_of(at, &bytes).await, 200);
    assert_eq!(status_of(at, &[&[&header[..], &plain[..]].concat()]).await, 200);
    // A sender that is a trusted proxy itself may name another.
    let chained = [
        SIGNATURE,
        &[0x21, 0x11, 0, 12, 10, 0, 0, 9, 10, 0, 0, 1, 0, 9, 0, 9],
    ]
    .concat();
    let named = request(&webhook, "x-forwarded-for: 198.51.100.4\r\n");
    assert_eq!(status_of(at, &[&chained, &named]).await, 200);
    // Anyone else may not.
    assert_eq!(status_of(at, &[&header, &named]).await, 200);
    // The proxy looks after us.
    let local = [SIGNATURE, &[0x20, 0, 0, 0]].concat();
    assert_eq!(status_of(at, &[&local, &plain]).await, 200);

    for (what, beginning) in [
        ("nothing", &b""[..]),
        ("version 1", b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\n"),
        ("no TCP address", &[SIGNATURE, &[0x21, 0x00, 0, 0]].concat()),
        ("too much", &[SIGNATURE, &[0x21, 0x11, 0xff, 0xff]].concat()),
    ] {
        let sent = [beginning, &plain].concat();
        assert_eq!(status_of(at, &[&sent]).await, 0, "{what}");
    }
    // It does not come to its end, or takes the request for its end.
    assert_eq!(status_of(at, &[&header[..20]]).await, 0);
    assert_eq!(status_of(at, &[&header[..20], &plain]).await, 400);
    harness.stop().await;
    let seen = addresses(&harness, &webhook);
    let sender = "203.0.113.7";
    assert_eq!(
        seen,
        [sender, sender, sender, "198.51.100.4", sender, "127.0.0.1"]
    );
}

#[tokio::test]
async fn only_trusted_proxies_may_say_so() {
    let settings = Settings {
        trusted_proxies: networks(&["10.0.0.0/8"]),
        ..proxied()
    };
    let mut harness = Harness::with(settings).await;
    let webhook = harness.webhook(NewWebhook::default());
    let plain = request(&webhook, "");
    let sent = [from_sender(), plain.clone()].concat();
    assert_eq!(status_of(harness.proxies_address, &[&sent]).await, 0);
    // Nor does the header count where it is not demanded.
    assert_eq!(status_of(harness.address, &[&sent]).await, 400);
    assert_eq!(status_of(harness.address, &[&plain]).await, 200);
    harness.stop().await;
    assert_eq!(addresses(&harness, &webhook), ["127.0.0.1"]);
}

#[tokio::test]
async fn one_forwarded_header_counts_and_the_other_does_not() {
    for (header, expected) in [
        (ForwardedHeader::XForwardedFor, "203.0.113.7"),
        (ForwardedHeader::Forwarded, "2001:db8::7"),
    ] {
        let settings = Settings {
            forwarded_header: header,
            ..proxied()
        };
        let mut harness = Harness::with(settings).await;
        let webhook = harness.webhook(NewWebhook::default());
        let answer = harness
            .post(&webhook.production)
            .header("x-forwarded-for", "198.51.100.1, 203.0.113.7")
            .header(
                "forwarded",
                "for=198.51.100.2;proto=https, for=\"[2001:db8::7]:4711\"",
            )
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
        harness.stop().await;
        assert_eq!(addresses(&harness, &webhook), [expected]);
    }
}

#[tokio::test]
async fn who_is_refused_is_told_the_address_that_was_seen() {
    let mut harness = Harness::with(proxied()).await;
    let [open, masked] = [false, true].map(|mask| {
        let webhook = harness.webhook(NewWebhook::default());
        let (tenant, id) = (webhook.tenant.uuid(), webhook.id.uuid());
        harness.execute(&format!(
            "WITH list AS (INSERT INTO allowlists (tenant_id, id, name) VALUES ('{tenant}', gen_random_uuid(), '{id}') RETURNING id)
             INSERT INTO webhook_allowlists (tenant_id, webhook_id, allowlist_id) SELECT '{tenant}', '{id}', id FROM list"
        ));
        if mask {
            let protection = json!({"mask_address": true});
            harness.execute(&format!(
                "UPDATE webhooks SET data_protection = '{protection}' WHERE id = '{id}'"
            ));
        }
        webhook
    });
    for webhook in [&open, &masked] {
        let answer = harness
            .post(&webhook.production)
            .header("x-forwarded-for", "203.0.113.7")
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 403);
        let problem: Value = answer.json().await.expect("a problem");
        assert_eq!(problem["code"], "address_not_allowed");
        assert_eq!(problem["detail"], "Requests from 203.0.113.7 are not allowed.");
    }
    harness.stop().await;
    let details = |webhook: &Webhook| {
        harness.database.query_text(&format!(
            "SELECT detail FROM refusals WHERE webhook_id = '{}'",
            webhook.id.uuid()
        ))
    };
    assert_eq!(
        details(&open),
        [
            "No entry of the attached allowlists holds 203.0.113.7, named in `x-forwarded-for` of the trusted proxy 127.0.0.1."
        ]
    );
    assert_eq!(
        details(&masked),
        ["No entry of the attached allowlists holds its address."]
    );
}

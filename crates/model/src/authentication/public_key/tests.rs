use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::authentication::testing::{Sent, now, problems, settings, verifier};
use crate::authentication::{ExternalKeys, JwkSet, Material, NoKeys, Verdict, Verifier};

const CERTIFICATE: &str = include_str!("fixtures/certificate.pem");
const RSA_2048: &str = include_str!("fixtures/rsa2048.pem");
const RSA_1024: &str = include_str!("fixtures/rsa1024.pem");
const P384: &str = include_str!("fixtures/p384.pem");
const P256_COMPRESSED: &str = include_str!("fixtures/p256_compressed.pem");
const ED25519: &str = include_str!("fixtures/ed25519.pem");

// Made with `openssl dgst -sign` and the key of the certificate, over what the tests below describe.
const SNS_SHA256: &str = "Kp5wpiH/16kxVOREnSY1590Kz7ZabRebr6gyY5ZqT9UYlGWUa0tPgVv7eTG32/jwkw9y/H5HyejF4OfeoCzijuA9wQm6tOFMNGVE\
    RDt2ZhcKxdZYjWKk91QlrUDKPCGMrz4vfcSjrp721f6X0BASggpcxIPMUElKTH1s42JIK9fXRdB+uB7XOjpJA8QmsUiIuk786+po\
    8izNjBeYw0Hidb685jVj8v5EUP1EgTkGc8GRRub5wlbv78FxG/ZJHNxxBfWFGaB9dZg6esG1TkpEWivCJ0wRe9J7wyx4qlYuSRmv\
    +IymeLRudwMNKW9jLx5TukMXnWxaBvttYabz+hyVDg==";
const SNS_SHA1: &str = "IqunLEc46OOtfsdpOoCnWEl1dgMsNb17qhct8mb69LpytV8dvi4YIz7XUnGU+XYuR+T29A4cqCo7rWaz6ExuOWjKQtNeOiE1BGRQ\
    uRa5fURS/4KnEUaVzKvjf767FWARhby9E72/96fxv87r6/U8JxW5BgVjcv/jasoLebLOCsIW7bxy+mOlbL33yUFTys0A5ZAh+UJY\
    6nuxGbtW7rnm5kna0dY6hsxyEiykjrTaS0BnjbGQeL2ZyAll0dZsaxh/O1afql343ojGys6hnBjmiQm3HvMABnGSXljiSPC41Hnf\
    ry75pXTDEt1nhWI1pH4QlneWkX/7bTOegB29Y4q0zw==";
const PAYPAL_SHA256: &str = "S7OKXZnhW70iXSlf3/FKf4A4ikU+SbGq+Pq93t+DwMM/ZNMuf5pqwhBqwicCfdkP4M8RZtlPQZsSOBKudq1xx/TopSipRN1qUW19\
    L2jnwgEpESjjJiLgIrqnAn48c7ERmLjRG5UB20h0cFnU1pDPs5Sabzw24I448HxNeUVY2v99ymOM6GBeqTMzQ+9hwsTyXY6BneBR\
    5rx1ohpaQSGUuuc0FUrqZAPpqitTIgr0NYyUDvGYFLw7UY6VMzgf9eBVdW8eqM43t+RSHhTbJB6ur7inw8EpsifmM4Xf8vFP28Wk\
    wglbHjRwWqtxxBqp+ii6Dwwq7/uWrPD90wFT56O9ZA==";
const PSS_SHA256: &str = "Uc9ZZaww8K+/eunDEoiN6nVSp07Ik3538pRwiEoJxDcQitakW7Y0/FIuBR2UPORgsgCSTTIH2p2dmxnwg3BwzdWp0/J6CptpSirz\
    uAX4O7lBwvstdd0hg/PLm4r7thPnf1DfQ2UQtx57u3OU43RW4sPuCPC1WDsvoHq51M9SGbZAje/EO28Ghd3+6aQcl1Dv7t4DbK+5\
    mQ4bmmmsAgJya2Ab9oyW971GyIQmPlcosGJiD/Py4+I7B8s5Idxd9PuSnNNrgcCjBl6vzGIgTEAOJnHyJ5yzhWD/BXq8fRuU+vdX\
    7/A61mZ5m2zPoOZdJw9EXYqakZXSSXAStyxjAA95KA==";

/// One certificate, wherever it is asked for.
struct OneCertificate(Arc<Certificate>);

impl OneCertificate {
    fn new() -> Self {
        Self(Arc::new(
            Certificate::parse(CERTIFICATE.as_bytes()).expect("a certificate"),
        ))
    }
}

impl ExternalKeys for OneCertificate {
    fn jwks(&self, _: &str) -> Option<Arc<JwkSet>> {
        None
    }
    fn certificate(&self, _: &str) -> Option<Arc<Certificate>> {
        Some(Arc::clone(&self.0))
    }
}

fn code(verdict: Verdict) -> Result<(), DenialCode> {
    match verdict {
        Verdict::Accepted(_) => Ok(()),
        Verdict::Denied(denial) => Err(denial.code),
        Verdict::NeedsKeys(request) => panic!("needs {request:?}"),
    }
}

const SENDGRID_KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2f\
    NNRaINXvVpiglSI8eNEc6wEA3F+g==";

fn sendgrid() -> Verifier {
    verifier(
        json!({"kind": "public_key", "algorithm": "ecdsa_p256_sha256", "keys": [SENDGRID_KEY],
            "content": [{"part": "header", "name": "x-twilio-email-event-webhook-timestamp"}, {"part": "body"}],
            "signature": {"at": {"in": "header", "name": "x-twilio-email-event-webhook-signature"}, "encoding": "base64"}}),
        &[],
    )
}

/// The example of SendGrid's libraries' tests.
#[test]
fn sendgrids_published_vector_is_accepted() {
    let body = "[{\"email\":\"hello@world.com\",\"event\":\"dropped\",\"reason\":\"Bounced Address\",\
        \"sg_event_id\":\"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA\",\
        \"sg_message_id\":\"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0\",\
        \"smtp-id\":\"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>\",\"timestamp\":1600112492}]\r\n";
    let signature =
        "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=";
    let sent = |body: &str, time: &str, signature: &str| {
        Sent::new(body)
            .header("X-Twilio-Email-Event-Webhook-Timestamp", time)
            .header("X-Twilio-Email-Event-Webhook-Signature", signature)
            .verify(&sendgrid())
            .map(|_| ())
    };
    assert_eq!(sent(body, "1600112502", signature), Ok(()));
    assert_eq!(
        sent(body.trim_end(), "1600112502", signature),
        Err(DenialCode::SignatureWrong)
    );
    assert_eq!(
        sent(body, "1600112503", signature),
        Err(DenialCode::SignatureWrong)
    );
    assert_eq!(
        sent(body, "1600112502", &signature[..92]),
        Err(DenialCode::SignatureWrong)
    );
    assert_eq!(
        sent(body, "1600112502", &signature[..91]),
        Err(DenialCode::SignatureMalformed)
    );
    assert_eq!(sent(body, "1600112502", ""), Err(DenialCode::SignatureMalformed));
}

/// The examples of RFC 8037 (appendix A.4), and of RFC 7515 (appendices A.2 and A.3): signatures over a header, a dot and a
/// payload, which are given here as a body.
#[test]
fn published_signatures_are_accepted() {
    const ED25519_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    const PAYLOAD: &str =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    // The points of RFC 7515's P-256 key, after the octet that says that they are not compressed.
    const P256_KEY: &str = "047fcdce2770f6c45d4183cbee6fdb4b7b580733357be9ef13bacf6e3c7bd15445\
        c7f144cd1bbd9b7e872cdfedb9eeb9f4b3695d6ea90b24ad8a4623288588e5ad";
    let table = [
        (
            "ed25519",
            ED25519_KEY,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
        (
            "ecdsa_p256_sha256_raw",
            P256_KEY,
            format!("eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}"),
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
    ];
    for (algorithm, key, body, signature) in table {
        let verifier = verifier(
            json!({"kind": "public_key", "algorithm": algorithm, "keys": [key],
                "signature": {"at": {"in": "header", "name": "x-signature"}, "encoding": "base64url"}}),
            &[],
        );
        let sent = |body: &str| {
            Sent::new(body)
                .header("x-signature", signature)
                .verify(&verifier)
                .map(|_| ())
        };
        assert_eq!(sent(&body), Ok(()), "{algorithm}");
        assert_eq!(sent(&body[1..]), Err(DenialCode::SignatureWrong), "{algorithm}");
        let short = Sent::new(body)
            .header("x-signature", &signature[..84])
            .verify(&verifier);
        assert_eq!(short, Err(DenialCode::SignatureMalformed), "{algorithm}");
    }
}

fn sns(version: &str) -> Value {
    json!({"kind": "public_key", "algorithm": version,
        "certificate": {"url": {"in": "body", "pointer": "/SigningCertURL"}, "hosts": ["sns.*.amazonaws.com"]},
        "content": [{"part": "json_lines", "names":
            ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]}],
        "signature": {"at": {"in": "body", "pointer": "/Signature"}, "encoding": "base64"}})
}

fn from_sns(signature: &str, url: &str) -> Value {
    json!({"Type": "Notification", "MessageId": "da41e39f-ea4d-435a-b922-c6aae3915ebe",
        "TopicArn": "arn:aws:sns:us-east-1:123456789012:MyTopic", "Subject": "test", "Message": "Hello from SNS",
        "Timestamp": "2023-11-14T22:13:20.000Z", "SignatureVersion": "2", "Signature": signature, "SigningCertURL": url,
        "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe"})
}

const SNS_URL: &str = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem";

#[test]
fn amazon_sns_signs_with_a_certificate_of_its_own_hosts() {
    let both = verifier(
        json!({"kind": "any_of", "of": [sns("rsa_sha256"), sns("rsa_sha1")]}),
        &[],
    );
    let keys = OneCertificate::new();
    let check = |body: &Value| code(Sent::new(body.to_string()).verdict(&both, &keys));
    assert_eq!(check(&from_sns(SNS_SHA256, SNS_URL)), Ok(()));
    assert_eq!(check(&from_sns(SNS_SHA1, SNS_URL)), Ok(()));
    let with = |name: &str, value: Value| {
        let mut body = from_sns(SNS_SHA256, SNS_URL);
        body[name] = value;
        check(&body)
    };
    assert_eq!(
        with("Message", json!("Hello from")),
        Err(DenialCode::SignatureWrong)
    );
    assert_eq!(with("Subject", Value::Null), Err(DenialCode::SignatureWrong));
    assert_eq!(
        with("SubscribeURL", json!("https://evil.example")),
        Err(DenialCode::SignatureWrong)
    );
    assert_eq!(with("Signature", Value::Null), Err(DenialCode::SignatureMissing));
    assert_eq!(
        with("SigningCertURL", Value::Null),
        Err(DenialCode::KeysUnavailable)
    );
    // What is not signed, and not looked at.
    assert_eq!(with("UnsubscribeURL", json!("")), Ok(()));

    let sent = Sent::new(from_sns(SNS_SHA256, SNS_URL).to_string());
    assert_eq!(sent.head(&both), None);
    let Verdict::NeedsKeys(request) = sent.verdict(&both, &NoKeys) else {
        panic!("the certificate must be fetched");
    };
    assert_eq!(
        (request.kind, request.url.as_str(), request.is_refresh),
        (KeyKind::Certificate, SNS_URL, false)
    );
    let ended = sent.at(2_014_416_001);
    assert_eq!(
        code(ended.verdict(&both, &keys)),
        Err(DenialCode::KeysUnavailable)
    );
    assert!(keys.0.is_valid_at(now()));
}

#[test]
fn certificates_come_from_allowed_hosts_alone() {
    let sns = verifier(sns("rsa_sha256"), &[]);
    let keys = OneCertificate::new();
    let table = [
        ("https://sns.us-east-1.amazonaws.com/a.pem", true),
        ("https://SNS.eu-central-1.amazonaws.com/a.pem?x=1", true),
        ("https://sns.us-east-1.amazonaws.com:443/a.pem", true),
        ("http://sns.us-east-1.amazonaws.com/a.pem", false),
        ("https://sns.us-east-1.amazonaws.com:8443/a.pem", false),
        ("https://sns.us-east-1.amazonaws.com.evil.example/a.pem", false),
        ("https://evil.example/sns.us-east-1.amazonaws.com/a.pem", false),
        ("https://sns.us-east-1.amazonaws.com@evil.example/a.pem", false),
        ("https://user@sns.us-east-1.amazonaws.com/a.pem", false),
        ("https://evil.example#sns.us-east-1.amazonaws.com/a.pem", false),
        ("https://evil.example\\.sns.us-east-1.amazonaws.com/a.pem", false),
        ("https://sns.a.b.amazonaws.com/a.pem", false),
        ("https://sns..amazonaws.com/a.pem", false),
        ("https://snsx.us-east-1.amazonaws.com/a.pem", false),
        ("https://bucket.s3.amazonaws.com/a.pem", false),
        ("https://127.0.0.1/a.pem", false),
        ("file:///etc/passwd", false),
        ("//sns.us-east-1.amazonaws.com/a.pem", false),
        ("", false),
    ];
    for (url, is_allowed) in table {
        let verdict = Sent::new(from_sns(SNS_SHA256, url).to_string()).verdict(&sns, &keys);
        let expected = if is_allowed {
            Ok(())
        } else {
            Err(DenialCode::KeysUnavailable)
        };
        assert_eq!(code(verdict), expected, "{url}");
    }
}

#[test]
fn paypal_signs_a_checksum_with_a_certificate_by_url() {
    let paypal = verifier(
        json!({"kind": "public_key", "algorithm": "rsa_sha256",
            "certificate": {"url": {"in": "header", "name": "paypal-cert-url"}, "hosts": ["api.paypal.com"]},
            "content": [{"part": "header", "name": "paypal-transmission-id"}, {"part": "text", "text": "|"},
                {"part": "header", "name": "paypal-transmission-time"}, {"part": "text", "text": "|1JE4291016473214C|"},
                {"part": "body_crc32"}],
            "signature": {"at": {"in": "header", "name": "paypal-transmission-sig"}, "encoding": "base64"}}),
        &[],
    );
    let keys = OneCertificate::new();
    let sent = |body: &str, host: &str| {
        let sent = Sent::new(body)
            .header("paypal-transmission-id", "b2c6b1a0-8300-11ee-b962-0242ac120002")
            .header("paypal-transmission-time", "2023-11-14T22:13:20Z")
            .header(
                "paypal-cert-url",
                format!("https://{host}/v1/notifications/certs/CERT-1"),
            )
            .header("paypal-transmission-sig", PAYPAL_SHA256);
        code(sent.verdict(&paypal, &keys))
    };
    let body = r#"{"id":"WH-1","event_type":"PAYMENT.CAPTURE.COMPLETED"}"#;
    assert_eq!(sent(body, "api.paypal.com"), Ok(()));
    assert_eq!(
        sent(&body.replace("COMPLETED", "DENIED"), "api.paypal.com"),
        Err(DenialCode::SignatureWrong)
    );
    assert_eq!(
        sent(body, "api.paypal.com.evil.example"),
        Err(DenialCode::KeysUnavailable)
    );
}

#[test]
fn pss_is_not_taken_for_the_older_padding() {
    let with = |algorithm: &str, key: &str| {
        let verifier = verifier(
            json!({"kind": "public_key", "algorithm": algorithm, "keys": [key],
                "signature": {"at": {"in": "header", "name": "x-signature"}, "encoding": "base64"}}),
            &[],
        );
        Sent::new("body")
            .header("x-signature", PSS_SHA256)
            .verify(&verifier)
            .map(|_| ())
    };
    assert_eq!(with("rsa_pss_sha256", RSA_2048), Ok(()));
    assert_eq!(with("rsa_pss_sha256", CERTIFICATE), Ok(()));
    assert_eq!(with("rsa_sha256", RSA_2048), Err(DenialCode::SignatureWrong));
}

#[test]
fn keys_are_read_in_every_form_and_held_against_the_algorithm() {
    let read = |text: &str, algorithm| {
        PublicKey::parse(text, algorithm)
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let fits = |text: &str, algorithm| assert_eq!(read(text, algorithm), Ok(()), "{text:.60}");
    let refused = |text: &str, algorithm, part: &str| {
        assert!(
            read(text, algorithm).is_err_and(|error| error.contains(part)),
            "{text:.60}"
        );
    };
    use PublicKeyAlgorithm::{EcdsaP256Sha256, Ed25519, RsaSha256};
    let hex = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    fits(hex, Ed25519);
    fits(&hex.to_uppercase(), Ed25519);
    fits("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", Ed25519);
    fits("whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", Ed25519);
    fits(ED25519, Ed25519);
    fits(&ED25519.replace('\n', "\r\n"), Ed25519);
    fits(SENDGRID_KEY, EcdsaP256Sha256);
    fits(RSA_2048, RsaSha256);
    fits(CERTIFICATE, RsaSha256);
    let one_line: String = RSA_2048.lines().filter(|line| !line.starts_with('-')).collect();
    fits(&one_line, RsaSha256);
    refused(&hex[2..], Ed25519, "Ed25519");
    refused(RSA_2048, Ed25519, "Ed25519");
    refused(ED25519, RsaSha256, "RSA");
    refused(RSA_1024, RsaSha256, "2048");
    refused(CERTIFICATE, EcdsaP256Sha256, "P-256");
    refused(P384, EcdsaP256Sha256, "P-256");
    refused(P256_COMPRESSED, EcdsaP256Sha256, "uncompressed");
    refused(
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        RsaSha256,
        "private",
    );
    refused("-----BEGIN PUBLIC KEY-----", RsaSha256, "PEM");
    refused("not a key!", RsaSha256, "PEM");
    refused("", RsaSha256, "RSA");
}

#[test]
fn settings_that_cannot_work_are_told() {
    let at = json!({"at": {"in": "header", "name": "x-signature"}});
    let hosts = |hosts: &[&str]| {
        let url = json!({"in": "header", "name": "x-cert"});
        json!({"kind": "public_key", "algorithm": "rsa_sha256", "signature": at, "certificate": {"url": url, "hosts": hosts}})
    };
    let table = [
        (
            json!({"kind": "public_key", "algorithm": "ed25519", "signature": at}),
            vec!["/keys"],
        ),
        (
            json!({"kind": "public_key", "algorithm": "ed25519", "signature": at, "keys": [ED25519, "x"]}),
            vec!["/keys/1"],
        ),
        (hosts(&[]), vec!["/certificate/hosts"]),
        (
            hosts(&["api.paypal.com", "*.example.com", "a.*.b.example.com"]),
            vec![],
        ),
    ];
    for (json, expected) in table {
        assert_eq!(problems(json.clone()), expected, "{json}");
    }
    for host in [
        "*.com",
        "*",
        "com",
        "a.*",
        "10.0.0.1",
        "https://a.example",
        "a..example",
        "a*.example.com",
        "a.example:1",
    ] {
        assert_eq!(problems(hosts(&[host])), ["/certificate/hosts/0"], "{host}");
    }
    let wrong =
        settings(json!({"kind": "public_key", "algorithm": "ed25519", "signature": at, "keys": ["x"]}));
    assert!(Verifier::compile(&wrong, &Material::default()).is_err());
}

proptest! {
    #[test]
    fn arbitrary_keys_and_certificates_do_not_panic(bytes: Vec<u8>, text: String) {
        let _ = Certificate::parse(&bytes);
        let pem = pem::encode(&pem::Pem::new("CERTIFICATE", bytes.clone()));
        let _ = Certificate::parse(pem.as_bytes());
        for algorithm in [PublicKeyAlgorithm::Ed25519, PublicKeyAlgorithm::EcdsaP256Sha256, PublicKeyAlgorithm::RsaSha256] {
            let _ = PublicKey::parse(&text, algorithm);
            let _ = PublicKey::from_info(&bytes, algorithm).map(|key| key.verify(b"content", &bytes));
        }
    }

    #[test]
    fn a_changed_signature_is_refused(index in 0..64usize, with in 1..=255u8) {
        let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        use base64::Engine;
        let mut bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature).expect("base64");
        let key = PublicKey::parse("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", PublicKeyAlgorithm::Ed25519).expect("a key");
        let content = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        prop_assert!(key.verify(content, &bytes));
        bytes[index] ^= with;
        prop_assert!(!key.verify(content, &bytes));
    }
}

//! TLS on the services' own ports, and certificates that change while they run.

use std::path::Path;
use std::time::Duration;

use hookgate_testkit::{TestDatabase, eventually};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, Client, Version};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::installation::{Installation, Storage};

const PATIENCE: Duration = Duration::from_secs(30);

/// Writes a certificate of `localhost` with its key, by a certificate authority of its own; a client that trusts it alone.
fn certify(directory: &Path) -> Client {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let server = server.signed_by(&key, &authority).unwrap();
    std::fs::write(directory.join("tls.crt"), server.pem()).unwrap();
    std::fs::write(directory.join("tls.key"), key.serialize_pem()).unwrap();
    let trusted = Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .tls_certs_only([trusted])
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .unwrap()
}

fn encrypted(url: &str) -> String {
    url.replace("http://127.0.0.1", "https://localhost")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_used_without_ending_connections() {
    let (database, directory) = (TestDatabase::create(), tempfile::tempdir().unwrap());
    let mut installation = Installation::start(&Storage::of(&database), &[]).await;
    let url = installation.api.webhook(&json!({ "name": "Orders" }), None).await;
    let first = certify(directory.path());
    let file = |name: &str| directory.path().join(name).display().to_string();
    let (certificate, key) = (file("tls.crt"), file("tls.key"));
    installation.ingress.stop();
    installation.ingress.start_with(&[
        ("HOOKGATE_INGRESS__TLS_CERTIFICATE", &certificate),
        ("HOOKGATE_INGRESS__TLS_KEY", &key),
        ("HOOKGATE_INGRESS__HEADER_TIMEOUT_MS", "1000"),
    ]);
    installation.ingress.ready().await;
    let (url, plain) = (encrypted(&url), url);
    let post = async |client: &Client| client.post(&url).body("{}").send().await;
    let answer = post(&first).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, Version::HTTP_11)
    );
    assert!(
        post(&Client::builder().no_proxy().build().unwrap())
            .await
            .is_err(),
        "nobody else knows the authority"
    );
    assert!(
        hookgate_testkit::http_client()
            .post(&plain)
            .body("{}")
            .send()
            .await
            .is_err()
    );

    // Who says nothing, or stops in the middle of the handshake, is cut like whoever sends a slow head.
    let address = plain.trim_start_matches("http://").split('/').next().unwrap();
    for beginning in [&b""[..], b"\x16\x03\x01\x02\x00"] {
        let mut silent = tokio::net::TcpStream::connect(address).await.unwrap();
        silent.write_all(beginning).await.unwrap();
        let end = tokio::time::timeout(Duration::from_secs(10), silent.read(&mut [0; 16])).await;
        assert!(matches!(end, Ok(Ok(0) | Err(_))), "{end:?}");
    }

    let second = certify(directory.path());
    let renewed = async || post(&second).await.ok().filter(|answer| answer.status() == 200);
    eventually(PATIENCE, "new connections get the new certificate", renewed).await;
    // It trusts the first authority alone, so this is its old connection.
    assert_eq!(post(&first).await.unwrap().status(), 200);
    installation.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_is_encrypted_too_and_a_missing_file_is_said() {
    let (database, directory) = (TestDatabase::create(), tempfile::tempdir().unwrap());
    let mut installation = Installation::start(&Storage::of(&database), &[]).await;
    let client = certify(directory.path());
    let file = |name: &str| directory.path().join(name).display().to_string();
    let (certificate, key) = (file("tls.crt"), file("tls.key"));
    installation.management.stop();
    installation.management.start_with(&[
        ("HOOKGATE_MANAGEMENT__TLS_CERTIFICATE", &certificate),
        ("HOOKGATE_MANAGEMENT__TLS_KEY", &key),
    ]);
    installation.management.ready().await;
    let url = encrypted(installation.api.url());
    let request = client
        .get(format!("{url}/v1/me"))
        .bearer_auth(installation.api.token());
    let answer = request.send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, Version::HTTP_11)
    );
    let link = client
        .post(format!("{url}/v1/public-api/links"))
        .bearer_auth(installation.api.token());
    let link: serde_json::Value = link
        .json(&json!({ "name": "Shop" }))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert!(
        link["page_url"]
            .as_str()
            .unwrap()
            .starts_with("https://localhost:"),
        "{link}"
    );

    installation.management.stop();
    let output = installation.management.fail_to_start(&[
        ("HOOKGATE_MANAGEMENT__TLS_CERTIFICATE", &certificate),
        ("HOOKGATE_MANAGEMENT__TLS_KEY", "/nowhere/tls.key"),
    ]);
    assert!(output.contains("/nowhere/tls.key"), "{output}");
    let output = installation
        .management
        .fail_to_start(&[("HOOKGATE_MANAGEMENT__TLS_CERTIFICATE", &certificate)]);
    assert!(output.contains("set both, or none"), "{output}");
}

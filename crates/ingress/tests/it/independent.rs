//! Independent clients agree: what senders' official libraries sign is accepted over real HTTP, and a request that was
//! changed afterwards is refused exactly when the library itself refuses it.
//!
//! There is one difference, which is meant: a request signed in the future is refused here, while some libraries take it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hookgate_ingress::Settings;
use hookgate_testkit::fixtures::{NewWebhook, PublicUrl};
use serde_json::{Value, json};

use crate::harness::Harness;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/independent");
const PYTHON: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/independent-python");
const BASE_URL: &str = "https://hooks.example.com";
/// Further from now than any of the senders tolerates, in seconds.
const TOO_FAR: i64 = 1000;
const LARGE: usize = 5 * 1024 * 1024;

/// A scheme, whose library is in a program.
struct Scheme {
    name: &'static str,
    program: &'static str,
    secret: &'static str,
    other_secret: &'static str,
    /// The header with the signature, and what in it says which algorithm it is, with another one.
    signature: &'static str,
    algorithm: (&'static str, &'static str),
    /// The header with the time of signing, if it is signed.
    time: Option<&'static str>,
    /// A header that a mutation changes.
    header: &'static str,
    form: bool,
}

const STANDARD_SECRETS: (&str, &str) = (
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_NfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
);

const GITHUB: Scheme = Scheme {
    name: "github",
    program: "node",
    secret: "It's a Secret to Everybody",
    other_secret: "It's a secret to everybody",
    signature: "x-hub-signature-256",
    algorithm: ("sha256=", "sha1="),
    time: None,
    header: "x-github-event",
    form: false,
};
const STRIPE: Scheme = Scheme {
    name: "stripe",
    secret: "whsec_test_secret",
    other_secret: "whsec_test_secreT",
    signature: "stripe-signature",
    algorithm: ("v1=", "v0="),
    time: Some("stripe-signature"),
    header: "user-agent",
    ..GITHUB
};
const STANDARD_WEBHOOKS: Scheme = Scheme {
    name: "standard-webhooks",
    secret: STANDARD_SECRETS.0,
    other_secret: STANDARD_SECRETS.1,
    signature: "webhook-signature",
    algorithm: ("v1,", "v2,"),
    time: Some("webhook-timestamp"),
    header: "webhook-id",
    ..GITHUB
};
const SVIX: Scheme = Scheme {
    name: "svix",
    signature: "svix-signature",
    time: Some("svix-timestamp"),
    header: "svix-id",
    ..STANDARD_WEBHOOKS
};
const TWILIO: Scheme = Scheme {
    name: "twilio",
    secret: "12345",
    other_secret: "12346",
    signature: "x-twilio-signature",
    // There is no name of an algorithm: another hash has another length.
    algorithm: ("=", "AAAAAAAAAAAAAAAA="),
    header: "user-agent",
    form: true,
    ..GITHUB
};
const SLACK: Scheme = Scheme {
    name: "slack",
    program: "python",
    secret: "8f742231b10e8888abcd99yyyzzz85a5",
    other_secret: "8f742231b10e8888abcd99yyyzzz85a6",
    signature: "x-slack-signature",
    algorithm: ("v0=", "v1="),
    time: Some("x-slack-request-timestamp"),
    header: "user-agent",
    ..GITHUB
};
const SCHEMES: [Scheme; 8] = [
    GITHUB,
    STRIPE,
    STANDARD_WEBHOOKS,
    SVIX,
    TWILIO,
    Scheme {
        program: "python",
        ..STRIPE
    },
    Scheme {
        program: "python",
        ..STANDARD_WEBHOOKS
    },
    SLACK,
];

/// A request as it goes out.
#[derive(Clone)]
struct Sent {
    /// Which of the webhook's URLs it goes to.
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Sent {
    fn header(&mut self, name: &str) -> &mut String {
        let header = self.headers.iter_mut().find(|(candidate, _)| candidate == name);
        &mut header.expect("the header").1
    }

    /// All lines of a name as one value, as servers hand them to their applications.
    fn combined(&self) -> BTreeMap<&str, String> {
        let mut combined: BTreeMap<&str, String> = BTreeMap::new();
        for (name, value) in &self.headers {
            let whole = combined.entry(name).or_default();
            if !whole.is_empty() {
                whole.push_str(", ");
            }
            whole.push_str(value);
        }
        combined
    }
}

/// A program that calls the libraries.
struct Program {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start(name: &str) -> Self {
        let mut command = if name == "node" {
            let mut node = Command::new("node");
            node.arg("clients.js")
                .current_dir(Path::new(DIRECTORY).join("node"));
            node
        } else {
            let mut python = Command::new(Path::new(PYTHON).join("bin/python"));
            python.arg(Path::new(DIRECTORY).join("python/clients.py"));
            python
        };
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts: scripts/install-deps.sh test installs what it needs");
        Self {
            input: process.stdin.take().expect("its input"),
            output: BufReader::new(process.stdout.take().expect("its output")),
            process,
        }
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.input, "{question}").expect("it listens");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("it answers");
        serde_json::from_str(&answer).expect("JSON")
    }

    fn sign(&mut self, scheme: &Scheme, secret: &str, path: &str, body: &[u8], time: i64) -> Sent {
        let answer = self.ask(
            &json!({"scheme": scheme.name, "operation": "sign", "secret": secret,
            "url": format!("{BASE_URL}{path}"), "time": time, "body": STANDARD.encode(body)}),
        );
        let signed = answer["headers"]
            .as_object()
            .unwrap_or_else(|| panic!("{}: {answer}", scheme.name));
        let media_type = if scheme.form {
            "application/x-www-form-urlencoded"
        } else {
            "application/json"
        };
        let mut headers = vec![
            ("content-type".to_owned(), media_type.to_owned()),
            ("user-agent".to_owned(), "independent".to_owned()),
            ("x-github-event".to_owned(), "push".to_owned()),
        ];
        headers.extend(
            signed
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned())),
        );
        Sent {
            path: path.to_owned(),
            headers,
            body: body.to_vec(),
        }
    }

    fn accepts(&mut self, scheme: &Scheme, sent: &Sent) -> bool {
        let answer = self.ask(&json!({"scheme": scheme.name, "operation": "verify", "secret": scheme.secret,
            "url": format!("{BASE_URL}{}", sent.path), "headers": sent.combined(), "body": STANDARD.encode(&sent.body)}));
        answer["accepted"].as_bool().expect("an answer")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The bodies of a scheme.
struct Bodies {
    plain: Vec<u8>,
    unicode: Vec<u8>,
    large: Vec<u8>,
}

impl Bodies {
    fn of(scheme: &Scheme) -> Self {
        let large = "x".repeat(LARGE);
        let [plain, unicode, large] = if scheme.form {
            [
                "From=%2B14158675309&Body=a+b&Digits=2&Digits=1".to_owned(),
                "Body=Gr%C3%BC%C3%9Fe+%F0%9F%8E%89+%E6%97%A5%E6%9C%AC".to_owned(),
                format!("Body={large}"),
            ]
        } else {
            [
                r#"{"id": "evt_1", "amount": 100}"#.to_owned(),
                r#"{"text": "Grüße 🎉 日本 \u00e4"}"#.to_owned(),
                format!(r#"{{"text": "{large}"}}"#),
            ]
        };
        Self {
            plain: plain.into_bytes(),
            unicode: unicode.into_bytes(),
            large: large.into_bytes(),
        }
    }
}

/// What is done to a request, by name. `None`: the scheme signs no time.
fn mutations(
    program: &mut Program,
    scheme: &Scheme,
    paths: [&PublicUrl; 2],
) -> Vec<(&'static str, Option<Sent>)> {
    let path = paths[0].path.as_str();
    let now = hookgate_domain::clock::now().timestamp();
    let bodies = Bodies::of(scheme);
    let mut signed = |secret: &str, body: &[u8], time: i64| program.sign(scheme, secret, path, body, time);
    let good = signed(scheme.secret, &bodies.plain, now);
    let change = |f: &dyn Fn(&mut Sent)| {
        let mut sent = good.clone();
        f(&mut sent);
        sent
    };
    let retimed = |seconds: i64| {
        scheme.time.map(|header| {
            change(&|sent| {
                let value = sent.header(header);
                *value = value.replace(&now.to_string(), &(now + seconds).to_string());
            })
        })
    };
    let (algorithm, another) = scheme.algorithm;
    let last = bodies.plain.len() - 1;
    vec![
        ("unchanged", Some(good.clone())),
        ("body byte", Some(change(&|sent| sent.body[last / 2] ^= 1))),
        (
            "header",
            Some(change(&|sent| sent.header(scheme.header).push('x'))),
        ),
        ("time earlier", retimed(-1)),
        ("time later", retimed(1)),
        (
            "signed long ago",
            scheme
                .time
                .map(|_| signed(scheme.secret, &bodies.plain, now - TOO_FAR)),
        ),
        (
            "signed ahead",
            scheme
                .time
                .map(|_| signed(scheme.secret, &bodies.plain, now + TOO_FAR)),
        ),
        (
            "truncated",
            Some(change(&|sent| {
                sent.header(scheme.signature).pop();
            })),
        ),
        (
            "wrong secret",
            Some(signed(scheme.other_secret, &bodies.plain, now)),
        ),
        (
            "algorithm",
            Some(change(&|sent| {
                let value = sent.header(scheme.signature);
                *value = value.replacen(algorithm, another, 1);
            })),
        ),
        (
            "header twice",
            Some(change(&|sent| {
                let value = sent.header(scheme.signature).clone();
                sent.headers.push((scheme.signature.to_owned(), value));
            })),
        ),
        (
            "other URL",
            Some(change(&|sent| sent.path = paths[1].path.clone())),
        ),
        ("replay", Some(good.clone())),
        ("empty body", Some(change(&|sent| sent.body.clear()))),
        ("unicode", Some(signed(scheme.secret, &bodies.unicode, now))),
        ("large body", Some(signed(scheme.secret, &bodies.large, now))),
    ]
}

/// Whether the ingress takes a request; what is neither taken nor refused for its credentials is a failure.
async fn takes(harness: &Harness, sent: &Sent) -> bool {
    let mut request = harness
        .request(reqwest::Method::POST, &sent.path)
        .body(sent.body.clone());
    for (name, value) in &sent.headers {
        request = request.header(name, value);
    }
    let answer = request.send().await.expect("an answer");
    match answer.status().as_u16() {
        200 | 202 => true,
        401 => false,
        other => panic!("{other}: {}", answer.text().await.unwrap_or_default()),
    }
}

fn install() {
    let installed = Command::new("sh")
        .args([&format!("{DIRECTORY}/install.sh"), PYTHON])
        .output()
        .expect("a shell");
    assert!(
        installed.status.success(),
        "scripts/install-deps.sh test installs what this needs: {}",
        String::from_utf8_lossy(&installed.stderr)
    );
}

#[tokio::test]
async fn official_libraries_and_hookgate_agree() {
    install();
    let settings = Settings {
        public_url: Some(BASE_URL.parse().expect("a URL")),
        ..Settings::default()
    };
    let harness = Harness::with(settings).await;
    let mut programs = BTreeMap::from(["node", "python"].map(|name| (name, Program::start(name))));
    let mut summary = String::new();
    let mut disagreements = Vec::new();
    for scheme in &SCHEMES {
        let secret = harness.secret(scheme.secret);
        let webhook = harness.webhook(NewWebhook {
            authentication: json!({"kind": "sender", "sender": scheme.name, "secrets": [secret]}),
            body_limit_bytes: 2 * LARGE as i32,
            ..NewWebhook::default()
        });
        let program = programs.get_mut(scheme.program).expect("the program");
        for (name, sent) in mutations(program, scheme, [&webhook.production, &webhook.test]) {
            let Some(sent) = sent else { continue };
            let (library, ours) = (program.accepts(scheme, &sent), takes(&harness, &sent).await);
            let word = |accepted: bool| if accepted { "accepted" } else { "refused" };
            let line = format!(
                "{:18} {:7} {name:16} library {:8} Hookgate {}",
                scheme.name,
                scheme.program,
                word(library),
                word(ours)
            );
            let agrees = match (scheme.name, scheme.program, name) {
                // Some libraries take what was signed ahead of time.
                (_, _, "signed ahead") => !ours,
                // A header that comes twice is one list; this library stumbles over its comma, the others read on.
                ("standard-webhooks", "python", "header twice") => ours && !library,
                _ => ours == library,
            };
            // That both refuse everything would agree, too.
            let is_plausible = !["unchanged", "replay", "unicode", "large body"].contains(&name) || ours;
            if !(agrees && is_plausible) {
                disagreements.push(line.clone());
            }
            summary.push_str(&line);
            summary.push('\n');
        }
    }
    println!(
        "{summary}{} comparisons, {} disagreements",
        summary.lines().count(),
        disagreements.len()
    );
    assert!(disagreements.is_empty(), "{disagreements:#?}");
}

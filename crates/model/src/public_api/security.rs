//! What a sender must present, as security schemes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::authentication::{Authentication, JwtKeys, PairPlace, Place};
use crate::senders;

/// How many ways to authenticate are listed.
const MAX_ALTERNATIVES: usize = 20;

/// Schemes that must hold together, by the name that each would like to have.
type Requirement = Vec<(String, Value)>;

/// The schemes of a document, by their names.
#[derive(Default)]
pub(super) struct Schemes(BTreeMap<String, Value>);

impl Schemes {
    /// The requirements of an operation: each is enough by itself.
    pub fn requirements(&mut self, authentication: &Authentication) -> Value {
        let mut requirements: Vec<Value> = Vec::new();
        for alternative in alternatives(authentication).into_iter().take(MAX_ALTERNATIVES) {
            let named: Map<String, Value> = alternative
                .into_iter()
                .map(|(name, scheme)| (self.add(&name, scheme), json!([])))
                .collect();
            // What is in the body cannot be told as a scheme, so no requirement is left of it.
            if !requirements.contains(&Value::Object(named.clone())) {
                requirements.push(named.into());
            }
        }
        requirements.into()
    }

    /// Adds a scheme under its name, or the next name that is free for it.
    fn add(&mut self, name: &str, scheme: Value) -> String {
        let mut number = 1;
        loop {
            let candidate = match number {
                1 => name.to_owned(),
                _ => format!("{name}_{number}"),
            };
            let entry = self.0.entry(candidate.clone()).or_insert_with(|| scheme.clone());
            if *entry == scheme {
                return candidate;
            }
            number += 1;
        }
    }

    pub fn into_components(self) -> Value {
        self.0.into_iter().collect::<Map<_, _>>().into()
    }
}

/// What a sender must do, in words; `None` when the URL is enough.
pub(super) fn in_words(authentication: &Authentication) -> Option<String> {
    Some(match authentication {
        Authentication::None {} => return None,
        Authentication::ApiKey(_) => "Present one of the webhook's API keys.".into(),
        Authentication::AppKeySign(_) => "Present the app key and its sign.".into(),
        Authentication::Basic(_) => "Present a user name and password (HTTP Basic).".into(),
        Authentication::StaticToken(settings) => {
            format!("Present the token in {}.", place_in_words(&settings.at))
        }
        Authentication::Hmac(settings) => format!(
            "Sign the request with the shared secret (HMAC); the signature is in {}.",
            place_in_words(&settings.signature.at)
        ),
        Authentication::PublicKey(settings) => format!(
            "Sign the request with the private key; the signature is in {}.",
            place_in_words(&settings.signature.at)
        ),
        Authentication::Jwt(settings) => format!(
            "Present a signed token (JWT) in {}.",
            place_in_words(&settings.at)
        ),
        Authentication::Digest(settings) => {
            format!(
                "Give the digest of the request in {}.",
                place_in_words(&settings.value.at)
            )
        }
        Authentication::Sender(settings) => {
            let title = senders::find(&settings.sender)
                .map_or(settings.sender.as_str(), |preset| preset.title.as_str());
            format!("The request is authenticated as {title} does it.")
        }
        Authentication::AllOf { of } => several(of, "All of these:"),
        Authentication::AnyOf { of } => several(of, "One of these:"),
    })
}

fn several(of: &[Authentication], beginning: &str) -> String {
    let parts: Vec<String> = of.iter().filter_map(in_words).collect();
    format!("{beginning} {}", parts.join(" "))
}

fn place_in_words(place: &Place) -> String {
    match place {
        Place::Header { name } => format!("the header `{name}`"),
        Place::Query { name } => format!("the query parameter `{name}`"),
        Place::Form { name } => format!("the form field `{name}`"),
        Place::Body { pointer } => format!("the body at `{pointer}`"),
        Place::Pair { header, key, .. } => format!("`{key}` of the header `{header}`"),
    }
}

/// The ways to authenticate, each with everything that it needs.
fn alternatives(authentication: &Authentication) -> Vec<Requirement> {
    let one = |requirement: Option<(String, Value)>| vec![requirement.into_iter().collect()];
    match authentication {
        Authentication::None {} => Vec::new(),
        Authentication::ApiKey(settings) => {
            let headers = settings
                .headers
                .iter()
                .map(|name| in_header(name.as_str(), "An API key of the webhook."));
            let query = settings
                .query_parameter
                .iter()
                .map(|name| named("query", name.as_str(), "An API key of the webhook."));
            headers.chain(query).map(|scheme| vec![scheme]).collect()
        }
        Authentication::AppKeySign(settings) => {
            let pair = |place: &PairPlace| {
                let [key, sign] = settings.names(*place);
                match place {
                    PairPlace::Headers => vec![in_header(key, "The app key."), in_header(sign, "Its sign.")],
                    PairPlace::Query => vec![
                        named("query", key, "The app key."),
                        named("query", sign, "Its sign."),
                    ],
                    PairPlace::Body => Vec::new(),
                }
            };
            settings.places.iter().map(pair).collect()
        }
        Authentication::Basic(_) => one(Some((
            "basic".into(),
            json!({ "type": "http", "scheme": "basic" }),
        ))),
        Authentication::StaticToken(settings) => one(at_place(&settings.at, "The token.")),
        Authentication::Hmac(settings) => one(at_place(
            &settings.signature.at,
            "The signature, with the shared secret (HMAC).",
        )),
        Authentication::PublicKey(settings) => one(at_place(
            &settings.signature.at,
            "The signature, with the sender's private key.",
        )),
        Authentication::Digest(settings) => one(at_place(&settings.value.at, "The request's digest.")),
        Authentication::Jwt(settings) => {
            let is_bearer =
                matches!(&settings.at, Place::Header { name } if name.as_str() == "authorization");
            let description = match &settings.keys {
                JwtKeys::Secrets { .. } => "A token that is signed with the shared secret.",
                _ => "A token that is signed with the sender's private key.",
            };
            one(if is_bearer {
                let scheme = json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": description });
                Some(("jwt".into(), scheme))
            } else {
                at_place(&settings.at, description)
            })
        }
        Authentication::Sender(settings) => match senders::authentication(settings) {
            Ok(expanded) => alternatives(&expanded),
            Err(_) => vec![Vec::new()],
        },
        Authentication::AllOf { of } => of
            .iter()
            .fold(vec![Vec::new()], |so_far: Vec<Requirement>, next| {
                let next = match alternatives(next) {
                    none if none.is_empty() => vec![Vec::new()],
                    some => some,
                };
                so_far
                    .iter()
                    .flat_map(|before| {
                        next.iter()
                            .map(move |after| [before.clone(), after.clone()].concat())
                    })
                    .take(MAX_ALTERNATIVES)
                    .collect()
            }),
        Authentication::AnyOf { of } => of.iter().flat_map(alternatives).collect(),
    }
}

fn at_place(place: &Place, description: &str) -> Option<(String, Value)> {
    match place {
        Place::Header { name } => Some(in_header(name.as_str(), description)),
        Place::Query { name } => Some(named("query", name.as_str(), description)),
        Place::Pair { header, key, .. } => Some(in_header(
            header.as_str(),
            &format!("{description} It is `{key}` of the pairs in it."),
        )),
        Place::Form { .. } | Place::Body { .. } => None,
    }
}

fn in_header(name: &str, description: &str) -> (String, Value) {
    if name.eq_ignore_ascii_case("authorization") {
        return (
            "bearer".into(),
            json!({ "type": "http", "scheme": "bearer", "description": description }),
        );
    }
    named("header", name, description)
}

fn named(place: &str, name: &str, description: &str) -> (String, Value) {
    let id: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .collect();
    let scheme = json!({ "type": "apiKey", "in": place, "name": name, "description": description });
    (id, scheme)
}

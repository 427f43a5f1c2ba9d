//! Where a request carries what its sender authenticates with, so that a refused one is shown without it.

use super::{AppKeySignSettings, Authentication, PairPlace, Place};
use crate::protection::MaskPath;

/// Query parameters that carry credentials by custom, whatever a webhook demands.
const QUERY: [&str; 14] = [
    "access_token",
    "api_key",
    "apikey",
    "api-key",
    "auth",
    "client_secret",
    "key",
    "password",
    "secret",
    "sig",
    "sign",
    "signature",
    "token",
    "x-api-key",
];

impl Authentication {
    /// What of a request is not to be shown: query parameters that carry credentials by custom, and the places that the
    /// settings name.
    pub fn redaction(&self) -> Vec<MaskPath> {
        let custom = QUERY.iter().map(|name| format!("query[\"{name}\"]"));
        let mut paths: Vec<String> = custom.collect();
        self.each_credential(&mut |path| paths.push(path));
        paths.sort();
        paths.dedup();
        paths.iter().filter_map(|path| path.parse().ok()).collect()
    }

    fn each_credential(&self, note: &mut dyn FnMut(String)) {
        match self {
            Self::None {} => {}
            Self::ApiKey(settings) => {
                for name in &settings.headers {
                    note(quoted("headers", name.as_str()));
                }
                if let Some(name) = &settings.query_parameter {
                    note(quoted("query", name.as_str()));
                }
            }
            Self::AppKeySign(settings) => of_pair(settings, note),
            Self::Basic(_) => note("headers.authorization".to_owned()),
            Self::StaticToken(settings) => note(of_place(&settings.at)),
            Self::Hmac(settings) => note(of_place(&settings.signature.at)),
            Self::PublicKey(settings) => note(of_place(&settings.signature.at)),
            Self::Jwt(settings) => note(of_place(&settings.at)),
            Self::Digest(settings) => note(of_place(&settings.value.at)),
            Self::Sender(settings) => {
                if let Ok(expanded) = crate::senders::authentication(settings) {
                    expanded.each_credential(note);
                }
            }
            Self::AllOf { of } | Self::AnyOf { of } => of.iter().for_each(|one| one.each_credential(note)),
        }
    }
}

fn of_pair(settings: &AppKeySignSettings, note: &mut dyn FnMut(String)) {
    let chosen = settings.sign_name.as_deref();
    for place in &settings.places {
        note(match place {
            PairPlace::Headers => quoted("headers", chosen.unwrap_or("HAP-Sign")),
            PairPlace::Query => quoted("query", chosen.unwrap_or("Sign")),
            PairPlace::Body => quoted("body", chosen.unwrap_or("Sign")),
        });
    }
}

fn of_place(place: &Place) -> String {
    match place {
        Place::Header { name } | Place::Pair { header: name, .. } => quoted("headers", name.as_str()),
        Place::Query { name } => quoted("query", name.as_str()),
        Place::Form { name } => quoted("body", name.as_str()),
        Place::Body { pointer } => {
            let segments: Vec<String> = pointer.segments().collect();
            let is_plain = |name: &String| !name.contains('"') && name.parse::<usize>().is_err();
            if segments.iter().all(is_plain) {
                let names = segments.iter().map(|name| format!("[\"{name}\"]"));
                format!("body{}", names.collect::<String>())
            } else {
                "body".to_owned()
            }
        }
    }
}

/// A name below a root; what cannot be quoted takes the whole body, or is a name that no path can have.
fn quoted(root: &str, name: &str) -> String {
    if root == "body" && name.contains('"') {
        return root.to_owned();
    }
    format!("{root}[\"{name}\"]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn paths(authentication: serde_json::Value) -> Vec<String> {
        let authentication: Authentication = serde_json::from_value(authentication).expect("settings");
        let paths = authentication.redaction().into_iter();
        paths.map(|path| path.to_string()).collect()
    }

    #[test]
    fn every_place_of_a_credential_is_named() {
        let secrets = json!(["sec_01k9z3v8e5f2q8r7w6t5y4x3m2"]);
        let token = |at| json!({"kind": "static_token", "at": at, "secrets": secrets});
        let of_all = json!({"kind": "any_of", "of": [
            {"kind": "api_key", "headers": ["x-shop-key"], "query_parameter": "shop"},
            token(json!({"in": "query", "name": "clientState"})),
            token(json!({"in": "body", "pointer": "/a/b"})),
            token(json!({"in": "body", "pointer": "/items/0/c"})),
            token(json!({"in": "form", "name": "pass"})),
            {"kind": "app_key_sign", "pairs": [{"app_key": "a", "signs": secrets}], "places": ["headers", "query", "body"]},
        ]});
        let found = paths(of_all);
        for wanted in [
            "headers[\"x-shop-key\"]",
            "query[\"shop\"]",
            "query[\"clientState\"]",
            "body[\"a\"][\"b\"]",
            "body",
            "body[\"pass\"]",
            "headers[\"HAP-Sign\"]",
            "query[\"Sign\"]",
            "body[\"Sign\"]",
        ] {
            assert!(found.iter().any(|path| path == wanted), "{wanted} of {found:?}");
        }
    }

    #[test]
    fn a_known_senders_places_are_those_of_its_preset() {
        let found = paths(
            json!({"kind": "sender", "sender": "gitlab", "secrets": ["sec_01k9z3v8e5f2q8r7w6t5y4x3m2"]}),
        );
        assert!(found.iter().any(|path| path.starts_with("headers")), "{found:?}");
        assert!(
            paths(json!({"kind": "none"}))
                .iter()
                .all(|path| path.starts_with("query"))
        );
    }
}

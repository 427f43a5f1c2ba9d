//! What Hookgate presents to a destination. The settings name secrets; [`OutboundAuthentication::credentials`] puts their
//! values in.

use std::collections::HashMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use url::Url;
use url::form_urlencoded::{Serializer as Form, byte_serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::authentication::{HeaderName, Problem, ProblemCode};
use crate::base_url::BaseUrl;
use crate::flow::step::http::CALL_HEADERS_TAKEN;
use crate::ids::SecretId;

/// The longest user name, client id, scope or audience, in characters.
const TEXT_CHARACTERS: usize = 500;
/// The longest chain of certificates, in bytes.
pub const CERTIFICATE_BYTES: usize = 64 * 1024;

/// What is presented with every call. It takes the place of a header of the same name that a step gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[schema(example = json!({"kind": "bearer", "token": "sec_01k9z3v8e5f2q8r7w6t5y4x3m2"}))]
pub enum OutboundAuthentication {
    /// Nothing.
    None {},
    /// A user name and a password (RFC 7617).
    Basic {
        /// The user name, without a colon.
        #[schema(min_length = 1, max_length = 500, example = "hookgate")]
        username: String,
        /// The password.
        password: SecretId,
    },
    /// `authorization: Bearer` and a token (RFC 6750).
    Bearer {
        /// The token.
        token: SecretId,
    },
    /// A value in a header of its own.
    ApiKey {
        /// The header.
        header: HeaderName,
        /// The value.
        value: SecretId,
    },
    /// OAuth 2.0 client credentials (RFC 6749, section 4.4): a token is fetched, kept until shortly before it expires, and
    /// presented as a bearer token. A call that gets 401 is made once more with a new one.
    Oauth2(ClientCredentials),
}

/// How a token is fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OAuth2ClientCredentials, example = json!({"token_url": "https://login.example.com/oauth2/token",
    "client_id": "hookgate", "client_secret": "sec_01k9z3v8e5f2q8r7w6t5y4x3m2", "scope": "orders.write"}))]
pub struct ClientCredentials {
    /// The token endpoint.
    #[schema(max_length = 2000, example = "https://login.example.com/oauth2/token")]
    pub token_url: String,
    /// The client's id.
    #[schema(min_length = 1, max_length = 500, example = "hookgate")]
    pub client_id: String,
    /// The client's secret.
    pub client_secret: SecretId,
    /// The scopes, with a space between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, example = "orders.write")]
    pub scope: Option<String>,
    /// The `audience` or `resource` that some servers ask for, sent as `audience`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, example = "https://api.example.com")]
    pub audience: Option<String>,
    /// Where the id and the secret are sent.
    #[serde(default)]
    pub sent_in: ClientSentIn,
}

/// Where a client's id and secret are sent (RFC 6749, section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OAuth2ClientSentIn)]
pub enum ClientSentIn {
    /// In `authorization: Basic`.
    #[default]
    Header,
    /// As `client_id` and `client_secret` in the form.
    Body,
}

/// A client certificate for TLS (mTLS), beside any authentication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClientCertificate, example = json!({"certificate": "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n",
    "private_key": "sec_01k9z3v8e5f2q8r7w6t5y4x3m2"}))]
pub struct ClientCertificate {
    /// The certificate and those that it is signed by, in PEM, at most 65,536 bytes.
    #[schema(example = "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n")]
    pub certificate: String,
    /// The private key, in PEM.
    pub private_key: SecretId,
}

/// The values of secrets by their ids.
pub type Secrets = HashMap<SecretId, Zeroizing<Vec<u8>>>;

/// What is presented, with the secrets in it.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    None,
    /// A header.
    Header {
        /// Its name in lower case.
        name: String,
        /// Its value.
        value: Zeroizing<String>,
    },
    /// A bearer token that has to be fetched.
    Token(TokenRequest),
}

/// The request for a token.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// Where to.
    pub url: Url,
    /// The value of `authorization`.
    pub authorization: Option<Zeroizing<String>>,
    /// The body, of type `application/x-www-form-urlencoded`.
    pub form: Zeroizing<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Default for OutboundAuthentication {
    fn default() -> Self {
        Self::None {}
    }
}

impl OutboundAuthentication {
    /// Where the settings name secrets, as pointers relative to them.
    pub fn secret_places(&self) -> Vec<(&'static str, SecretId)> {
        match self {
            Self::None {} => Vec::new(),
            Self::Basic { password, .. } => vec![("/password", *password)],
            Self::Bearer { token } => vec![("/token", *token)],
            Self::ApiKey { value, .. } => vec![("/value", *value)],
            Self::Oauth2(settings) => vec![("/client_secret", settings.client_secret)],
        }
    }

    /// Everything in the settings that cannot work, with pointers relative to them.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        match self {
            Self::None {} | Self::Bearer { .. } => {}
            Self::Basic { username, .. } => {
                check_text(&mut problems, "/username", username);
                if username.contains(':') {
                    let detail = "may hold no colon: it ends the name in the header";
                    problems.push(Problem::new("/username", ProblemCode::Invalid, detail));
                }
            }
            Self::ApiKey { header, .. } => {
                if CALL_HEADERS_TAKEN.contains(&header.as_str()) {
                    let detail = format!("`{header}` is set by Hookgate or part of the connection");
                    problems.push(Problem::new("/header", ProblemCode::Invalid, detail));
                }
            }
            Self::Oauth2(settings) => settings.check(&mut problems),
        }
        problems
    }

    /// What is to be presented.
    ///
    /// # Errors
    /// When a secret is missing or cannot be sent.
    pub fn credentials(&self, secrets: &Secrets) -> Result<Credentials, Problem> {
        let header = |name: &str, value: String| Credentials::Header {
            name: name.to_owned(),
            value: Zeroizing::new(value),
        };
        Ok(match self {
            Self::None {} => Credentials::None,
            Self::Basic { username, password } => {
                let password = text(secrets, "/password", *password)?;
                let pair = Zeroizing::new(format!("{username}:{}", *password));
                header("authorization", format!("Basic {}", STANDARD.encode(&*pair)))
            }
            Self::Bearer { token } => {
                let token = field(secrets, "/token", *token)?;
                header("authorization", format!("Bearer {}", *token))
            }
            Self::ApiKey { header: name, value } => {
                let value = field(secrets, "/value", *value)?;
                header(name.as_str(), value.to_string())
            }
            Self::Oauth2(settings) => Credentials::Token(settings.request(secrets)?),
        })
    }
}

impl ClientCredentials {
    fn check(&self, problems: &mut Vec<Problem>) {
        if let Err(error) = BaseUrl::parse(&self.token_url) {
            problems.push(Problem::new(
                "/token_url",
                ProblemCode::Invalid,
                error.to_string(),
            ));
        }
        check_text(problems, "/client_id", &self.client_id);
        for (pointer, text) in [("/scope", &self.scope), ("/audience", &self.audience)] {
            if let Some(text) = text {
                check_text(problems, pointer, text);
            }
        }
    }

    fn request(&self, secrets: &Secrets) -> Result<TokenRequest, Problem> {
        let secret = text(secrets, "/client_secret", self.client_secret)?;
        let url = Url::parse(&self.token_url)
            .map_err(|error| Problem::new("/token_url", ProblemCode::Invalid, error.to_string()))?;
        let mut form = Form::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        for (name, value) in [("scope", &self.scope), ("audience", &self.audience)] {
            if let Some(value) = value {
                form.append_pair(name, value);
            }
        }
        let authorization = match self.sent_in {
            ClientSentIn::Header => {
                let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                let pair = Zeroizing::new(format!("{}:{}", encode(&self.client_id), encode(&secret)));
                Some(Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair))))
            }
            ClientSentIn::Body => {
                form.append_pair("client_id", &self.client_id);
                form.append_pair("client_secret", &secret);
                None
            }
        };
        Ok(TokenRequest {
            url,
            authorization,
            form: Zeroizing::new(form.finish()),
        })
    }
}

impl ClientCertificate {
    /// Everything in the settings that cannot work, with pointers relative to them.
    pub fn problems(&self) -> Vec<Problem> {
        if self.certificate.len() <= CERTIFICATE_BYTES {
            return Vec::new();
        }
        let detail = format!("may have at most {CERTIFICATE_BYTES} bytes");
        vec![Problem::new("/certificate", ProblemCode::TooLong, detail)]
    }

    /// The certificate and its key in one PEM text.
    ///
    /// # Errors
    /// When the key is missing or no text.
    pub fn identity(&self, secrets: &Secrets) -> Result<Zeroizing<String>, Problem> {
        let key = text(secrets, "/private_key", self.private_key)?;
        Ok(Zeroizing::new(format!("{}\n{}\n", self.certificate, *key)))
    }
}

fn check_text(problems: &mut Vec<Problem>, pointer: &str, text: &str) {
    let count = text.chars().count();
    if count == 0 {
        problems.push(Problem::new(pointer, ProblemCode::Required, "may not be empty"));
    } else if count > TEXT_CHARACTERS {
        let detail = format!("may have at most {TEXT_CHARACTERS} characters");
        problems.push(Problem::new(pointer, ProblemCode::TooLong, detail));
    } else if text.chars().any(char::is_control) {
        let detail = "may hold no control characters";
        problems.push(Problem::new(pointer, ProblemCode::Invalid, detail));
    }
}

fn text(secrets: &Secrets, pointer: &str, id: SecretId) -> Result<Zeroizing<String>, Problem> {
    let missing = || Problem::new(pointer, ProblemCode::NotFound, "the secret is not there");
    let not_text = |_| Problem::new(pointer, ProblemCode::Invalid, "the secret's value is no text");
    let value = secrets.get(&id).ok_or_else(missing)?;
    let value = std::str::from_utf8(value).map_err(not_text)?;
    Ok(Zeroizing::new(value.to_owned()))
}

/// A secret that is sent as it is, in a header.
fn field(secrets: &Secrets, pointer: &str, id: SecretId) -> Result<Zeroizing<String>, Problem> {
    let value = text(secrets, pointer, id)?;
    if value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        Ok(value)
    } else {
        let detail = "the secret's value cannot stand in a header: it has more than printable ASCII";
        Err(Problem::new(pointer, ProblemCode::Invalid, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const ID: &str = "sec_01k9z3v8e5f2q8r7w6t5y4x3m2";

    fn read(settings: Value) -> OutboundAuthentication {
        serde_json::from_value(settings).expect("settings")
    }

    fn secrets(value: &str) -> Secrets {
        let id = ID.parse().expect("an id");
        HashMap::from([(id, Zeroizing::new(value.as_bytes().to_vec()))])
    }

    fn header(settings: Value, secret: &str) -> (String, String) {
        match read(settings).credentials(&secrets(secret)) {
            Ok(Credentials::Header { name, value }) => (name, value.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn headers_are_as_their_rfcs_have_them() {
        let expected = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        // RFC 7617, section 2.
        let basic = json!({"kind": "basic", "username": "Aladdin", "password": ID});
        assert_eq!(
            header(basic, "open sesame"),
            expected("authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
        );
        let bearer = json!({"kind": "bearer", "token": ID});
        assert_eq!(header(bearer, "a.b"), expected("authorization", "Bearer a.b"));
        let key = json!({"kind": "api_key", "header": "X-Api-Key", "value": ID});
        assert_eq!(header(key, "k"), expected("x-api-key", "k"));
    }

    #[test]
    fn a_token_is_asked_for_in_either_way() {
        let settings = |sent_in: &str| {
            json!({"kind": "oauth2", "token_url": "https://login.example.com/token", "client_id": "a b",
                "client_secret": ID, "scope": "x y", "sent_in": sent_in})
        };
        let request = |sent_in| match read(settings(sent_in)).credentials(&secrets("p&w")) {
            Ok(Credentials::Token(request)) => request,
            other => panic!("{other:?}"),
        };
        let by_header = request("header");
        // RFC 6749, section 2.3.1: both are form-encoded before they are joined.
        let basic = format!("Basic {}", STANDARD.encode("a+b:p%26w"));
        assert_eq!(
            by_header.authorization.as_ref().map(|value| value.as_str()),
            Some(basic.as_str())
        );
        assert_eq!(*by_header.form, "grant_type=client_credentials&scope=x+y");
        let by_body = request("body");
        assert_eq!(by_body.authorization, None);
        assert!(by_body.form.ends_with("&client_id=a+b&client_secret=p%26w"));
    }

    #[test]
    fn what_cannot_work_is_told_without_the_secret() {
        for (settings, pointer) in [
            (
                json!({"kind": "basic", "username": "a:b", "password": ID}),
                "/username",
            ),
            (
                json!({"kind": "basic", "username": "", "password": ID}),
                "/username",
            ),
            (
                json!({"kind": "api_key", "header": "Host", "value": ID}),
                "/header",
            ),
            (
                json!({"kind": "oauth2", "token_url": "ftp://a", "client_id": "a", "client_secret": ID}),
                "/token_url",
            ),
        ] {
            let problems = read(settings).problems();
            assert_eq!(
                problems.first().map(|problem| problem.pointer.as_str()),
                Some(pointer)
            );
        }
        let bearer = read(json!({"kind": "bearer", "token": ID}));
        for secret in ["hush\r\nx: y", "hüsh"] {
            let problem = bearer.credentials(&secrets(secret)).expect_err("no header");
            assert_eq!(problem.pointer, "/token");
            assert!(!problem.detail.contains(secret));
        }
        assert!(bearer.credentials(&Secrets::new()).is_err());
        assert_eq!(
            format!("{:?}", bearer.credentials(&secrets("x"))),
            "Ok(Credentials(…))"
        );
    }
}

//! The management API, with a key or a login that is renewed when it ends.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use reqwest::header::ACCEPT;
use reqwest::{Client, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::Arguments;

/// How long the API may take to begin its answer.
const WITHIN: Duration = Duration::from_secs(30);

/// What failed and may work later: a sentence.
pub(super) type Later<T> = std::result::Result<T, String>;

enum Credential {
    Key(SecretString),
    Login {
        email: String,
        password: SecretString,
        access_token: SecretString,
    },
}

/// There is no such thing, any more or at all.
#[derive(Debug)]
pub(super) struct NotFound(String);

impl std::error::Error for NotFound {}

impl std::fmt::Display for NotFound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The API.
pub(super) struct Api {
    client: Client,
    base: String,
    credential: Credential,
}

impl Api {
    /// Logs in, if there is no key.
    pub async fn new(arguments: &Arguments) -> Result<Self> {
        let base = arguments.api.as_str().trim_end_matches('/').to_owned();
        let client = super::forward::client()?;
        let credential = match (&arguments.key, &arguments.email) {
            (Some(key), _) => Credential::Key(key.clone()),
            (None, Some(email)) => {
                let password = match &arguments.password {
                    Some(password) => password.clone(),
                    None => ask_for_password(email)?,
                };
                Credential::Login {
                    email: email.clone(),
                    password,
                    access_token: SecretString::default(),
                }
            }
            (None, None) => bail!("set HOOKGATE_KEY to a management key, or log in with --email"),
        };
        let mut api = Self {
            client,
            base,
            credential,
        };
        if let Err(why) = api.log_in().await? {
            return Err(api.unreachable(&why));
        }
        Ok(api)
    }

    /// Where it is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// That it does not answer.
    pub fn unreachable(&self, why: &str) -> anyhow::Error {
        anyhow!("{} cannot be reached: {why}", self.base)
    }

    /// Gets JSON.
    ///
    /// # Errors
    /// When it is refused, with the API's reason.
    pub async fn get(&mut self, path: &str, query: &[(&str, String)]) -> Result<Later<Value>> {
        let answer = match self.open(path, query, "application/json").await? {
            Ok(answer) => answer,
            Err(why) => return Ok(Err(why)),
        };
        let read = tokio::time::timeout(WITHIN, answer.json()).await;
        Ok(match read {
            Ok(read) => read.map_err(|error| told(&error)),
            Err(_) => Err("no answer in time".to_owned()),
        })
    }

    /// Begins to get something; logs in again when the login has ended.
    ///
    /// # Errors
    /// When it is refused, with the API's reason.
    pub async fn open(
        &mut self,
        path: &str,
        query: &[(&str, String)],
        accept: &str,
    ) -> Result<Later<Response>> {
        let mut url = Url::parse(&format!("{}/v1{path}", self.base))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        for last in [false, true] {
            let token = match &self.credential {
                Credential::Key(key) => key,
                Credential::Login { access_token, .. } => access_token,
            };
            let request = self
                .client
                .get(url.clone())
                .bearer_auth(token.expose_secret())
                .header(ACCEPT, accept);
            let answer = match tokio::time::timeout(WITHIN, request.send()).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => return Ok(Err(told(&error))),
                Err(_) => return Ok(Err("no answer in time".to_owned())),
            };
            let status = answer.status();
            if status.is_success() {
                return Ok(Ok(answer));
            }
            if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
                return Ok(Err(format!("answered {status}")));
            }
            let may_log_in =
                status == StatusCode::UNAUTHORIZED && matches!(self.credential, Credential::Login { .. });
            if may_log_in && !last {
                if let Err(why) = self.log_in().await? {
                    return Ok(Err(why));
                }
                continue;
            }
            if status == StatusCode::NOT_FOUND {
                return Err(NotFound(reason(answer).await).into());
            }
            bail!("{} refuses: {}", self.base, reason(answer).await);
        }
        Ok(Err("not logged in".to_owned()))
    }

    /// Gets an access token for the person, if there is one.
    async fn log_in(&mut self) -> Result<Later<()>> {
        let Credential::Login {
            email,
            password,
            access_token,
        } = &mut self.credential
        else {
            return Ok(Ok(()));
        };
        let body = json!({ "email": email, "password": password.expose_secret() });
        let request = self
            .client
            .post(format!("{}/v1/auth/login", self.base))
            .json(&body);
        let answer = match tokio::time::timeout(WITHIN, request.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Ok(Err(told(&error))),
            Err(_) => return Ok(Err("no answer in time".to_owned())),
        };
        if answer.status().is_server_error() {
            return Ok(Err(format!("answered {}", answer.status())));
        }
        if !answer.status().is_success() {
            bail!("{} refuses the login: {}", self.base, reason(answer).await);
        }
        let tokens: Value = answer.json().await.context("the login's answer is no JSON")?;
        let token = tokens["access_token"]
            .as_str()
            .context("the login's answer has no access token")?;
        *access_token = token.to_owned().into();
        Ok(Ok(()))
    }
}

/// The reason of a refusal, as far as there is one.
async fn reason(answer: Response) -> String {
    let status = answer.status();
    let problem: Value = answer.json().await.unwrap_or_default();
    match problem["detail"].as_str().or(problem["title"].as_str()) {
        Some(detail) => detail.to_owned(),
        None => format!("{status}"),
    }
}

/// An error in a few words: what lies deepest says the most.
pub(super) fn told(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

fn ask_for_password(email: &str) -> Result<SecretString> {
    if !std::io::stdin().is_terminal() {
        bail!("set HOOKGATE_PASSWORD to the password of {email}");
    }
    print!("Password of {email}: ");
    std::io::stdout().flush()?;
    Ok(rpassword::read_password()?.into())
}

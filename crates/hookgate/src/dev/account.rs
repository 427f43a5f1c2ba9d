//! The account that is ready to use, made once over the REST API, as anybody would.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hookgate_model::access::Scope;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::keepsake::Keepsake;

const WITHIN: Duration = Duration::from_secs(30);

/// What one needs to use the API.
pub(super) struct Account {
    pub(super) email: String,
    pub(super) password: String,
    pub(super) tenant_id: String,
    pub(super) management_key: String,
}

/// Makes the account, or what is missing of it, and remembers it.
pub(super) async fn ensure(keepsake: &mut Keepsake, management: SocketAddr) -> Result<Account> {
    let api = Api {
        client: client()?,
        base: format!("http://{management}/v1"),
    };
    if !works(&api, keepsake).await? {
        make(&api, keepsake).await?;
        keepsake.save()?;
    }
    let values = keepsake.values.clone();
    let (tenant_id, management_key) = values
        .tenant_id
        .zip(values.management_key)
        .context("the account is not whole")?;
    Ok(Account {
        email: values.email,
        password: values.password,
        tenant_id,
        management_key,
    })
}

/// Whether the remembered key opens the API: not after the database was deleted by hand.
async fn works(api: &Api, keepsake: &Keepsake) -> Result<bool> {
    let Some(key) = &keepsake.values.management_key else {
        return Ok(false);
    };
    let answer = api
        .client
        .get(format!("{}/me", api.base))
        .bearer_auth(key)
        .send()
        .await?;
    Ok(answer.status().is_success())
}

async fn make(api: &Api, keepsake: &mut Keepsake) -> Result<()> {
    let values = &mut keepsake.values;
    let credentials = json!({ "email": values.email, "password": values.password });
    // A run that was interrupted may have made the person and not the key.
    let tokens = match api.post("/auth/login", None, &credentials).await? {
        (StatusCode::OK, tokens) => tokens,
        _ => {
            let mut registration = credentials;
            registration["name"] = json!("Developer");
            registration["tenant_name"] = json!("Development");
            let (status, mut answer) = api.post("/auth/register", None, &registration).await?;
            if status != StatusCode::CREATED {
                bail!(
                    "registering {} was answered {status}: {}",
                    values.email,
                    answer["detail"]
                );
            }
            answer["tokens"].take()
        }
    };
    let access_token = tokens["access_token"].as_str().context("no access token came")?;
    let wanted = json!({ "name": "hookgate dev", "scopes": Scope::ALL });
    let (status, made) = api.post("/management-keys", Some(access_token), &wanted).await?;
    if status != StatusCode::CREATED {
        bail!(
            "making a management key was answered {status}: {}",
            made["detail"]
        );
    }
    values.tenant_id = tokens["tenant_id"].as_str().map(str::to_owned);
    values.management_key = made["key"].as_str().map(str::to_owned);
    Ok(())
}

struct Api {
    client: Client,
    base: String,
}

impl Api {
    async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Result<(StatusCode, Value)> {
        let mut request = self.client.post(format!("{}{path}", self.base)).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await?;
        Ok((answer.status(), answer.json().await?))
    }
}

fn client() -> Result<Client> {
    // reqwest wants a TLS provider even for plain HTTP. Another part of the process may have given it one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .timeout(WITHIN)
        .build()
        .context("making an HTTP client")
}

//! Where a call goes, and what is presented there: a destination with its secrets opened.

use std::sync::Arc;

use hookgate_domain::scope::TenantScope;
use hookgate_domain::{Error, clock, destinations, secrets};
use hookgate_egress::Client;
use hookgate_model::ids::{DestinationId, TenantId};
use hookgate_model::outbound_authentication::Credentials;
use hookgate_model::outbound_signature::SigningSecret;
use quick_cache::sync::Cache;
use zeroize::Zeroizing;

use crate::Shared;

/// The clients with a certificate of their own that are kept, each with its connections.
const CLIENTS_KEPT: usize = 1_000;

/// Where a call goes, and what signs and authenticates it.
pub struct Target {
    /// Whose it is.
    pub key: (TenantId, DestinationId),
    /// What the URL begins with.
    pub base_url: String,
    /// What signs calls: after a rotation two for a while.
    pub signing: Vec<SigningSecret>,
    /// What is presented.
    pub credentials: Credentials,
    /// What makes the call.
    pub client: Client,
    /// Whether no call goes there until somebody resumes it.
    pub is_paused: bool,
    /// Whether 410 Gone pauses it.
    pub pauses_on_gone: bool,
    /// How many calls it takes in a second.
    pub calls_per_second: Option<u32>,
    /// How many calls it takes at the same time.
    pub calls_at_once: Option<u32>,
}

/// The clients that present a certificate, by destination. One whose certificate has changed is dropped.
pub struct Identities(Cache<(TenantId, DestinationId), Arc<Identity>>);

struct Identity {
    pem: Zeroizing<String>,
    client: Client,
}

impl Identities {
    pub fn new() -> Self {
        Self(Cache::new(CLIENTS_KEPT))
    }

    fn client(
        &self,
        key: (TenantId, DestinationId),
        pem: Zeroizing<String>,
        plain: &Client,
    ) -> Result<Client, String> {
        if let Some(kept) = self.0.get(&key).filter(|kept| kept.pem == pem) {
            return Ok(kept.client.clone());
        }
        let client = plain.with_identity(&pem)?;
        let identity = Identity {
            pem,
            client: client.clone(),
        };
        self.0.insert(key, Arc::new(identity));
        Ok(client)
    }
}

/// Reads a destination; what is wrong with one that cannot be called.
///
/// # Errors
/// When Postgres cannot be reached.
pub(crate) async fn read(
    shared: &Shared,
    scope: TenantScope,
    id: DestinationId,
) -> Result<Result<Target, String>, Error> {
    let key = shared.master_key.clone();
    let read = move |conn: &mut _| {
        scope.transaction(conn, |conn| {
            let destination = destinations::read(conn, &scope, id)?;
            let secrets = secrets::open(conn, &scope, &key, &destination.secret_ids())?;
            let signing = destination.signing_secrets(&scope, &key, clock::now())?;
            let is_paused = !destinations::pauses(conn, &scope, &[id])?.is_empty();
            Ok::<_, Error>((destination, secrets, signing, is_paused))
        })
    };
    let (destination, secrets, signing, is_paused) = match shared.database.run(read).await {
        Err(Error::NotFound) => return Ok(Err("the destination was deleted".to_owned())),
        other => other?,
    };
    let key = (scope.tenant(), id);
    let client = match &destination.client_certificate {
        None => Ok(shared.http.plain().clone()),
        Some(certificate) => certificate
            .identity(&secrets)
            .map_err(|problem| problem.to_string())
            .and_then(|pem| shared.identities.client(key, pem, shared.http.plain()))
            .map_err(|reason| format!("the client certificate cannot be used: {reason}")),
    };
    let credentials = destination
        .authentication
        .credentials(&secrets)
        .map_err(|problem| format!("the authentication cannot be used: {problem}"));
    Ok(client.and_then(|client| {
        Ok(Target {
            key,
            base_url: destination.base_url,
            signing,
            credentials: credentials?,
            client,
            is_paused,
            pauses_on_gone: destination.pauses_on_gone,
            calls_per_second: destination.calls_per_second.and_then(|rate| rate.try_into().ok()),
            calls_at_once: destination.calls_at_once.and_then(|most| most.try_into().ok()),
        })
    }))
}

//! Access tokens: JWTs signed with Ed25519, bound to a person, a tenant and a login, and short-lived. What they prove
//! is checked against the database on every use, so ending a login or a membership works at once.
//!
//! All processes share the keys of the table `signing_keys`; the first to start makes one, and whoever finds that the newest is
//! older than it may be has another follow it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::pkcs8::EncodePrivateKey;
use hookgate_domain::crypto::{self, MasterKey};
use hookgate_domain::database::{Database, PgConnection};
use hookgate_domain::signing_keys::{self, NewSigningKey, Rotation, SigningKey};
use hookgate_domain::{Error, clock};
use hookgate_model::ids::{LoginSessionId, TenantId, UserId};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use tokio::sync::RwLock;

use crate::error::{ApiError, ApiResult, ErrorCode};

const ISSUER: &str = "hookgate";
const AUDIENCE: &str = "hookgate-management";
/// How far the clocks of two management processes may be apart, in seconds.
const LEEWAY_SECONDS: u64 = 5;
/// How often an unknown key name makes this process look for new keys, at most.
const RELOAD_AT_MOST: Duration = Duration::from_secs(5);
/// How long keys are used before they are looked up again: a new one is taken up, and a retired one dropped, in this time.
const FRESH: Duration = Duration::from_secs(60);

/// What a token says.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Claims {
    /// Whose it is.
    #[serde(rename = "sub")]
    pub user: UserId,
    /// The tenant that it opens.
    #[serde(rename = "tenant")]
    pub tenant: TenantId,
    /// The login that it came from.
    #[serde(rename = "sid")]
    pub session: LoginSessionId,
}

#[derive(Serialize, Deserialize)]
struct Token {
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    #[serde(flatten)]
    claims: Claims,
}

struct Keys {
    loaded: Instant,
    kid: String,
    sign: EncodingKey,
    verify: HashMap<String, Verifying>,
}

struct Verifying {
    key: DecodingKey,
    /// When its tokens stop being valid.
    ends_at: Option<DateTime<Utc>>,
}

/// Makes and reads tokens.
pub struct AccessTokens {
    database: Database,
    master_key: MasterKey,
    rotation: Rotation,
    keys: RwLock<Option<Arc<Keys>>>,
}

impl AccessTokens {
    /// Loads no keys yet, so this works while Postgres is away.
    pub fn new(database: Database, master_key: MasterKey, rotation: Rotation) -> Self {
        Self {
            database,
            master_key,
            rotation,
            keys: RwLock::default(),
        }
    }

    /// Makes a token that works for so many seconds.
    ///
    /// # Errors
    /// 503 when the keys cannot be loaded.
    pub async fn sign(&self, claims: Claims, seconds: u32) -> ApiResult<String> {
        let keys = self.load(|_| true).await?;
        let iat = clock::now().timestamp();
        let token = Token {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            iat,
            exp: iat + i64::from(seconds),
            claims,
        };
        let header = Header {
            kid: Some(keys.kid.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        jsonwebtoken::encode(&header, &token, &keys.sign).map_err(ApiError::internal)
    }

    /// Reads a token whose signature and times are right.
    ///
    /// # Errors
    /// 401 for any other; 503 when the keys cannot be loaded.
    pub async fn verify(&self, token: &str) -> ApiResult<Claims> {
        let refused = || ApiError::new(ErrorCode::Unauthenticated, "the access token is not valid");
        let header = jsonwebtoken::decode_header(token).map_err(|_| refused())?;
        let kid = header
            .kid
            .filter(|_| header.alg == Algorithm::EdDSA)
            .ok_or_else(refused)?;
        let keys = self.load(|keys| keys.verify.contains_key(&kid)).await?;
        let now = clock::now();
        let is_valid = |key: &&Verifying| key.ends_at.is_none_or(|end| now < end);
        let key = keys.verify.get(&kid).filter(is_valid).ok_or_else(refused)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY_SECONDS;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        match jsonwebtoken::decode::<Token>(token, &key.key, &validation) {
            Ok(token) => Ok(token.claims.claims),
            Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => Err(ApiError::new(
                ErrorCode::TokenExpired,
                "refresh it, or log in again",
            )),
            Err(_) => Err(refused()),
        }
    }

    /// The keys, loaded again when they are old, or do not fit and were not just loaded.
    async fn load(&self, fit: impl Fn(&Keys) -> bool) -> ApiResult<Arc<Keys>> {
        let usable = |keys: &Keys| {
            let age = keys.loaded.elapsed();
            age < RELOAD_AT_MOST || (age < FRESH && fit(keys))
        };
        if let Some(keys) = self.keys.read().await.as_ref().filter(|keys| usable(keys)) {
            return Ok(Arc::clone(keys));
        }
        let mut place = self.keys.write().await;
        if let Some(keys) = place.as_ref().filter(|keys| usable(keys)) {
            return Ok(Arc::clone(keys));
        }
        let (master_key, rotation) = (self.master_key.clone(), self.rotation);
        let stored = self
            .database
            .run(move |conn| {
                signing_keys::live_or_rotated(conn, rotation, clock::now(), || make(&master_key))
            })
            .await?;
        let keys = Arc::new(open(&self.master_key, &stored).map_err(ApiError::internal)?);
        *place = Some(Arc::clone(&keys));
        Ok(keys)
    }
}

/// Has a new key follow the others, and gives its name. They verify until their tokens have expired; revoked ones stop within a
/// minute, in which processes look for keys again.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn rotate(
    conn: &mut PgConnection,
    master_key: &MasterKey,
    access_token_seconds: u32,
    revokes: bool,
) -> Result<String, Error> {
    let new = make(master_key)?;
    let kid = new.kid.clone();
    let tokens_live = TimeDelta::seconds(access_token_seconds.into());
    signing_keys::rotate(conn, tokens_live, revokes, clock::now(), new)?;
    Ok(kid)
}

fn make(master_key: &MasterKey) -> Result<NewSigningKey, Error> {
    let key = ed25519_dalek::SigningKey::from_bytes(&clock::secret_bytes());
    let public_key = key.verifying_key().to_bytes().to_vec();
    let kid: String = crypto::digest(&public_key)[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let private_key = master_key.seal(&signing_keys::context(&kid), key.as_bytes())?;
    Ok(NewSigningKey {
        kid,
        private_key,
        public_key,
    })
}

fn open(master_key: &MasterKey, stored: &[SigningKey]) -> Result<Keys, Error> {
    let unreadable = Error::Unreadable { what: "signing key" };
    let Some(signing) = signing_keys::signing(stored, clock::now()) else {
        return Err(unreadable);
    };
    let seed = master_key.open(&signing_keys::context(&signing.kid), &signing.private_key)?;
    let Ok(seed) = <&[u8; 32]>::try_from(seed.as_slice()) else {
        return Err(unreadable);
    };
    let der = ed25519_dalek::SigningKey::from_bytes(seed)
        .to_pkcs8_der()
        .map_err(|_| Error::Unreadable { what: "signing key" })?;
    Ok(Keys {
        loaded: Instant::now(),
        kid: signing.kid.clone(),
        sign: EncodingKey::from_ed_der(der.as_bytes()),
        verify: stored
            .iter()
            .filter(|key| key.public_key.len() == 32)
            .map(|key| {
                let verifying = Verifying {
                    key: DecodingKey::from_ed_der(&key.public_key),
                    ends_at: key.retired_at,
                };
                (key.kid.clone(), verifying)
            })
            .collect(),
    })
}

//! Who calls, and what they may do. A handler demands a permission in its signature: `caller: Guarded<WebhooksWrite>`.

pub mod access_tokens;
pub mod passwords;
pub mod permissions;
pub mod secret_token;
pub mod throttle;

use std::fmt;
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::net::IpAddr;
use std::ops::Deref;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use hookgate_domain::audit::Origin;
use hookgate_domain::database::PgConnection;
use hookgate_domain::scope::TenantScope;
use hookgate_domain::{Error, clock, crypto, management_keys, tenants};
use hookgate_model::access::{Permission, Role, Scope};
use hookgate_model::ids::{LoginSessionId, ManagementKeyId, UserId};

use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::state::State;
use crate::{client_address, trace};
use permissions::Demand;

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A person, through a login.
    Person {
        /// Who.
        user: UserId,
        /// Through which login.
        session: LoginSessionId,
        /// Their role in the tenant.
        role: Role,
    },
    /// A machine, through a management key.
    Key {
        /// Which.
        id: ManagementKeyId,
        /// What it was made for.
        scopes: Vec<Scope>,
    },
}

impl Actor {
    /// Whether the actor has the permission.
    pub fn may(&self, permission: Permission) -> bool {
        match self {
            Self::Person { role, .. } => permission.allowed_to_role(*role),
            Self::Key { scopes, .. } => permission.allowed_to_scopes(scopes),
        }
    }
}

/// As it is kept with what the actor did: the id.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person { user, .. } => user.fmt(f),
            Self::Key { id, .. } => id.fmt(f),
        }
    }
}

/// A caller whose credential is proven, whatever they may do.
#[derive(Clone)]
pub struct Caller {
    /// The tenant whose rows they may touch.
    pub scope: TenantScope,
    /// Who they are.
    pub actor: Actor,
    /// From where they call.
    address: Option<IpAddr>,
    /// Whether the operator has suspended the tenant.
    is_suspended: bool,
    state: Data<State>,
}

impl Caller {
    /// The service's state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Runs queries in one transaction of the caller's tenant, on a blocking thread.
    ///
    /// # Errors
    /// What the queries end in; everything is rolled back then.
    pub async fn run<T, E, F>(&self, queries: F) -> ApiResult<T>
    where
        F: FnOnce(&mut PgConnection, &TenantScope) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Into<ApiError> + Send + 'static,
    {
        let scope = self.scope;
        let origin = self.origin();
        let outcome = self
            .state
            .database
            .run(move |conn| {
                scope.transaction(conn, |conn| {
                    origin.enter(conn).map_err(E::from)?;
                    queries(conn, &scope)
                })
            })
            .await;
        outcome.map_err(E::into)
    }

    /// The person who calls.
    ///
    /// # Errors
    /// 403 when a management key calls.
    pub fn person(&self) -> ApiResult<UserId> {
        match self.actor {
            Actor::Person { user, .. } => Ok(user),
            Actor::Key { .. } => Err(ApiError::new(
                ErrorCode::Forbidden,
                "this is for people: a management key belongs to one tenant and to nobody",
            )),
        }
    }

    /// The login that they came through, if it is a person.
    pub fn login(&self) -> Option<LoginSessionId> {
        match self.actor {
            Actor::Person { session, .. } => Some(session),
            Actor::Key { .. } => None,
        }
    }

    /// Who is behind what the caller changes.
    pub fn origin(&self) -> Origin {
        Origin {
            actor: self.actor.to_string(),
            address: self.address,
            trace_id: trace::current(),
        }
    }

    /// The caller of a request, as [`middleware`] found out.
    ///
    /// # Errors
    /// 401 without a credential that works; 503 when that could not be found out.
    pub(crate) fn of(request: &HttpRequest) -> ApiResult<Self> {
        match request.extensions().get::<Authenticated>() {
            Some(Authenticated(outcome)) => outcome.clone(),
            None => Err(ApiError::internal("the path is outside of what is authenticated")),
        }
    }
}

struct Authenticated(ApiResult<Caller>);

/// Who is behind what a person changes who has just become known.
pub(crate) fn origin_of(user: UserId, address: Option<IpAddr>) -> Origin {
    Origin {
        actor: user.to_string(),
        address,
        trace_id: trace::current(),
    }
}

/// The middleware that finds out who calls. It refuses nobody: that is left to the extractors, which then know at once,
/// so that a missing credential or permission is told before anything that is wrong with the path or the body.
pub(crate) async fn middleware(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let outcome = match request.app_data::<Data<State>>().cloned() {
        Some(state) => authenticate(state, request.request()).await,
        None => Err(ApiError::internal("the application has no state")),
    };
    request.extensions_mut().insert(Authenticated(outcome));
    next.call(request).await
}

async fn authenticate(state: Data<State>, request: &HttpRequest) -> ApiResult<Caller> {
    let refused = |detail: &str| ApiError::new(ErrorCode::Unauthenticated, detail);
    let header = request
        .headers()
        .get(header::AUTHORIZATION)
        .ok_or_else(|| refused("send Authorization: Bearer with an access token or a management key"))?;
    let bearer = header
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, credential)| credential.trim())
        .ok_or_else(|| refused("the Authorization header must be Bearer and the credential"))?;
    let now = clock::now();
    let address = client_address::of(request, &state);
    let not_live = |detail: &'static str| {
        move |error| match error {
            Error::NotFound => ApiError::new(ErrorCode::Unauthenticated, detail),
            other => other.into(),
        }
    };
    if bearer.starts_with(secret_token::MANAGEMENT_KEY) {
        let digest = crypto::digest(bearer.as_bytes());
        let known = state
            .database
            .run(move |conn| management_keys::authenticate(conn, &digest, now))
            .await
            .map_err(not_live("the management key is unknown, expired or revoked"))?;
        return Ok(Caller {
            scope: known.scope,
            actor: Actor::Key {
                id: known.key.id,
                scopes: known.key.scopes(),
            },
            address,
            is_suspended: known.is_suspended,
            state,
        });
    }
    let claims = state.access_tokens.verify(bearer).await?;
    let (user, session) = (claims.user, claims.session);
    let membership = state
        .database
        .run(move |conn| tenants::authorise(conn, user, claims.tenant, session, now))
        .await
        .map_err(not_live(
            "the login has ended, or the person is no longer a member of the tenant",
        ))?;
    Ok(Caller {
        scope: membership.scope,
        actor: Actor::Person {
            user,
            session,
            role: membership.role,
        },
        address,
        is_suspended: membership.is_suspended,
        state,
    })
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<ApiResult<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

/// A caller who has the permission that `P` demands, in a tenant that is not suspended.
pub struct Guarded<P> {
    caller: Caller,
    permission: PhantomData<fn() -> P>,
}

impl<P> Deref for Guarded<P> {
    type Target = Caller;
    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl<P: Demand + 'static> FromRequest for Guarded<P> {
    type Error = ApiError;
    type Future = Ready<ApiResult<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Caller::of(request).and_then(|caller| {
            if caller.is_suspended {
                Err(ApiError::new(
                    ErrorCode::TenantSuspended,
                    "the operator has suspended the tenant",
                ))
            } else if caller.actor.may(P::PERMISSION) {
                Ok(Self {
                    caller,
                    permission: PhantomData,
                })
            } else {
                Err(ApiError::new(
                    ErrorCode::Forbidden,
                    format!("this needs the permission {}", P::PERMISSION),
                ))
            }
        }))
    }
}

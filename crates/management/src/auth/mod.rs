//! Who calls, and what they may do. A handler demands a permission in its signature: `caller: Guarded<WebhooksWrite>`.

pub mod access_tokens;
pub mod passwords;
pub mod permissions;
pub mod second_factor;
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
use chrono::{DateTime, SecondsFormat, Utc};
use hookgate_domain::audit::Origin;
use hookgate_domain::database::PgConnection;
use hookgate_domain::login_sessions::Basis;
use hookgate_domain::scope::TenantScope;
use hookgate_domain::tenants::Standing;
use hookgate_domain::{Error, clock, crypto, management_keys, tenants};
use hookgate_model::access::{Permission, Role, Scope};
use hookgate_model::ids::{LoginSessionId, ManagementKeyId, UserId};

use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::state::State;
use crate::{client_address, trace};
use access_tokens::Claims;
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
        /// When it stops working by itself.
        expires_at: Option<DateTime<Utc>>,
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

    /// Checks that the actor has the permission.
    ///
    /// # Errors
    /// 403.
    pub fn demand(&self, permission: Permission) -> ApiResult<()> {
        if self.may(permission) {
            Ok(())
        } else {
            Err(ApiError::new(
                ErrorCode::Forbidden,
                format!("this needs the permission {permission}"),
            ))
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
    /// Whether the tenant can be worked with.
    standing: Standing,
    credential: Credential,
    state: Data<State>,
}

/// What was presented.
#[derive(Clone, Copy)]
enum Credential {
    /// An access token.
    Login(Claims),
    /// A management key, by its digest.
    Key([u8; 32]),
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

    /// Who calls, and the login that another one can rest on.
    ///
    /// # Errors
    /// 403 when a management key calls.
    pub fn person_logged_in(&self) -> ApiResult<(UserId, Basis)> {
        let user = self.person()?;
        let login = self.login().ok_or_else(ApiError::not_found)?;
        Ok((user, Basis::Login(login)))
    }

    /// Checks that an owner calls, of a tenant that the operator has not suspended, be it deleted.
    ///
    /// # Errors
    /// 403.
    pub fn owner(&self) -> ApiResult<()> {
        usable(Standing {
            delete_at: None,
            ..self.standing
        })?;
        self.actor.demand(Permission::TenantOwn)
    }

    /// Checks that an owner calls, of a tenant that is not deleted, be it suspended.
    ///
    /// # Errors
    /// 403.
    pub fn owner_who_may_leave(&self) -> ApiResult<()> {
        usable(Standing {
            is_suspended: false,
            ..self.standing
        })?;
        self.actor.demand(Permission::TenantOwn)
    }

    /// Finds out anew whether the credential works and gives a permission: for what goes on for long.
    ///
    /// # Errors
    /// 401 and 403 when it does not any more; 503 when that cannot be found out.
    pub async fn prove_again(&self, permission: Permission) -> ApiResult<()> {
        let again = prove(self.state.clone(), self.credential, self.address).await?;
        match permission {
            Permission::TenantOwn => again.owner(),
            _ => usable(again.standing).and_then(|()| again.actor.demand(permission)),
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
            ..Origin::default()
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

/// Checks that a tenant can be worked with.
///
/// # Errors
/// 403 when it is suspended or deleted.
pub(crate) fn usable(standing: Standing) -> ApiResult<()> {
    if standing.is_suspended {
        return Err(ApiError::new(
            ErrorCode::TenantSuspended,
            "the operator has suspended the tenant: GET /v1/me tells why",
        ));
    }
    match standing.delete_at {
        None => Ok(()),
        Some(at) => Err(ApiError::new(
            ErrorCode::TenantDeleted,
            format!(
                "it will be erased at {}; an owner can restore it",
                at.to_rfc3339_opts(SecondsFormat::Secs, true)
            ),
        )),
    }
}

struct Authenticated(ApiResult<Caller>);

/// Who is behind what a person changes who has just become known.
pub(crate) fn origin_of(user: UserId, address: Option<IpAddr>) -> Origin {
    Origin {
        actor: user.to_string(),
        address,
        trace_id: trace::current(),
        ..Origin::default()
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
    let address = client_address::of(request, &state);
    let credential = if bearer.starts_with(secret_token::MANAGEMENT_KEY) {
        Credential::Key(crypto::digest(bearer.as_bytes()))
    } else {
        Credential::Login(state.access_tokens.verify(bearer).await?)
    };
    let tenant = match &credential {
        Credential::Key(digest) => state.request_rate.tenant_of(digest),
        Credential::Login(claims) => Some(claims.tenant),
    };
    if let Some(tenant) = tenant {
        state.request_rate.take(&state.redis, tenant).await?;
    }
    let caller = prove(state, credential, address).await?;
    if let Credential::Key(digest) = credential {
        let rate = &caller.state.request_rate;
        rate.remember(digest, caller.scope.tenant());
    }
    Ok(caller)
}

/// Whose credential it is, if it works.
async fn prove(state: Data<State>, credential: Credential, address: Option<IpAddr>) -> ApiResult<Caller> {
    let now = clock::now();
    let not_live = |detail: &'static str| {
        move |error| match error {
            Error::NotFound => ApiError::new(ErrorCode::Unauthenticated, detail),
            other => other.into(),
        }
    };
    let (scope, actor, standing) = match credential {
        Credential::Key(digest) => {
            let known = state
                .database
                .run(move |conn| management_keys::authenticate(conn, &digest, now))
                .await
                .map_err(not_live("the management key is unknown, expired or revoked"))?;
            let actor = Actor::Key {
                id: known.key.id,
                scopes: known.key.scopes(),
                expires_at: known.key.expires_at,
            };
            (known.scope, actor, known.standing)
        }
        Credential::Login(Claims {
            user,
            tenant,
            session,
        }) => {
            let membership = state
                .database
                .run(move |conn| tenants::authorise(conn, user, tenant, session, now))
                .await
                .map_err(not_live(
                    "the login has ended, or the person is no longer a member of the tenant",
                ))?;
            let actor = Actor::Person {
                user,
                session,
                role: membership.role,
            };
            (membership.scope, actor, membership.standing)
        }
    };
    Ok(Caller {
        scope,
        actor,
        address,
        standing,
        credential,
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
            usable(caller.standing)?;
            caller.actor.demand(P::PERMISSION)?;
            Ok(Self {
                caller,
                permission: PhantomData,
            })
        }))
    }
}

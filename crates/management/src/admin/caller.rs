//! Who calls the operator's API: whoever has one of its tokens.

use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest, ResponseError};
use hookgate_domain::audit::Origin;
use hookgate_domain::database::PgConnection;
use hookgate_domain::redis::changes::Change;
use hookgate_domain::scope::TenantScope;
use hookgate_domain::{Error, operator};
use hookgate_model::ids::TenantId;

use super::Access;
use crate::auth::throttle;
use crate::changes::announced;
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::state::State;
use crate::{client_address, trace};

/// The operator, whose token is proven.
#[derive(Clone)]
pub(crate) struct Operator {
    state: Data<State>,
    access: Data<Access>,
    /// Which token, as the audit log names it.
    credential: String,
    address: Option<IpAddr>,
}

impl Operator {
    /// The service's state. Its database is not this API's.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Who is behind what is changed.
    fn origin(&self) -> Origin {
        Origin {
            credential: Some(self.credential.clone()),
            address: self.address,
            trace_id: trace::current(),
            ..Origin::operator()
        }
    }

    /// Runs queries in one transaction, on a blocking thread; what they change is put on record in the operator's audit log.
    ///
    /// # Errors
    /// What the queries end in; everything is rolled back then.
    pub(crate) async fn run<T, E, F>(&self, queries: F) -> ApiResult<T>
    where
        F: FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Into<ApiError> + Send + 'static,
    {
        let origin = self.origin();
        let run = move |conn: &mut PgConnection| operator::in_transaction(conn, &origin, queries);
        self.access.database.run(run).await.map_err(E::into)
    }

    /// Runs queries in one transaction of a tenant; what they change of it is the operator's in its audit log.
    ///
    /// # Errors
    /// What the queries end in; everything is rolled back then.
    pub(crate) async fn in_tenant<T, F>(&self, tenant: TenantId, queries: F) -> ApiResult<T>
    where
        F: FnOnce(&mut PgConnection, &TenantScope) -> ApiResult<T> + Send + 'static,
        T: Send + 'static,
    {
        let origin = self.origin();
        let run = move |conn: &mut PgConnection| operator::in_tenant(conn, &origin, tenant, queries);
        self.access.database.run(run).await
    }

    /// The same, and announces the change of the tenant once it is committed, also when the caller hangs up meanwhile.
    ///
    /// # Errors
    /// What the queries end in; everything is rolled back then, and nothing announced.
    pub(crate) async fn change<T, F>(&self, tenant: TenantId, queries: F) -> ApiResult<T>
    where
        F: FnOnce(&mut PgConnection, &TenantScope) -> ApiResult<T> + Send + 'static,
        T: Send + 'static,
    {
        let operator = self.clone();
        self.and_announce(Change::Tenant(tenant), async move {
            operator.in_tenant(tenant, queries).await
        })
        .await
    }

    /// Does something, and announces its change, also when the caller hangs up meanwhile.
    ///
    /// # Errors
    /// What it ends in; nothing is announced then.
    pub(crate) async fn and_announce<T: Send + 'static>(
        &self,
        change: Change,
        work: impl Future<Output = ApiResult<T>> + 'static,
    ) -> ApiResult<T> {
        let state = self.state.clone();
        let done = actix_web::rt::spawn(trace::carry(async move {
            let value = work.await?;
            announced(&state.redis, vec![change]).await;
            Ok(value)
        }));
        done.await.map_err(ApiError::internal)?
    }
}

/// The middleware of `/admin/v1`: whoever has no token gets no further.
pub(crate) async fn middleware(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    match authenticate(request.request()).await {
        Ok(operator) => {
            request.extensions_mut().insert(operator);
            Ok(next.call(request).await?.map_into_left_body())
        }
        Err(refused) => Ok(request
            .into_response(refused.error_response())
            .map_into_right_body()),
    }
}

async fn authenticate(request: &HttpRequest) -> ApiResult<Operator> {
    let state = request.app_data::<Data<State>>().cloned();
    let access = request.app_data::<Data<Access>>().cloned();
    let Some((state, access)) = state.zip(access) else {
        return Err(ApiError::internal("the application has no state"));
    };
    let address = client_address::of(request, &state);
    let bearer = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let Some(credential) = bearer.and_then(|token| access.tokens.recognize(token)) else {
        throttle::operator_failed(&state, address).await?;
        return Err(ApiError::new(
            ErrorCode::Unauthenticated,
            "send Authorization: Bearer with one of admin.tokens",
        ));
    };
    Ok(Operator {
        state,
        access,
        credential,
        address,
    })
}

impl FromRequest for Operator {
    type Error = ApiError;
    type Future = Ready<ApiResult<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let operator = request.extensions().get::<Self>().cloned();
        ready(operator.ok_or_else(|| ApiError::internal("the path is outside of what is authenticated")))
    }
}

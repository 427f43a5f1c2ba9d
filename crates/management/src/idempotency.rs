//! `Idempotency-Key` on every POST under `/v1` except those that take or give people's passwords and tokens ([`UNKEPT`]): a request that is repeated with the same key and body
//! gets the answer of the first, and is not done again.
//!
//! The answer is kept sealed, because it can hold a secret that is shown once. The work goes on, and its answer is kept,
//! when the caller hangs up. An answer that says nothing of the request itself (5xx, 401, 403, 429) is not kept. A
//! process that dies between the work and keeping its answer leaves the key claimed for a minute; repeated after that,
//! the request is done again.

use actix_web::body::{BoxBody, MessageBody, to_bytes};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError};
use chrono::{DateTime, Utc};
use hookgate_domain::idempotency::{self, Claim, Request};
use hookgate_domain::{clock, crypto};
use hookgate_model::answer::Answer;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::{body, trace};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const KEY_LENGTH_MOST: usize = 255;
/// What takes or gives passwords and tokens of people, of which not even a digest is to be kept.
pub(crate) const UNKEPT: [&str; 4] = ["/v1/auth/", "/v1/me/", "/v1/invitations/accept", "/v1/tenants/"];
/// The headers that belong to an answer; the others are made anew.
const KEPT_HEADERS: [HeaderName; 3] = [header::CONTENT_TYPE, header::ETAG, header::LOCATION];

/// The middleware of `/v1`.
pub async fn middleware(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let applies = request.method() == Method::POST
        && !UNKEPT.iter().any(|prefix| request.path().starts_with(prefix))
        && request.headers().contains_key(IDEMPOTENCY_KEY);
    if !applies {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    match claim(&mut request).await {
        Err(error) => Ok(request.into_response(error.error_response())),
        Ok(Claimed::Replay(answer)) => Ok(request.into_response(replay(answer))),
        Ok(Claimed::Work(work)) => {
            // A task of its own: a caller who hangs up ends the request's future, not the work.
            let done = actix_web::rt::spawn(trace::carry(async move {
                let response = next.call(request).await?.map_into_boxed_body();
                Ok::<_, Error>(work.keep(response).await)
            }));
            done.await
                .map_err(|stopped| Error::from(ApiError::internal(stopped)))?
        }
    }
}

enum Claimed {
    Replay(Answer),
    Work(Box<Work>),
}

struct Work {
    caller: Caller,
    request: Request,
    since: DateTime<Utc>,
}

async fn claim(request: &mut ServiceRequest) -> ApiResult<Claimed> {
    let key = read_key(request)?;
    let caller = Caller::of(request.request())?;
    let payload = request.take_payload();
    let body = body::read(request.request(), payload).await?;
    let request_key = Request {
        actor: caller.actor.to_string(),
        key,
        digest: digest(request, &body),
    };
    request.set_payload(Payload::from(body));
    let claimed = {
        let request = request_key.clone();
        caller
            .run(move |conn, scope| idempotency::claim(conn, scope, &request, clock::now()))
            .await?
    };
    match claimed {
        Claim::Claimed(since) => Ok(Claimed::Work(Box::new(Work {
            caller,
            request: request_key,
            since,
        }))),
        Claim::InFlight => Err(ApiError::new(
            ErrorCode::IdempotencyInFlight,
            "try again in a moment",
        )),
        Claim::OtherRequest => Err(ApiError::new(
            ErrorCode::IdempotencyKeyReused,
            "take a new key for another method, path or body",
        )),
        Claim::Answered(sealed) => {
            let opened = caller
                .state()
                .master_key
                .open(&context(&caller, &request_key), &sealed)?;
            Answer::decode(&opened)
                .map(Claimed::Replay)
                .ok_or_else(|| ApiError::internal("a kept answer cannot be read"))
        }
    }
}

fn read_key(request: &ServiceRequest) -> ApiResult<String> {
    let mut values = request.headers().get_all(IDEMPOTENCY_KEY);
    let key = values
        .next()
        .and_then(|value| value.to_str().ok())
        .map(str::trim)
        .unwrap_or_default();
    let fits = (1..=KEY_LENGTH_MOST).contains(&key.len()) && values.next().is_none();
    if fits {
        Ok(key.to_owned())
    } else {
        Err(ApiError::new(
            ErrorCode::InvalidHeader,
            format!("Idempotency-Key must be one text of 1 to {KEY_LENGTH_MOST} ASCII characters"),
        ))
    }
}

/// What makes two requests the same.
fn digest(request: &ServiceRequest, body: &Bytes) -> [u8; 32] {
    let line = format!("{} {}\n", request.method(), request.uri());
    crypto::digest(&[line.as_bytes(), body].concat())
}

fn context(caller: &Caller, request: &Request) -> String {
    idempotency::context(caller.scope.tenant(), &request.actor, &request.key)
}

impl Work {
    /// Keeps the answer, or gives the key up; neither failing changes the answer.
    async fn keep(self, response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
        let (request, response) = response.into_parts();
        let (head, body) = response.into_parts();
        let body = to_bytes(body).await.unwrap_or_default();
        let status = head.status();
        let kept = if is_kept(status) {
            let headers = KEPT_HEADERS
                .iter()
                .filter_map(|name| {
                    Some((
                        name.as_str().to_owned(),
                        head.headers().get(name)?.to_str().ok()?.to_owned(),
                    ))
                })
                .collect();
            self.finish(Answer {
                status: status.as_u16(),
                headers,
                body: body.to_vec(),
            })
            .await
        } else {
            self.release().await
        };
        if let Err(error) = kept {
            tracing::warn!(%error, "an idempotent answer was not kept");
        }
        ServiceResponse::new(request, head.set_body(BoxBody::new(body)))
    }

    async fn finish(self, answer: Answer) -> ApiResult<()> {
        let sealed = self
            .caller
            .state()
            .master_key
            .seal(&context(&self.caller, &self.request), &answer.encode())?;
        let Self {
            caller,
            request,
            since,
        } = self;
        caller
            .run(move |conn, scope| idempotency::finish(conn, scope, &request, since, answer.status, &sealed))
            .await
    }

    async fn release(self) -> ApiResult<()> {
        let Self {
            caller,
            request,
            since,
        } = self;
        caller
            .run(move |conn, scope| idempotency::release(conn, scope, &request, since))
            .await
    }
}

fn is_kept(status: StatusCode) -> bool {
    !status.is_server_error()
        && !matches!(
            status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
        )
}

fn replay(answer: Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::build(status);
    for (name, value) in answer.headers {
        response.insert_header((name, value));
    }
    response.insert_header((REPLAYED, HeaderValue::from_static("true")));
    response.body(answer.body)
}

//! Bodies of requests and answers.

use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Bytes, BytesMut, Data};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, Responder};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::error::{ApiError, ApiResult, ErrorCode, FieldCode};
use crate::etag;
use crate::fields::{self, FromFields};
use crate::state::State;

/// A JSON body that was read without an error.
pub struct Json<T>(pub T);

impl<T: FromFields + 'static> FromRequest for Json<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, ApiResult<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let value = read_json(request, payload);
        Box::pin(async move { fields::read(value.await?).map(Self) })
    }
}

/// A JSON Merge Patch (RFC 7396) of what a `T` can edit. In the OpenAPI document it is `T` without required fields:
/// name it with an alias, `type WebhookPatch = Patch<WebhookSettings>`.
pub struct Patch<T> {
    patch: Value,
    of: PhantomData<fn() -> T>,
}

impl<T: FromFields> Patch<T> {
    /// Applies the patch to what there is, and reads the result with all its rules. An object of another `kind` takes the
    /// place of the old one as a whole: the fields of one kind mean nothing to another.
    ///
    /// # Errors
    /// 400 with every field that is wrong then; 500 when the current state cannot be written as JSON.
    pub fn apply(&self, current: &impl Serialize) -> ApiResult<T> {
        let mut document = serde_json::to_value(current).map_err(ApiError::internal)?;
        forget_other_kinds(&mut document, &self.patch);
        json_patch::merge(&mut document, &self.patch);
        fields::read(document)
    }
}

/// Empties every object for which the patch has another `kind`.
fn forget_other_kinds(current: &mut Value, patch: &Value) {
    let (Value::Object(current), Value::Object(patch)) = (current, patch) else {
        return;
    };
    if let (Some(old), Some(new)) = (current.get("kind"), patch.get("kind"))
        && old != new
    {
        current.clear();
        return;
    }
    for (name, below) in patch {
        if let Some(value) = current.get_mut(name) {
            forget_other_kinds(value, below);
        }
    }
}

impl<T: 'static> FromRequest for Patch<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, ApiResult<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let value = read_json(request, payload);
        Box::pin(async move {
            match value.await? {
                patch @ Value::Object(_) => Ok(Self {
                    patch,
                    of: PhantomData,
                }),
                _ => Err(ApiError::field(
                    "",
                    FieldCode::WrongType,
                    "must be an object, to be merged",
                )),
            }
        })
    }
}

impl<T: PartialSchema> PartialSchema for Patch<T> {
    fn schema() -> RefOr<Schema> {
        let mut schema = T::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.required.clear();
            object.description = Some(format!(
                "JSON Merge Patch (RFC 7396): fields that are absent stay as they are; null takes a field back to its \
                 default. {}",
                object.description.take().unwrap_or_default()
            ));
        }
        schema
    }
}

impl<T: ToSchema> ToSchema for Patch<T> {
    fn name() -> std::borrow::Cow<'static, str> {
        format!("{}Patch", T::name()).into()
    }
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(schemas);
    }
}

/// An answer with a JSON body.
#[derive(Debug)]
pub struct Reply<T> {
    status: StatusCode,
    version: Option<i64>,
    body: T,
}

impl<T: Serialize> Reply<T> {
    /// 200.
    pub fn ok(body: T) -> Self {
        Self {
            status: StatusCode::OK,
            version: None,
            body,
        }
    }

    /// 201.
    pub fn created(body: T) -> Self {
        Self {
            status: StatusCode::CREATED,
            version: None,
            body,
        }
    }

    /// Adds the `ETag` of the object's version.
    pub fn version(self, version: i64) -> Self {
        Self {
            version: Some(version),
            ..self
        }
    }
}

impl<T: Serialize> Responder for Reply<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status);
        if let Some(version) = self.version {
            response.insert_header((header::ETAG, etag::of(version)));
        }
        response.json(self.body)
    }
}

/// 204: done, and there is nothing to say.
#[derive(Debug)]
pub struct NoContent;

impl Responder for NoContent {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse<BoxBody> {
        HttpResponse::NoContent().finish()
    }
}

/// 202: it will be done, or not, and there is nothing to say about that.
#[derive(Debug)]
pub struct Accepted;

impl Responder for Accepted {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse<BoxBody> {
        HttpResponse::Accepted().finish()
    }
}

fn read_json(
    request: &HttpRequest,
    payload: &mut Payload,
) -> impl Future<Output = ApiResult<Value>> + 'static + use<> {
    let essence = request
        .content_type()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_json = matches!(essence.as_str(), "" | "application/json") || essence.ends_with("+json");
    let may_be_absent = *request.method() == Method::POST;
    let bytes = read(request, payload.take());
    async move {
        if !is_json {
            return Err(ApiError::new(
                ErrorCode::UnsupportedMediaType,
                format!("send Content-Type: application/json, not {essence}"),
            ));
        }
        let bytes = bytes.await?;
        if bytes.is_empty() && !may_be_absent {
            let detail = "send a body; an object without fields is {}";
            return Err(ApiError::new(ErrorCode::MalformedJson, detail));
        }
        // No body at all is an object without fields: many a POST needs none.
        let text = if bytes.is_empty() { b"{}" } else { bytes.as_ref() };
        serde_json::from_slice(text)
            .map_err(|error| ApiError::new(ErrorCode::MalformedJson, error.to_string()))
    }
}

/// How long a body may take to arrive: a sender that trickles must not hold a connection for ever.
const ARRIVES_WITHIN: Duration = Duration::from_secs(30);

/// Reads a body up to the limit of the settings.
pub(crate) fn read(
    request: &HttpRequest,
    mut payload: Payload,
) -> impl Future<Output = ApiResult<Bytes>> + 'static + use<> {
    let most = request
        .app_data::<Data<State>>()
        .map_or(0, |state| state.settings.body_limit_bytes);
    let declared: Option<usize> = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok());
    async move {
        let too_large = || {
            ApiError::new(
                ErrorCode::BodyTooLarge,
                format!("a body may have at most {most} bytes"),
            )
        };
        let incomplete = || ApiError::new(ErrorCode::MalformedJson, "the body did not arrive completely");
        if declared.is_some_and(|bytes| bytes > most) {
            return Err(too_large());
        }
        let arriving = async {
            let mut body = BytesMut::with_capacity(declared.unwrap_or(0));
            while let Some(chunk) = payload.next().await {
                let chunk = chunk.map_err(|_| incomplete())?;
                if body.len() + chunk.len() > most {
                    return Err(too_large());
                }
                body.extend_from_slice(&chunk);
            }
            Ok(body.freeze())
        };
        tokio::time::timeout(ARRIVES_WITHIN, arriving)
            .await
            .unwrap_or_else(|_| Err(incomplete()))
    }
}

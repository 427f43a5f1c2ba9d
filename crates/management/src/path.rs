//! The ids in a path. One that cannot be an id of its kind names nothing: 404, like any other id that is not there.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use crate::error::{ApiError, ApiResult};

/// The parameters of the path as a tuple, in order: `Path((id,)): Path<(WebhookId,)>`. The tuple, also of one, lets
/// utoipa take the names from the route and the types from here.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Path<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, ApiResult<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        web::Path::<T>::from_request(request, payload)
            .map(|path| {
                path.map(|path| Self(path.into_inner()))
                    .map_err(|_| ApiError::not_found())
            })
            .boxed_local()
    }
}

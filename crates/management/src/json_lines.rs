//! Exports: answers of JSON Lines that go on, part by part, so that a part is all that is in memory.
//!
//! They take places, and look now and then whether their caller may still read what they write. Whoever takes nothing of one is cut
//! off ([`crate::connection`]).

use std::io;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_TYPE;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use hookgate_model::access::Permission;
use serde::Serialize;
use tokio::time::Instant;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult};
use crate::places::Place;

/// The content type.
pub const JSON_LINES: &str = "application/jsonl";
/// How much the server is given at once: it copies that.
const PIECE: usize = 64 << 10;

/// What is exported, and how far it is.
pub trait Export: Sized + 'static {
    /// The next lines, and what goes on after them.
    fn next(self, caller: &Caller) -> impl Future<Output = ApiResult<(Bytes, Option<Self>)>>;
}

/// Answers with an export, for a caller who has the permission.
///
/// # Errors
/// 429 when there is no place for it; what is wrong with its first part.
pub async fn answer(caller: Caller, permission: Permission, export: impl Export) -> ApiResult<HttpResponse> {
    let place = caller.state().exports.take(&caller)?;
    // What is wrong with the first lines can still be said.
    let (lines, rest) = export.next(&caller).await?;
    let running = rest.map(|rest| Running {
        proven_at: Instant::now(),
        caller,
        permission,
        rest,
        _place: place,
    });
    let first = stream::once(async { Ok::<_, io::Error>(lines) });
    let rest = stream::unfold(running, |running| async move {
        match running?.next().await {
            Ok((lines, running)) => Some((Ok(lines), running)),
            // The connection breaks off, so that nobody takes a part for the whole.
            Err(_) => Some((Err(io::Error::other("the export broke off")), None)),
        }
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, JSON_LINES))
        .streaming(first.chain(rest).flat_map(|lines| stream::iter(pieces(lines)))))
}

/// Lines in the pieces that the server is given.
fn pieces(lines: io::Result<Bytes>) -> impl Iterator<Item = io::Result<Bytes>> {
    let (mut rest, mut broken) = match lines {
        Ok(lines) => (lines, None),
        Err(error) => (Bytes::new(), Some(error)),
    };
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return broken.take().map(Err);
        }
        Some(Ok(rest.split_to(rest.len().min(PIECE))))
    })
}

/// An export that goes on.
struct Running<E> {
    caller: Caller,
    permission: Permission,
    proven_at: Instant,
    rest: E,
    _place: Place,
}

impl<E: Export> Running<E> {
    async fn next(mut self) -> ApiResult<(Bytes, Option<Self>)> {
        let state = self.caller.state();
        let every = Duration::from_secs(state.settings.export_check_seconds.into());
        if self.proven_at.elapsed() >= every {
            self.caller.prove_again(self.permission).await?;
            self.proven_at = Instant::now();
        }
        let stopping = self.caller.state().stopping.clone();
        let (lines, rest) = tokio::select! {
            () = stopping.cancelled() => return Err(ApiError::internal("the service stops")),
            next = self.rest.next(&self.caller) => next?,
        };
        let Some(rest) = rest else {
            return Ok((lines, None));
        };
        Ok((lines, Some(Self { rest, ..self })))
    }
}

/// Objects as lines.
///
/// # Errors
/// 500 when one cannot be written.
pub fn lines<T: Serialize>(objects: impl IntoIterator<Item = T>) -> ApiResult<Bytes> {
    let mut lines = BytesMut::new();
    for object in objects {
        add_line(&mut lines, &object)?;
    }
    Ok(lines.freeze())
}

/// Adds an object to the lines.
///
/// # Errors
/// 500 when it cannot be written.
pub fn add_line(lines: &mut BytesMut, object: &impl Serialize) -> ApiResult<()> {
    serde_json::to_writer(lines.writer(), object).map_err(ApiError::internal)?;
    lines.put_u8(b'\n');
    Ok(())
}

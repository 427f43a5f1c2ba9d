//! Reading a request's body, in bounded time and memory.

use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, timeout_at};

use crate::body_room::Taken;
use crate::pace::Pace;
use crate::refusal::Refusal;

/// What a body may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The longest, in bytes.
    pub most: usize,
    /// Where it ends, in bytes, when the server does not know.
    pub exactly: Option<u64>,
    /// The pace that it must keep.
    pub pace: Pace,
}

/// Reads a body within its bounds.
///
/// # Errors
/// Why it is not taken, with what was read of it.
pub async fn read_body(
    body: &mut Payload,
    bounds: Bounds,
    room: &mut Taken<'_>,
) -> Result<Bytes, (Refusal, Bytes)> {
    let end = bounds
        .exactly
        .map_or(usize::MAX, |end| usize::try_from(end).unwrap_or(usize::MAX));
    let began = Instant::now();
    // Most bodies come in one piece, which is then not copied.
    let mut whole = Bytes::new();
    let mut gathered = BytesMut::new();
    loop {
        let read = whole.len() + gathered.len();
        if read == end {
            break;
        }
        let next = match body.next().now_or_never() {
            Some(next) => Ok(next),
            None => {
                room.wait().map_err(|no_room| (no_room.into(), Bytes::new()))?;
                timeout_at(began + bounds.pace.until(read), body.next()).await
            }
        };
        let piece = match next {
            Ok(Some(Ok(mut piece))) => {
                piece.truncate(end - read);
                piece
            }
            Ok(None) if bounds.exactly.is_some() => {
                return Err((Refusal::BodyUnreadable, beginning(whole, gathered)));
            }
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err((Refusal::BodyUnreadable, beginning(whole, gathered))),
            Err(_) => return Err((Refusal::BodyTimeout, beginning(whole, gathered))),
        };
        let length = read + piece.len();
        if length > bounds.most {
            return Err((Refusal::BodyTooLarge(bounds.most), beginning(whole, gathered)));
        }
        if read == 0 {
            whole = piece;
        } else {
            room.grow_to(length)
                .map_err(|no_room| (no_room.into(), Bytes::new()))?;
            gathered.extend_from_slice(&std::mem::take(&mut whole));
            gathered.extend_from_slice(&piece);
        }
    }
    Ok(beginning(whole, gathered))
}

/// Lets go of what has come of a body that nobody wants, so that the connection of a short one can go on: who is refused all
/// the time need not connect every time.
pub async fn discard(body: &mut Payload) {
    // The server hands over what it has read when the handler lets it.
    tokio::task::yield_now().await;
    while let Some(Some(Ok(_))) = body.next().now_or_never() {}
}

/// What was read.
fn beginning(whole: Bytes, gathered: BytesMut) -> Bytes {
    if gathered.is_empty() {
        whole
    } else {
        gathered.freeze()
    }
}

//! Reading a request's body, in bounded time and memory.

use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use crate::body_room::Taken;
use crate::pace::Pace;
use crate::refusal::Refusal;

/// Reads a body up to so many bytes, at a pace.
///
/// # Errors
/// Why it is not taken, with what was read of it.
pub async fn read_body(
    body: &mut Payload,
    limit: usize,
    pace: Pace,
    room: &mut Taken<'_>,
) -> Result<Bytes, (Refusal, Bytes)> {
    let began = Instant::now();
    // Most bodies come in one piece, which is then not copied.
    let mut whole = Bytes::new();
    let mut gathered = BytesMut::new();
    loop {
        let read = whole.len() + gathered.len();
        let piece = match timeout_at(began + pace.until(read), body.next()).await {
            Ok(Some(Ok(piece))) => piece,
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err((Refusal::BodyUnreadable, beginning(whole, gathered))),
            Err(_) => return Err((Refusal::BodyTimeout, beginning(whole, gathered))),
        };
        let length = read + piece.len();
        if length > limit {
            return Err((Refusal::BodyTooLarge(limit), beginning(whole, gathered)));
        }
        if read == 0 {
            whole = piece;
        } else if room.grow_to(length) {
            gathered.extend_from_slice(&std::mem::take(&mut whole));
            gathered.extend_from_slice(&piece);
        } else {
            return Err((Refusal::Overloaded, Bytes::new()));
        }
    }
    Ok(beginning(whole, gathered))
}

/// What was read.
fn beginning(whole: Bytes, gathered: BytesMut) -> Bytes {
    if gathered.is_empty() {
        whole
    } else {
        gathered.freeze()
    }
}

//! HTTP byte by byte, for what no client library would send.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection.
pub async fn connect(at: SocketAddr) -> TcpStream {
    TcpStream::connect(at).await.expect("a connection")
}

/// Sends pieces, one after the other.
pub async fn send(stream: &mut TcpStream, pieces: &[&[u8]]) {
    for piece in pieces {
        // The other end may refuse before it has read everything.
        let _ = stream.write_all(piece).await;
        tokio::task::yield_now().await;
    }
}

/// The status of the next answer; 0 when the connection ends before.
pub async fn next_status(stream: &mut TcpStream) -> u16 {
    let mut answer = [0; 16];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer));
    let read = read.await.expect("in time").unwrap_or(0);
    statuses(&String::from_utf8_lossy(&answer[..read]))
        .first()
        .copied()
        .unwrap_or(0)
}

/// Sends pieces over a connection of their own, and reads the status of the first answer; 0 for none.
pub async fn status_of(at: SocketAddr, pieces: &[&[u8]]) -> u16 {
    let mut stream = connect(at).await;
    send(&mut stream, pieces).await;
    next_status(&mut stream).await
}

/// All that still comes over a connection, which the other end must close.
pub async fn until_closed(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut all));
    // It may be reset after its last answer.
    let _ = read.await.expect("it is closed");
    String::from_utf8_lossy(&all).into_owned()
}

/// The statuses of answers.
pub fn statuses(answers: &str) -> Vec<u16> {
    let lines = answers.split("HTTP/1.").skip(1);
    lines.filter_map(|line| line.get(2..5)?.parse().ok()).collect()
}

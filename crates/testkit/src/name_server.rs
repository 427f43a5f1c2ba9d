//! A small name server for tests, for names that lead to receivers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// Answers each question for an IPv4 address, whatever the name, with the next of its answers, and the last one for ever. It ends
/// when this is dropped.
pub struct NameServer {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl NameServer {
    /// Starts it on a free port of 127.0.0.1, with one answer at least.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start(answers: Vec<Vec<Ipv4Addr>>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("its address");
        let asked = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&asked);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                let query = &buffer[..length];
                // Four bytes after the name's end: its type and class.
                let end = 12 + query[12..].iter().position(|byte| *byte == 0).expect("a name") + 5;
                let is_v4 = query[end - 4..end - 2] == [0, 1];
                let addresses = if is_v4 {
                    let place = count.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
                    answers[place].clone()
                } else {
                    Vec::new()
                };
                let mut answer = query[..2].to_vec();
                answer.extend([0x81, 0x80, 0, 1, 0, addresses.len() as u8, 0, 0, 0, 0]);
                answer.extend(&query[12..end]);
                for address in addresses {
                    // The name again, type A, class IN, no time to live.
                    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
                    answer.extend(address.octets());
                }
                let _ = socket.send_to(&answer, peer).await;
            }
        });
        Self {
            address,
            asked,
            _task: task,
        }
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often it was asked for an IPv4 address.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

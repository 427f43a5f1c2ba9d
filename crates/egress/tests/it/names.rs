//! Names, and the addresses that they lead to: an address that was judged is the one that is connected to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use hookgate_egress::{Client, Settings};
use hookgate_model::flow::step::http::HttpFailure;
use hookgate_testkit::Receiver;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use url::Url;

/// A name server that answers each question for an IPv4 address with the next of its answers, and the last one for ever.
struct NameServer {
    address: SocketAddr,
    asked: Arc<Mutex<usize>>,
    _task: JoinSet<()>,
}

impl NameServer {
    async fn start(answers: Vec<Vec<Ipv4Addr>>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("its address");
        let asked = Arc::<Mutex<usize>>::default();
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
                    let mut count = count.lock().expect("no panic");
                    *count += 1;
                    let place = (*count - 1).min(answers.len() - 1);
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

    fn client(&self, allowed: &[&str]) -> Client {
        let networks = allowed.iter().map(|network| network.parse().expect("a network"));
        Client::new(&Settings {
            allowed_private_networks: networks.collect(),
            name_servers: vec![self.address],
            ..Settings::default()
        })
        .expect("a client")
    }
}

fn url(host: &str, receiver: &Receiver) -> Url {
    let port = receiver.address().port();
    Url::parse(&format!("http://{host}:{port}/")).expect("a URL")
}

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

#[tokio::test]
async fn a_name_that_rebinds_after_it_was_judged_leads_nowhere_else() {
    let receiver = Receiver::start().await;
    // Allowed at first; then the address that an attacker wants to be called, on which nothing is allowed.
    let names = NameServer::start(vec![vec![LOCAL], vec![Ipv4Addr::new(127, 0, 0, 2)]]).await;
    let client = names.client(&["127.0.0.1/32"]);
    let answer = client
        .get(url("rebinding.test", &receiver))
        .await
        .expect("an answer");
    assert_eq!(
        answer.remote_addr().map(|peer| peer.ip()),
        Some(IpAddr::V4(LOCAL))
    );
    assert_eq!(
        *names.asked.lock().expect("no panic"),
        1,
        "one look-up for one connection"
    );
    // Another connection asks again, and is judged again.
    let client = names.client(&["127.0.0.1/32"]);
    let refused = client
        .get(url("rebinding.test", &receiver))
        .await
        .expect_err("refused");
    assert_eq!(refused.failure, HttpFailure::Refused);
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn one_address_that_is_not_allowed_spoils_the_name() {
    let receiver = Receiver::start().await;
    for hidden in [
        Ipv4Addr::new(169, 254, 169, 254),
        Ipv4Addr::new(10, 0, 0, 1),
        Ipv4Addr::UNSPECIFIED,
    ] {
        let names = NameServer::start(vec![vec![LOCAL, hidden]]).await;
        let client = names.client(&["127.0.0.1/32"]);
        let refused = client
            .get(url("mixed.test", &receiver))
            .await
            .expect_err("refused");
        assert_eq!(refused.failure, HttpFailure::Refused, "{hidden}");
    }
    assert_eq!(receiver.received().len(), 0);
}

#[tokio::test]
async fn no_spelling_of_a_private_address_gets_through() {
    let receiver = Receiver::start().await;
    let names = NameServer::start(vec![vec![LOCAL]]).await;
    let client = names.client(&[]);
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "0",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "a.localhost",
        "%6cocalhost",
        "①②⑦.0.0.1",
        "public.test@127.0.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fd00::1]",
        "named.test",
        "named.test.",
    ] {
        let refused = client.get(url(host, &receiver)).await.expect_err(host);
        assert_eq!(
            refused.failure,
            HttpFailure::Refused,
            "{host}: {}",
            refused.detail
        );
    }
    assert_eq!(receiver.received().len(), 0);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_leads_nowhere() {
    let (receiver, elsewhere) = (Receiver::start().await, Receiver::start().await);
    let names = NameServer::start(vec![vec![LOCAL]]).await;
    let client = names.client(&["127.0.0.1/32"]);
    for status in [301, 302, 303, 307, 308] {
        let reply = hookgate_testkit::receiver::Reply::status(status);
        receiver.script([reply.with_header("location", &elsewhere.url())]);
        let answer = client
            .get(url("redirecting.test", &receiver))
            .await
            .expect("an answer");
        assert_eq!(answer.status().as_u16(), status);
    }
    assert_eq!(elsewhere.received().len(), 0);
}

//! Names, and the addresses that they lead to: an address that was judged is the one that is connected to.

use std::net::{IpAddr, Ipv4Addr};

use hookgate_egress::{Client, Settings};
use hookgate_model::flow::step::http::HttpFailure;
use hookgate_testkit::{NameServer, Receiver};
use url::Url;

fn client_asking(names: &NameServer, allowed: &[&str]) -> Client {
    let networks = allowed.iter().map(|network| network.parse().expect("a network"));
    Client::new(&Settings {
        allowed_private_networks: networks.collect(),
        name_servers: vec![names.address()],
        ..Settings::default()
    })
    .expect("a client")
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
    let client = client_asking(&names, &["127.0.0.1/32"]);
    let answer = client
        .get(url("rebinding.test", &receiver))
        .await
        .expect("an answer");
    assert_eq!(
        answer.remote_addr().map(|peer| peer.ip()),
        Some(IpAddr::V4(LOCAL))
    );
    assert_eq!(names.asked(), 1, "one look-up for one connection");
    // Another connection asks again, and is judged again.
    let client = client_asking(&names, &["127.0.0.1/32"]);
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
        let client = client_asking(&names, &["127.0.0.1/32"]);
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
    let client = client_asking(&names, &[]);
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
    let client = client_asking(&names, &["127.0.0.1/32"]);
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

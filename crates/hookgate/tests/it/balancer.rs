//! One of two of each service is restarted or killed at a time, under load.

use hookgate_testkit::TestDatabase;

use crate::cluster::{CLIENTS, Cluster, SENDERS};
use crate::installation::Service;
use crate::process::HOOKGATE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_fail_no_request_and_kills_only_those_in_flight() {
    let database = TestDatabase::create();
    let mut cluster = Cluster::start(&database, HOOKGATE.as_ref()).await;

    let none = |name: &str, failures: Vec<String>| assert_eq!(failures, [""; 0], "{name} was restarted");
    cluster.roll(Service::stop, none).await;
    let (before, listed) = cluster.answered();
    assert!(before > 100 && listed > 50, "{before} events, {listed} lists");

    let mut in_flight = 0;
    let few = |name: &str, failures: Vec<String>| {
        // One each, and another one of who asks again while the system still closes the connections of the one that is dead.
        let most = match name {
            "ingress" => 2 * SENDERS,
            "management" => 2 * CLIENTS,
            _ => 0,
        };
        assert!(failures.len() <= most, "{name} was killed: {failures:?}");
        in_flight += failures.len();
    };
    cluster.roll(Service::kill, few).await;
    let (acknowledged, listed) = cluster.answered();
    println!(
        "{acknowledged} events acknowledged, {listed} lists answered, {in_flight} requests failed of those in flight at the kills"
    );
    assert!(acknowledged > before);
    cluster.finish(&database).await;
}

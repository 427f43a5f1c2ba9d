//! Failures of whoever guesses: free ones, then pauses that double, counted by Redis.

use std::time::Duration;

use hookgate_testkit::{TestDatabase, eventually};

const WINDOW: Duration = Duration::from_secs(900);

#[tokio::test]
async fn pauses_begin_with_the_last_free_failure_and_double() {
    let database = TestDatabase::create();
    let redis = database.redis();
    let fail = async || redis.fail("there", "ada", 2, WINDOW).await.expect("Redis");
    assert_eq!((fail().await, fail().await), (None, None));
    let first = fail().await.expect("a pause");
    assert!(first <= Duration::from_secs(1), "{first:?}");
    // What comes within a pause does not make it longer.
    assert!(fail().await.expect("a pause") <= first);
    eventually(Duration::from_secs(10), "the pause ends", async || {
        fail().await.is_none().then_some(())
    })
    .await;
    let second = fail().await.expect("a pause");
    assert!(
        second > Duration::from_secs(1) && second <= Duration::from_secs(2),
        "{second:?}"
    );
    assert_eq!(redis.fail("there", "eve", 2, WINDOW).await.expect("Redis"), None);
    assert_eq!(
        redis.fail("network", "ada", 2, WINDOW).await.expect("Redis"),
        None
    );
}

#[tokio::test]
async fn what_did_not_fail_is_taken_back() {
    let database = TestDatabase::create();
    let redis = database.redis();
    for _ in 0..5 {
        assert_eq!(redis.fail("network", "a", 2, WINDOW).await.expect("Redis"), None);
        redis.take_failure_back("network", "a").await.expect("Redis");
    }
    redis.take_failure_back("network", "nobody").await.expect("Redis");
    for _ in 0..2 {
        assert_eq!(redis.fail("network", "a", 2, WINDOW).await.expect("Redis"), None);
    }
    assert!(
        redis
            .fail("network", "a", 2, WINDOW)
            .await
            .expect("Redis")
            .is_some()
    );
    redis.forget_failures("network", "a").await.expect("Redis");
    assert_eq!(redis.fail("network", "a", 2, WINDOW).await.expect("Redis"), None);
}

//! Tokens that nodes draw from Redis.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use hookgate_domain::redis::Redis;
use hookgate_domain::redis::draws::{Counted, QuotaDraw, QuotaDrawn, RateDraw};
use hookgate_model::ids::TenantId;
use hookgate_model::rate::Rate;
use hookgate_testkit::TestDatabase;
use uuid::Uuid;

fn rate(per_second: u32, burst: u32) -> Rate {
    Rate {
        per_second: NonZeroU32::new(per_second).expect("not zero"),
        burst: NonZeroU32::new(burst).expect("not zero"),
    }
}

fn wish(of: u128, rate: Rate, wanted: u32) -> RateDraw {
    RateDraw {
        of: Uuid::from_u128(of),
        rate,
        wanted,
        owed: 0,
    }
}

#[tokio::test]
async fn draws_of_a_rate_are_counted_together_and_apart_from_others() {
    let redis = TestDatabase::create().redis();
    let slow = rate(1, 10);
    let drawn = redis
        .draw_rates(&[wish(1, slow, 4), wish(2, slow, 10), wish(1, slow, 8)])
        .await
        .expect("drawn");
    let granted: Vec<_> = drawn.iter().map(|drawn| drawn.granted).collect();
    assert_eq!(granted, [4, 10, 6]);
    assert!(drawn[2].unused_in > Duration::from_millis(9_900), "{drawn:?}");
    // What was let through without asking counts, too.
    let owing = RateDraw {
        owed: 7,
        ..wish(3, slow, 9)
    };
    assert_eq!(redis.draw_rates(&[owing]).await.expect("drawn")[0].granted, 3);
    // A lowered limit counts at once.
    let lowered = redis.draw_rates(&[wish(2, rate(1, 2), 1)]).await.expect("drawn");
    assert_eq!(lowered[0].granted, 0);
    assert!(lowered[0].unused_in <= Duration::from_secs(2), "{lowered:?}");
}

#[tokio::test]
async fn a_rate_is_kept_over_time_by_drawers_who_do_not_know_of_each_other() {
    let database = TestDatabase::create();
    let limit = rate(2_000, 50);
    let began = Instant::now();
    let drawer = async |redis: Redis| {
        let mut granted = 0;
        while began.elapsed() < Duration::from_millis(500) {
            granted += redis.draw_rates(&[wish(1, limit, 7)]).await.expect("drawn")[0].granted;
        }
        granted
    };
    let (one, other) = tokio::join!(drawer(database.redis()), drawer(database.redis()));
    let most = 50.0 + 2_000.0 * began.elapsed().as_secs_f64() + 1.0;
    let sum = f64::from(one + other);
    assert!(sum <= most, "{sum} of at most {most}");
    assert!(sum >= most * 0.95, "{sum} of {most}: the rate is not used up");
}

#[tokio::test]
async fn a_quota_is_counted_from_what_postgres_knows() {
    let database = TestDatabase::create();
    let redis = database.redis();
    let draw = |known, wanted| QuotaDraw {
        tenant: TenantId::from(Uuid::from_u128(7)),
        counted: Counted::Events,
        month: (2026, 11),
        most: 100,
        known,
        is_fresh: true,
        wanted,
    };
    let drawn = async |draw| redis.draw_quotas(&[draw]).await.expect("drawn")[0];
    let told = |granted, left| Some(QuotaDrawn { granted, left });
    let stale = QuotaDraw {
        is_fresh: false,
        ..draw(30, 50)
    };
    assert_eq!(drawn(stale).await, None, "nobody has counted yet");
    assert_eq!(drawn(draw(30, 50)).await, told(50, 20));
    assert_eq!(drawn(draw(30, 50)).await, told(20, 0));
    assert_eq!(drawn(draw(30, -15)).await, told(0, 15));
    assert_eq!(drawn(draw(30, 50)).await, told(15, 0));
    assert_eq!(drawn(draw(30, 1)).await, told(0, 0));
    // Of what Redis forgot, Postgres knows the most.
    database.wipe_redis().await;
    assert_eq!(drawn(stale).await, None);
    assert_eq!(drawn(draw(95, 50)).await, told(5, 0));
    // A lowered quota gives nothing, and takes nothing away.
    let lowered = QuotaDraw {
        most: 10,
        ..draw(95, 50)
    };
    assert_eq!(drawn(lowered).await, told(0, 0));
    // Another month, and another thing that is counted, have a count of their own.
    let other = QuotaDraw {
        month: (2026, 12),
        ..draw(0, 1)
    };
    assert_eq!(drawn(other).await, told(1, 99));
    let other = QuotaDraw {
        counted: Counted::BodyBytes,
        ..draw(0, 1)
    };
    assert_eq!(drawn(other).await, told(1, 99));
}

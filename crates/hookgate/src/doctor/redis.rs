//! Redis: that it answers, keeps within its memory without refusing, and tells the right time.

use std::time::Duration;

use hookgate_domain::redis::server::Server;

use super::finding::Report;
use super::judge_clock;
use crate::settings::Settings;

/// How long it may take to answer.
const WITHIN: Duration = Duration::from_secs(5);
/// The oldest version that the tests have been run with.
const OLDEST: (u32, u32) = (6, 2);

pub(super) async fn look(settings: &Settings, report: &mut Report) {
    const CHECK: &str = "redis";
    let redis = match settings.redis() {
        Ok(redis) => redis,
        Err(error) => return report.error(CHECK, format!("{error:#}"), "set it, the same for all services"),
    };
    match tokio::time::timeout(WITHIN, redis.server()).await {
        Ok(Ok(server)) => judge(&server, report),
        // What it says may repeat what the URL names.
        Ok(Err(_)) | Err(_) => report.error(
            CHECK,
            "does not answer, or not to these credentials; wake-ups and answers are slower, limits hold per node",
            "start it, or correct redis.url (HOOKGATE_REDIS__URL)",
        ),
    }
}

fn judge(server: &Server, report: &mut Report) {
    let mut numbers = server
        .version
        .split('.')
        .map_while(|part| part.parse::<u32>().ok());
    let version = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    let named = format!("version {}", server.version);
    if version < OLDEST {
        let oldest = format!("install {}.{} or newer", OLDEST.0, OLDEST.1);
        report.error("redis.version", named, oldest);
    } else {
        report.ok("redis.version", named);
    }
    let memory = format!(
        "{} MiB of {}, {}",
        server.used_memory >> 20,
        match server.maxmemory {
            0 => "no bound".to_owned(),
            most => format!("{} MiB", most >> 20),
        },
        server.maxmemory_policy
    );
    if server.maxmemory > 0 && server.maxmemory_policy == "noeviction" {
        report.warning(
            "redis.memory",
            memory,
            "set maxmemory-policy to allkeys-lru: nothing in it is a fact, and a full Redis refuses to take more",
        );
    } else {
        report.ok("redis.memory", memory);
    }
    judge_clock("redis.clock", server.clock, report);
}

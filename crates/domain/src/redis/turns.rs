//! Whose turn it is to call a destination: its circuit breaker, how many calls are under way at the same time, and its rate,
//! shared by all workers. Redis may lose all of it: a closed circuit and an unused limit are what is left then.
//!
//! Redis' own clock counts, so the workers' clocks need not agree.

use std::time::Duration;

use hookgate_model::ids::{DestinationId, TenantId};
use uuid::Uuid;

use super::Redis;
use super::script::Script;
use crate::error::Result;

/// How long a call may be under way before it counts as lost with its worker: longer than any attempt may take.
pub const CALL_MOST: Duration = Duration::from_secs(75);
/// How far ahead turns are given out that a rate allows later; what would come after asks again.
pub const AHEAD_MOST: Duration = Duration::from_secs(3600);
/// How long a call waits at most for one of those under way before it asks again.
const BUSY_MOST: Duration = Duration::from_secs(60);
/// While the oldest call is under way for no longer than this, calls turn over quickly, and waiting in place is right.
const QUICK: Duration = Duration::from_millis(250);
/// How soon others ask again while one call tries whether the circuit can close.
const PROBE_WAIT: Duration = Duration::from_secs(5);
/// How long what is known of a destination is kept after its last call.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// Asks for a turn. Times are in milliseconds since some moment of 2025.
///
/// The hash holds: `open_until` and `opened`, since when the circuit is open and how often it opened in a row; `probe_until`,
/// while one call tries whether it can close; `failures` in a row; `usual`, what a call takes, on the average; `turn`, when
/// the last of those who wait for one under way may ask again; `unused_at` of the rate's GCRA. The sorted set holds the calls
/// under way by their beginning.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = (time[1] - 1760000000) * 1000 + time[2] / 1000
local state, calls = KEYS[1], KEYS[1] .. ':calls'
local function number(field) return tonumber(redis.call('HGET', state, field) or 0) end
local function put(field, value) redis.call('HSET', state, field, string.format('%.3f', value)) end
local most, interval, window, has_turn = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1'
local call_most, busy_most, ahead_most, quick, kept, probe_wait = tonumber(ARGV[6]), tonumber(ARGV[7]),
  tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local open_until, probe_until = number('open_until'), number('probe_until')
if open_until > now then return {1, math.ceil(open_until - now)} end
if open_until > 0 and probe_until > now then return {1, math.ceil(math.min(probe_until - now, probe_wait))} end
redis.call('ZREMRANGEBYSCORE', calls, '-inf', now - call_most)
if redis.call('ZCARD', calls) >= most then
  local turn = math.max(number('turn'), now) + math.max(number('usual'), 1) / most
  if turn > now + busy_most then turn = now + busy_most end
  put('turn', turn)
  redis.call('PEXPIRE', state, kept)
  local oldest = tonumber(redis.call('ZRANGE', calls, 0, 0, 'WITHSCORES')[2])
  return {now - oldest < quick and 2 or 3, math.ceil(turn - now)}
end
if interval > 0 and not has_turn then
  local unused_at = math.max(number('unused_at'), now) + interval
  local wait = unused_at - window - now
  if wait > ahead_most then return {5, ahead_most} end
  put('unused_at', unused_at)
  redis.call('PEXPIRE', state, kept)
  if wait > 0 then return {4, math.ceil(wait)} end
end
if open_until > 0 then put('probe_until', now + call_most) end
redis.call('ZADD', calls, now, ARGV[1])
redis.call('PEXPIRE', calls, call_most)
return {0, 0}
";

/// Gives a turn back: with a success (1), a failure (0), or neither. Says for how long the circuit opened, if it did.
const GIVE: &str = r"
local time = redis.call('TIME')
local now = (time[1] - 1760000000) * 1000 + time[2] / 1000
local state, calls = KEYS[1], KEYS[1] .. ':calls'
local function number(field) return tonumber(redis.call('HGET', state, field) or 0) end
local function put(field, value) redis.call('HSET', state, field, string.format('%.3f', value)) end
local outcome, took, failures, first, longest, kept =
  ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
if redis.call('ZREM', calls, ARGV[1]) == 0 then return {0, 0} end
put('usual', number('usual') * 0.8 + took * 0.2)
redis.call('PEXPIRE', state, kept)
local open_until = number('open_until')
if outcome == '1' then
  redis.call('HDEL', state, 'failures', 'open_until', 'opened', 'probe_until')
elseif outcome == '0' then
  if redis.call('HINCRBY', state, 'failures', 1) >= failures and open_until <= now then
    local open = math.min(first * 2 ^ number('opened'), longest)
    redis.call('HINCRBY', state, 'opened', 1)
    put('open_until', now + open)
    redis.call('HDEL', state, 'probe_until')
    return {1, math.ceil(open)}
  end
elseif open_until > 0 then
  redis.call('HDEL', state, 'probe_until')
end
return {0, 0}
";

static TAKE_SCRIPT: Script = Script::new(TAKE);
static GIVE_SCRIPT: Script = Script::new(GIVE);

/// A call that wants its turn.
#[derive(Debug, Clone, Copy)]
pub struct TurnWish {
    /// The destination.
    pub of: (TenantId, DestinationId),
    /// The call.
    pub call: Uuid,
    /// How many calls may be under way at the same time.
    pub at_once: u32,
    /// How many calls there may be in a second; at most so many come at once.
    pub per_second: Option<u32>,
    /// Whether it has waited for the turn that it was given: the rate has counted it.
    pub has_turn: bool,
}

/// The answer to a [`TurnWish`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is the call's turn, until it gives it back.
    Now,
    /// The circuit is open, or one call tries whether it can close: ask again after this.
    Open(Duration),
    /// As many calls as may be are under way, and end quickly: ask again after this.
    Soon(Duration),
    /// As many calls as may be are under way: ask again after this.
    Busy(Duration),
    /// The rate lets it through after this. It need not be counted again then.
    At(Duration),
    /// The rate lets nothing more through for long: ask again after this.
    Later(Duration),
}

/// What a call came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// The destination answered, whatever it said.
    Answered,
    /// It did not, or said that it is in trouble.
    Failed,
    /// The call was not made, or its end says nothing of the destination.
    Neither,
}

/// When circuits open.
#[derive(Debug, Clone, Copy)]
pub struct Breaker {
    /// After so many failures in a row.
    pub failures: u32,
    /// For so long, the first time. It doubles each time that the call that tries fails.
    pub open_first: Duration,
    /// For so long at most.
    pub open_most: Duration,
}

fn key(redis: &Redis, (tenant, destination): (TenantId, DestinationId)) -> String {
    // The braces keep both keys in one slot of a cluster.
    redis.name(&format!(
        "hookgate:turns:{{{}/{}}}",
        tenant.uuid(),
        destination.uuid()
    ))
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

impl Redis {
    /// Asks whether it is a call's turn.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn take_turn(&self, wish: &TurnWish) -> Result<Turn> {
        let interval = wish
            .per_second
            .map_or(0.0, |rate| 1000.0 / f64::from(rate.max(1)));
        let arguments = vec![
            wish.call.to_string(),
            wish.at_once.max(1).to_string(),
            format!("{interval:.3}"),
            "1000".to_owned(),
            u8::from(wish.has_turn).to_string(),
            millis(CALL_MOST),
            millis(BUSY_MOST),
            millis(AHEAD_MOST),
            millis(QUICK),
            millis(KEPT),
            millis(PROBE_WAIT),
        ];
        let answers = TAKE_SCRIPT.run(self, &[(key(self, wish.of), arguments)]).await?;
        let (kind, wait) = answers.first().copied().unwrap_or_default();
        let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(0));
        Ok(match kind {
            1 => Turn::Open(wait),
            2 => Turn::Soon(wait),
            3 => Turn::Busy(wait),
            4 => Turn::At(wait),
            5 => Turn::Later(wait),
            _ => Turn::Now,
        })
    }

    /// Forgets what is known of a destination: its circuit is closed, its limits are unused.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn forget_turns(&self, of: (TenantId, DestinationId)) -> Result<()> {
        let mut connection = self.connection().await?;
        let forget = redis::cmd("DEL").arg(key(self, of)).to_owned();
        Ok(forget.query_async(&mut connection).await?)
    }

    /// Gives a turn back. Says for how long the circuit opened, if it did.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn give_turn(
        &self,
        of: (TenantId, DestinationId),
        call: Uuid,
        outcome: CallOutcome,
        took: Duration,
        breaker: &Breaker,
    ) -> Result<Option<Duration>> {
        let outcome = match outcome {
            CallOutcome::Answered => "1",
            CallOutcome::Failed => "0",
            CallOutcome::Neither => "-",
        };
        let arguments = vec![
            call.to_string(),
            outcome.to_owned(),
            millis(took),
            breaker.failures.max(1).to_string(),
            millis(breaker.open_first),
            millis(breaker.open_most),
            millis(KEPT),
        ];
        let answers = GIVE_SCRIPT.run(self, &[(key(self, of), arguments)]).await?;
        let (opened, wait) = answers.first().copied().unwrap_or_default();
        Ok((opened == 1).then(|| Duration::from_millis(u64::try_from(wait).unwrap_or(0))))
    }
}

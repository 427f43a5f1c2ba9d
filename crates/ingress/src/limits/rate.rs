//! A rate that all nodes share, as one node keeps it: tokens that it has drawn from Redis and not used, and what it knows
//! of the limit's state.
//!
//! A request takes a token, which is a few atomic operations. Tokens are drawn ahead when they run low: as many as were used
//! lately, at most for a twentieth of a second, and never more than a quarter of the burst. So all nodes together let
//! through at most `burst + t × rate` in any time `t`, and for each node what it may have drawn ahead. Only a request that
//! finds no token, and does not know that there is none to be had, waits for a draw.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hookgate_domain::redis::draws::{RateDraw, RateDrawn};
use hookgate_model::rate::Rate;
use tokio::sync::Notify;
use uuid::Uuid;

use super::drawer::Drawer;
use super::exceeded::{Exceeded, Whose};

/// For how long requests are foreseen, in nanoseconds.
const AHEAD: u64 = 50_000_000;
/// How long drawn tokens count, in nanoseconds.
const KEPT: u64 = 1_000_000_000;
/// How soon at the earliest Redis is asked again when it had too few, in nanoseconds.
const PAUSE: u64 = 5_000_000;
/// How long a request waits for a draw before this node decides alone.
const PATIENCE: Duration = Duration::from_millis(100);

/// A rate, shared by all nodes. Moments are nanoseconds since the process began to look at the clock.
pub struct SharedRate {
    whose: Whose,
    of: Uuid,
    rate: Rate,
    /// Tokens that are drawn and not used.
    tokens: AtomicU32,
    /// Fewer than this, and more are drawn.
    low: AtomicU32,
    /// When the last draw was answered.
    drawn_at: AtomicU64,
    /// Requests since then.
    used: AtomicU32,
    /// Until when there is nothing to be had.
    refused_until: AtomicU64,
    /// When the limit would be unused, as far as this node knows; all that there is while Redis is away.
    unused_at: AtomicU64,
    /// What this node let through without asking, which is still to be told.
    owed: AtomicU32,
    /// Requests that wait for a draw.
    waiting: AtomicU32,
    /// Whether a draw is on its way.
    drawing: AtomicBool,
    told: Notify,
}

/// What a request gets without waiting.
enum Attempt {
    Passes { draw: bool },
    Refused(Duration),
    Unknown,
}

impl SharedRate {
    /// A rate of which this node knows what it knew of the one before, if there was one.
    pub fn new(whose: Whose, of: Uuid, rate: Rate, before: Option<&Self>) -> Self {
        let known =
            |of: fn(&Self) -> &AtomicU64| before.map_or(0, |before| of(before).load(Ordering::Relaxed));
        Self {
            whose,
            of,
            rate,
            tokens: AtomicU32::new(0),
            low: AtomicU32::new(0),
            drawn_at: AtomicU64::new(0),
            used: AtomicU32::new(0),
            refused_until: AtomicU64::new(0),
            unused_at: AtomicU64::new(known(|before| &before.unused_at)),
            owed: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            drawing: AtomicBool::new(false),
            told: Notify::new(),
        }
    }

    /// What it allows.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Whether forgetting it changes nothing.
    pub fn is_unused(&self) -> bool {
        let now = clock();
        self.unused_at.load(Ordering::Relaxed) <= now && self.drawn_at.load(Ordering::Relaxed) + KEPT <= now
    }

    /// Lets one request through, or not.
    ///
    /// # Errors
    /// [`Exceeded`] when it may not pass now.
    pub async fn take(self: &Arc<Self>, drawer: &Drawer) -> Result<(), Exceeded> {
        match self.attempt(clock(), drawer.is_alone()) {
            Attempt::Passes { draw } => {
                if draw {
                    drawer.draw(self);
                }
                Ok(())
            }
            Attempt::Refused(retry_after) => Err(self.exceeded(retry_after)),
            Attempt::Unknown => self.wait(drawer).await,
        }
    }

    /// Takes back that a request was let through: another limit refused it.
    pub fn give_back(&self) {
        self.tokens.fetch_add(1, Ordering::Relaxed);
    }

    async fn wait(self: &Arc<Self>, drawer: &Drawer) -> Result<(), Exceeded> {
        let _in_line = InLine::new(&self.waiting);
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let mut told = std::pin::pin!(self.told.notified());
            told.as_mut().enable();
            match self.attempt(clock(), drawer.is_alone()) {
                Attempt::Passes { .. } => return Ok(()),
                Attempt::Refused(retry_after) => return Err(self.exceeded(retry_after)),
                Attempt::Unknown => drawer.draw(self),
            }
            if tokio::time::timeout_at(deadline, told).await.is_err() {
                return self.decide_alone(clock()).map_err(|after| self.exceeded(after));
            }
        }
    }

    fn attempt(&self, now: u64, is_alone: bool) -> Attempt {
        if now.saturating_sub(self.drawn_at.load(Ordering::Relaxed)) < KEPT {
            let before = self
                .tokens
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| {
                    tokens.checked_sub(1)
                });
            if let Ok(before) = before {
                self.used.fetch_add(1, Ordering::Relaxed);
                let low = before <= self.low.load(Ordering::Relaxed);
                return Attempt::Passes {
                    draw: low && !is_alone,
                };
            }
        }
        let until = self.refused_until.load(Ordering::Relaxed);
        if until > now {
            return Attempt::Refused(Duration::from_nanos(until - now));
        }
        if is_alone {
            return match self.decide_alone(now) {
                Ok(()) => Attempt::Passes { draw: false },
                Err(retry_after) => Attempt::Refused(retry_after),
            };
        }
        Attempt::Unknown
    }

    /// Decides by what this node knows. It notes what it lets through, so that it can be told later.
    fn decide_alone(&self, now: u64) -> Result<(), Duration> {
        let taken = self
            .unused_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |unused_at| {
                let decision = self.rate.take(unused_at, now, 1);
                (decision.granted == 1).then_some(decision.unused_at)
            });
        match taken {
            Ok(_) => {
                self.owed.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(unused_at) => Err(self.rate.retry_after(unused_at, now)),
        }
    }

    const fn exceeded(&self, retry_after: Duration) -> Exceeded {
        Exceeded::Rate {
            whose: self.whose,
            rate: self.rate,
            retry_after,
        }
    }

    /// Marks it as about to be drawn; false when it is already.
    pub(super) fn begin_draw(&self) -> bool {
        !self.drawing.swap(true, Ordering::Relaxed)
    }

    /// What to ask of Redis.
    pub(super) fn wish(&self) -> RateDraw {
        let now = clock();
        let since = now
            .saturating_sub(self.drawn_at.load(Ordering::Relaxed))
            .max(AHEAD);
        let used = u64::from(self.used.swap(0, Ordering::Relaxed));
        let ahead = u32::try_from(2 * used * AHEAD / since).unwrap_or(u32::MAX);
        let known = self.unused_at.load(Ordering::Relaxed);
        let in_use = self.rate.burst.get() - self.rate.remaining(known, now).min(self.rate.burst.get());
        RateDraw {
            of: self.of,
            rate: self.rate,
            wanted: self
                .waiting
                .load(Ordering::Relaxed)
                .saturating_add(ahead.min(most_ahead(self.rate))),
            // What was let through longer ago than the limit remembers is forgotten here, too.
            owed: self.owed.swap(0, Ordering::Relaxed).min(in_use),
        }
    }

    /// Notes what Redis answered, and wakes those who wait for it.
    pub(super) fn end_draw(&self, wish: &RateDraw, drawn: &RateDrawn) {
        let now = clock();
        let unused_in = u64::try_from(drawn.unused_in.as_nanos()).unwrap_or(u64::MAX);
        let unused_at = now.saturating_add(unused_in);
        self.unused_at.store(unused_at, Ordering::Relaxed);
        // What was drawn long ago and not used does not count any more.
        if now.saturating_sub(self.drawn_at.swap(now, Ordering::Relaxed)) >= KEPT {
            self.tokens.store(0, Ordering::Relaxed);
        }
        let ahead = drawn.granted.saturating_sub(self.waiting.load(Ordering::Relaxed));
        self.low.store(ahead / 2, Ordering::Relaxed);
        self.tokens.fetch_add(drawn.granted, Ordering::Relaxed);
        if drawn.granted < wish.wanted {
            let retry_after = u64::try_from(self.rate.retry_after(unused_at, now).as_nanos()).unwrap_or(0);
            let pause = PAUSE.min(self.rate.window() / 2);
            self.refused_until
                .store(now + retry_after.max(pause), Ordering::Relaxed);
        }
        self.drawing.store(false, Ordering::Relaxed);
        self.told.notify_waiters();
    }

    /// Notes that Redis did not answer.
    pub(super) fn fail_draw(&self, wish: &RateDraw) {
        self.owed.fetch_add(wish.owed, Ordering::Relaxed);
        self.drawing.store(false, Ordering::Relaxed);
        self.told.notify_waiters();
    }
}

/// The most tokens that a node draws ahead, and so what it may let through beyond the rate.
pub fn most_ahead(rate: Rate) -> u32 {
    let of = |number: NonZeroU32, part| number.get() / part;
    of(rate.per_second, 20).min(of(rate.burst, 4))
}

fn clock() -> u64 {
    static BEGAN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    // A little later than zero: zero is before everything.
    let since = BEGAN.get_or_init(Instant::now).elapsed() + Duration::from_nanos(2 * KEPT);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// A place in the line of those who wait; given up when dropped.
struct InLine<'a>(&'a AtomicU32);

impl<'a> InLine<'a> {
    fn new(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

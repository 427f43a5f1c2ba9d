//! What a tenant may use in a month, as one node keeps it: a part that it has drawn from Redis and not used.
//!
//! What nodes draw they share exactly. They draw for about a second ahead, less the less is left, and give back what they
//! do not use. Only after Redis has forgotten the count can more be used: what nodes had drawn, and what they had not yet
//! written to Postgres, where the count begins again.

use std::time::{Duration, Instant};

use chrono::{DateTime, Datelike, Utc};
use hookgate_domain::redis::draws::{Counted, QuotaDraw, QuotaDrawn};
use hookgate_domain::scope::TenantScope;
use hookgate_domain::usage::{Month, next_month};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::exceeded::Exceeded;

/// How long "not enough is left" is believed.
const BELIEVED: Duration = Duration::from_secs(1);
/// For how long use is foreseen.
const AHEAD: Duration = Duration::from_secs(1);
/// A node draws ahead no more than this part of what is left.
const PART_AHEAD: u64 = 16;
/// How old what Postgres knows may be.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// A month, as year and number.
pub type MonthNumber = (i32, u32);

/// A quota, shared by all nodes.
pub struct SharedQuota {
    /// The tenant.
    pub scope: TenantScope,
    counted: Counted,
    state: Mutex<State>,
    /// Notified when a draw has ended.
    pub told: Notify,
}

#[derive(Debug, Default)]
struct State {
    most: u64,
    month: MonthNumber,
    /// What is drawn and not used.
    tokens: u64,
    /// What was left for others at the last draw.
    left: u64,
    /// When that was answered.
    drawn_at: Option<Instant>,
    /// What was used since.
    used: u64,
    /// What is wanted by those who wait for a draw.
    wanted: u64,
    /// Whether a draw is on its way.
    is_drawing: bool,
    known: Option<Known>,
}

/// What Postgres knew to be used.
#[derive(Debug, Clone, Copy)]
struct Known {
    used: u64,
    at: Instant,
}

/// What a request gets without waiting.
#[derive(Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It is in; when `draw`, it is time to draw.
    Passes {
        /// Whether little is left here.
        draw: bool,
    },
    /// It is not.
    Refused,
    /// Nobody knows without a draw.
    Unknown,
}

impl SharedQuota {
    /// A quota that nothing is known of.
    pub fn new(scope: TenantScope, counted: Counted) -> Self {
        Self {
            scope,
            counted,
            state: Mutex::default(),
            told: Notify::new(),
        }
    }

    /// What it counts.
    pub const fn counted(&self) -> Counted {
        self.counted
    }

    /// Whether forgetting it would lose something.
    pub fn has_tokens(&self) -> bool {
        self.state.lock().tokens > 0
    }

    /// Sets how much it is. What was believed of another amount is asked again.
    pub fn set_most(&self, most: u64) {
        let mut state = self.state.lock();
        if state.most != most {
            state.most = most;
            state.drawn_at = None;
        }
    }

    /// Whether so much is known not to be left.
    pub fn is_used_up(&self, amount: u64, now: DateTime<Utc>) -> bool {
        let mut state = self.state.lock();
        state.turn_to(month_of(now));
        state.refuses(amount)
    }

    /// Takes so much, if it is here.
    pub fn attempt(&self, amount: u64, now: DateTime<Utc>) -> Attempt {
        let mut state = self.state.lock();
        state.turn_to(month_of(now));
        if let Some(rest) = state.tokens.checked_sub(amount) {
            state.tokens = rest;
            state.used = state.used.saturating_add(amount);
            // What is here may last for half of the time that is foreseen.
            let draw = rest < state.ahead() / 2;
            return Attempt::Passes { draw };
        }
        if state.refuses(amount) {
            Attempt::Refused
        } else {
            Attempt::Unknown
        }
    }

    /// Adds to what those who wait want; the same below zero when one of them leaves.
    pub fn want(&self, amount: u64, more: bool) {
        let mut state = self.state.lock();
        state.wanted = if more {
            state.wanted.saturating_add(amount)
        } else {
            state.wanted.saturating_sub(amount)
        };
    }

    /// Puts back what was taken in this month.
    pub fn put_back(&self, amount: u64, taken_at: DateTime<Utc>) {
        let mut state = self.state.lock();
        if state.month == month_of(taken_at) {
            state.tokens = state.tokens.saturating_add(amount);
            state.used = state.used.saturating_sub(amount);
        }
    }

    /// Why a request is refused.
    pub fn exceeded(&self, now: DateTime<Utc>) -> Exceeded {
        Exceeded::Quota {
            counted: self.counted,
            most: self.state.lock().most,
            retry_after: (next_month(now) - now).to_std().unwrap_or_default(),
        }
    }

    /// Marks it as about to be drawn; false when it is already.
    pub fn begin_draw(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().is_drawing, true)
    }

    /// Whether Postgres must be asked what is used.
    pub fn needs_knowledge(&self) -> bool {
        let known = self.state.lock().known;
        known.is_none_or(|known| known.at.elapsed() >= KNOWN_FOR)
    }

    /// Notes what Postgres knows of a month.
    pub fn learn(&self, number: MonthNumber, month: Month) {
        let mut state = self.state.lock();
        if state.month == number {
            state.known = Some(Known {
                used: match self.counted {
                    Counted::Events => month.events,
                    Counted::BodyBytes => month.body_bytes,
                },
                at: Instant::now(),
            });
        }
    }

    /// What to ask of Redis.
    pub fn wish(&self, is_fresh: bool) -> QuotaDraw {
        let state = self.state.lock();
        let wanted = state.wanted.saturating_add(state.ahead());
        QuotaDraw {
            wanted: i64::try_from(wanted).unwrap_or(i64::MAX),
            ..self.draw_of(&state, is_fresh)
        }
    }

    /// What to give back: all that is here, when it was drawn long ago or this node ends.
    pub fn give_back(&self, is_end: bool) -> Option<QuotaDraw> {
        let mut state = self.state.lock();
        let is_old = state.drawn_at.is_none_or(|at| at.elapsed() >= AHEAD * 5);
        if state.tokens == 0 || state.is_drawing || !(is_old || is_end) {
            return None;
        }
        let draw = QuotaDraw {
            wanted: i64::try_from(state.tokens).map_or(i64::MIN, |tokens| -tokens),
            ..self.draw_of(&state, false)
        };
        state.tokens = 0;
        Some(draw)
    }

    fn draw_of(&self, state: &State, is_fresh: bool) -> QuotaDraw {
        QuotaDraw {
            tenant: self.scope.tenant(),
            counted: self.counted,
            month: state.month,
            most: state.most,
            known: state.known.map_or(0, |known| known.used),
            is_fresh,
            wanted: 0,
        }
    }

    /// What may be used by what Postgres knows, while Redis is away: this node does not know what others are using.
    pub fn draw_alone(&self, wish: &QuotaDraw) -> QuotaDrawn {
        let state = self.state.lock();
        let left = state.most.saturating_sub(wish.known).saturating_sub(state.tokens);
        let granted = u64::try_from(wish.wanted).unwrap_or(0).min(left);
        QuotaDrawn {
            granted,
            left: left - granted,
        }
    }

    /// Notes what was drawn, and wakes those who wait for it.
    pub fn end_draw(&self, wish: &QuotaDraw, drawn: Option<QuotaDrawn>) {
        let mut state = self.state.lock();
        state.is_drawing = false;
        if let Some(drawn) = drawn.filter(|_| wish.month == state.month) {
            state.tokens = state.tokens.saturating_add(drawn.granted);
            state.left = drawn.left;
            state.used = 0;
            state.drawn_at = Some(Instant::now());
        }
        drop(state);
        self.told.notify_waiters();
    }
}

impl State {
    /// What is known counts for a month.
    fn turn_to(&mut self, month: MonthNumber) {
        if self.month != month {
            *self = Self {
                most: self.most,
                month,
                wanted: self.wanted,
                is_drawing: self.is_drawing,
                ..Self::default()
            };
        }
    }

    fn refuses(&self, amount: u64) -> bool {
        let is_believed = self.drawn_at.is_some_and(|at| at.elapsed() < BELIEVED);
        is_believed && self.tokens.saturating_add(self.left) < amount
    }

    /// How much is foreseen to be used in a second, by what was used since the last draw.
    fn ahead(&self) -> u64 {
        let since = self.drawn_at.map_or(AHEAD, |at| at.elapsed()).max(AHEAD / 10);
        let used = u128::from(self.used) * AHEAD.as_millis() / since.as_millis();
        u64::try_from(used)
            .unwrap_or(u64::MAX)
            .min(self.left / PART_AHEAD)
    }
}

/// The month of a moment (UTC).
pub fn month_of(moment: DateTime<Utc>) -> MonthNumber {
    (moment.year(), moment.month())
}

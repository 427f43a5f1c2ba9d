//! The worker against a real PostgreSQL and Redis, with a receiver to deliver to.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod answers;
mod callbacks;
mod calls;
mod destinations;
mod flow_control;
mod held;
mod jobs;
mod killed;
mod maintenance;
mod notifications;
mod records;
mod retention;
mod retries;
mod sessions;
mod stage;

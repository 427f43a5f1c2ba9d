//! What Postgres itself holds of the rules, and what the queries make of it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod audit;
mod catalogue;
mod draws;
mod due_jobs;
mod failures;
mod gathered;
mod readiness;
mod sentinel;
mod suspensions;

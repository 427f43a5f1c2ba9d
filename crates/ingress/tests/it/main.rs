//! The ingress over real HTTP, on a real Postgres and Redis.

mod admission;
mod answers;
mod changes;
mod harness;
mod hostile;
mod storage;

//! Hookgate from outside: the real program in processes of its own, against private servers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod backup;
mod balancer;
mod callbacks;
mod chaos;
mod cluster;
mod commands;
mod contract;
mod deployment;
mod dev;
mod doctor;
mod failover;
mod flows;
mod generated_clients;
mod github;
mod installation;
mod kill_points;
mod learning;
mod listening;
mod master_key;
mod metrics;
mod node;
mod notifications;
mod packages;
mod process;
mod readiness;
mod ready_made;
mod repetitions;
mod set_up;
mod settings;
mod signatures;
mod tenants;
mod tls;
mod tracing;
mod upgrade;
mod usage;
mod walks;

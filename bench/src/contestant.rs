//! The servers that are measured, each in a process of its own.

use std::io::Read;
use std::path::Path;

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Result;
use clap::ValueEnum;
use diesel::RunQueryDsl;
use diesel::sql_types::{Binary, Text, Uuid as SqlUuid};
use futures_util::StreamExt;
use hookgate_devservers::Address;
use hookgate_domain::clock;
use hookgate_domain::database::{Database, DatabaseSettings};
use hookgate_domain::redis::Redis;
use hookgate_egress::Client;
use hookgate_model::ids::EventId;
use serde::{Deserialize, Serialize};

use crate::webhooks;

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// A bare actix-web handler that reads the body and answers.
    Bare,
    /// Hookgate's ingress, for a webhook without a flow: the event is committed before the answer.
    Ingress,
    /// Hookgate's ingress, for a webhook with a flow: the event and its job are committed before the answer.
    IngressJob,
    /// One INSERT and commit for each request, through the r2d2 pool.
    Naive,
    /// The ingress, for a webhook without a flow that requires an API key.
    ApiKey,
    /// The same, which verifies a signature (HMAC-SHA256 of the body).
    Signature,
    /// The same, with an allowlist of 10,000 networks.
    Allowlist,
    /// API key, signature and allowlist together.
    Admission,
    /// The same as `Ingress`, which recognises repeated deliveries; each request has an id of its own.
    Deduplication,
    /// The same as `Ingress`, which expects all that it gets, and would count what differs.
    Warn,
    /// The same, which would refuse what differs.
    Enforce,
}

/// A program that serves contestants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub enum Program {
    /// The bare handler.
    Bare,
    /// Hookgate's ingress.
    Ingress,
    /// The naive form.
    Naive,
    /// Hookgate's management API.
    Management,
    /// Hookgate's worker.
    Worker,
    /// What flows call: answers at once, but for paths with `hang`, where it never does.
    Receiver,
}

impl Program {
    /// The name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Ingress => "ingress",
            Self::Naive => "naive",
            Self::Management => "management",
            Self::Worker => "worker",
            Self::Receiver => "receiver",
        }
    }
}

impl Name {
    /// Those that show what durability costs, in the order in which they take turns.
    pub const DURABILITY: [Self; 4] = [Self::Bare, Self::Ingress, Self::IngressJob, Self::Naive];
    /// Those that show what admission costs.
    pub const ADMISSION: [Self; 6] = [
        Self::Ingress,
        Self::ApiKey,
        Self::Signature,
        Self::Allowlist,
        Self::Admission,
        Self::Deduplication,
    ];

    /// Those that show what looking at the data costs.
    pub const EXPECTED_DATA: [Self; 3] = [Self::Ingress, Self::Warn, Self::Enforce];

    /// The name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Ingress => "ingress",
            Self::IngressJob => "ingress-job",
            Self::Naive => "naive",
            Self::ApiKey => "api-key",
            Self::Signature => "signature",
            Self::Allowlist => "allowlist",
            Self::Admission => "admission",
            Self::Deduplication => "deduplication",
            Self::Warn => "warn",
            Self::Enforce => "enforce",
        }
    }

    /// What serves it.
    pub const fn program(self) -> Program {
        match self {
            Self::Bare => Program::Bare,
            Self::Naive => Program::Naive,
            _ => Program::Ingress,
        }
    }
}

/// Serves until standard input ends; prints the port first.
pub fn serve(program: Program, sockets: &Path, database: &str, writers: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // The servers have threads of their own; the worker has the runtime's.
        .worker_threads(if program == Program::Worker {
            processors()
        } else {
            1
        })
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let address = Address::new(sockets);
        let settings = DatabaseSettings::new(address.postgres("hookgate_ingress", database));
        match program {
            Program::Bare => {
                let server = HttpServer::new(|| App::new().default_service(web::to(bare)))
                    .workers(processors())
                    .disable_signals()
                    .bind(("127.0.0.1", 0))?;
                println!("{}", server.addrs()[0].port());
                run(server.run()).await
            }
            Program::Receiver => {
                let server = HttpServer::new(|| App::new().default_service(web::to(receive)))
                    .workers(1)
                    .disable_signals()
                    .bind(("127.0.0.1", 0))?;
                println!("{}", server.addrs()[0].port());
                run(server.run()).await
            }
            Program::Worker => {
                let egress = hookgate_egress::Settings {
                    allowed_private_networks: vec![ipnet::IpNet::V4(ipnet::Ipv4Net::new(
                        [127, 0, 0, 0].into(),
                        8,
                    )?)],
                    ..Default::default()
                };
                let worker = hookgate_worker::start(
                    hookgate_worker::Settings::default(),
                    Database::new(&DatabaseSettings::new(
                        address.postgres("hookgate_worker", database),
                    ))?,
                    Redis::new(&address.redis("bench:"))?,
                    webhooks::master_key(),
                    Client::new(&egress).map_err(anyhow::Error::msg)?,
                );
                // It listens nowhere.
                println!("0");
                tokio::task::spawn_blocking(wait_for_end).await?;
                worker.stop().await;
                Ok(())
            }
            Program::Management => {
                let management = hookgate_management::start(
                    hookgate_management::Settings {
                        listen: ([127, 0, 0, 1], 0).into(),
                        requests_per_second: 0,
                        ..Default::default()
                    },
                    Database::new(&DatabaseSettings::new(
                        address.postgres("hookgate_management", database),
                    ))?,
                    Redis::new(&address.redis("bench:"))?,
                    webhooks::master_key(),
                    Client::new(&hookgate_egress::Settings::default()).map_err(anyhow::Error::msg)?,
                )
                .await?;
                println!("{}", management.addresses[0].port());
                tokio::task::spawn_blocking(wait_for_end).await?;
                management.stop().await;
                Ok(())
            }
            Program::Naive => {
                let pool = web::Data::new(Database::new(&DatabaseSettings {
                    pool_size: 16,
                    ..settings
                })?);
                let server = HttpServer::new(move || {
                    App::new().app_data(pool.clone()).default_service(web::to(naive))
                })
                .workers(processors())
                .disable_signals()
                .bind(("127.0.0.1", 0))?;
                println!("{}", server.addrs()[0].port());
                run(server.run()).await
            }
            Program::Ingress => {
                let redis = Redis::new(&address.redis("bench:"))?;
                let ingress = hookgate_ingress::start(
                    hookgate_ingress::Settings {
                        listen: ([127, 0, 0, 1], 0).into(),
                        writers,
                        ..Default::default()
                    },
                    &settings,
                    redis,
                    webhooks::master_key(),
                    Client::new(&hookgate_egress::Settings::default()).map_err(anyhow::Error::msg)?,
                )
                .await?;
                println!("{}", ingress.addresses()[0].port());
                tokio::task::spawn_blocking(wait_for_end).await?;
                ingress.stop().await;
                Ok(())
            }
        }
    })
}

async fn run(server: actix_web::dev::Server) -> Result<()> {
    let handle = server.handle();
    let running = tokio::spawn(server);
    tokio::task::spawn_blocking(wait_for_end).await?;
    handle.stop(false).await;
    Ok(running.await??)
}

fn wait_for_end() {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

async fn bare(mut body: web::Payload) -> HttpResponse {
    let mut length = 0;
    while let Some(Ok(piece)) = body.next().await {
        length += piece.len();
    }
    if length == 0 {
        return HttpResponse::BadRequest().finish();
    }
    HttpResponse::Ok()
        .content_type("application/json")
        .body(r#"{"status":"accepted"}"#)
}

async fn receive(request: actix_web::HttpRequest, mut body: web::Payload) -> HttpResponse {
    while let Some(Ok(_)) = body.next().await {}
    if request.path().contains("hang") {
        std::future::pending::<()>().await;
    }
    HttpResponse::Ok()
        .content_type("application/json")
        .body(r#"{"id":7}"#)
}

async fn naive(body: web::Bytes, database: web::Data<Database>) -> HttpResponse {
    let inserted = database.run(move |conn| {
        let id: EventId = clock::new_id();
        diesel::sql_query("INSERT INTO naive_events (id, headers, body) VALUES ($1, $2, $3)")
            .bind::<SqlUuid, _>(id.uuid())
            .bind::<Text, _>("content-type: application/json")
            .bind::<Binary, _>(&body[..])
            .execute(conn)
            .map_err(hookgate_domain::Error::from)
    });
    match inserted.await {
        Ok(_) => HttpResponse::Ok()
            .content_type("application/json")
            .body(r#"{"status":"accepted"}"#),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

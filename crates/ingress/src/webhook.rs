//! A webhook as admission needs it: compiled once, then shared by every request to its URL.

use std::time::{Duration, Instant};

use hookgate_domain::appender::Work;
use hookgate_domain::routing::Route;
use hookgate_model::answer::Answer;
use hookgate_model::flow::definition::{OutcomeAnswer, ResponseMode};
use hookgate_model::network_set::NetworkSet;
use std::sync::Arc;

/// A compiled webhook, at one of its URLs.
pub struct Webhook {
    /// What was read from Postgres.
    pub route: Route,
    /// Who may call; `None` for everybody.
    pub networks: Option<NetworkSet>,
    /// What its callers get.
    pub behaviour: Behaviour,
    /// When it was read.
    pub loaded_at: Instant,
}

/// What happens with an accepted event, and what its caller gets.
pub struct Behaviour {
    /// The answer as soon as the event is durable.
    pub accepted: Answer,
    /// How long the caller waits for the flow, and what it gets when that is over.
    pub wait: Option<(Duration, Answer)>,
    /// Whether there is a flow to run.
    pub has_flow: bool,
}

impl Webhook {
    /// Compiles what was read.
    pub fn compile(mut route: Route) -> Self {
        let networks = route.networks.take().map(|networks| NetworkSet::new(&networks));
        let behaviour = Behaviour::of(&route);
        Self {
            route,
            networks,
            behaviour,
            loaded_at: Instant::now(),
        }
    }

    /// The work that an event of it starts.
    pub fn work(&self, node: Option<&Arc<str>>, is_paused: bool) -> Work {
        match (self.behaviour.has_flow, is_paused, node) {
            (false, _, _) => Work::None,
            (true, true, _) => Work::Hold,
            (true, false, Some(node)) => Work::RunAndAnswer(Arc::clone(node)),
            (true, false, None) => Work::Run,
        }
    }
}

impl Behaviour {
    /// The behaviour of a URL's revision. Without one (nothing is published yet) events are stored and acknowledged.
    fn of(route: &Route) -> Self {
        let Some((_, document)) = &route.revision else {
            let document = hookgate_model::flow::definition::RevisionDocument::default();
            return Self {
                accepted: constant(200, &document.response.body),
                wait: None,
                has_flow: false,
            };
        };
        let response = &document.response;
        let wait = (response.mode == ResponseMode::Wait).then(|| {
            let timed_out = response.on.timed_out.as_ref();
            let default = serde_json::json!({ "status": "accepted" });
            let answer = timed_out.map_or_else(
                || constant(202, &default),
                |OutcomeAnswer { status, body, .. }| constant(*status, body),
            );
            (Duration::from_millis(response.timeout_ms.into()), answer)
        });
        Self {
            accepted: constant(response.status, &response.body),
            wait,
            has_flow: !document.is_idle(),
        }
    }
}

fn constant(status: u16, body: &serde_json::Value) -> Answer {
    Answer {
        status,
        headers: vec![("content-type".into(), "application/json".into())],
        body: body.to_string().into_bytes(),
    }
}

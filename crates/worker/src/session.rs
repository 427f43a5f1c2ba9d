//! The session of an event: taking its turn, reading what is kept, and what is left at the end.

use std::sync::Arc;
use std::time::Instant;

use hookgate_domain::jobs::{self, Turn};
use hookgate_domain::sessions::{self, SessionWrite};
use hookgate_domain::{Error, clock};
use hookgate_model::flow::compiled::CompiledRevision;
use hookgate_model::flow::session::{self, Session};
use hookgate_model::flow::state::State;
use hookgate_model::flow::template;
use hookgate_model::flow::variables::Request;
use uuid::Uuid;

use crate::Shared;
use crate::failpoint::reached;
use crate::job::{Gathered, patiently};
use crate::protection::Protected;

/// How a run begins that has a session.
pub enum Begun {
    /// With what the session holds, or without any.
    With(Box<State>),
    /// Not at all: its key cannot be read.
    Failed(String),
    /// Not now: another event comes first, or another worker has the job. There is nothing to record.
    NotNow,
}

/// Takes an event's turn in its session and reads what it holds.
pub async fn begin(
    shared: &Shared,
    revision: &Arc<CompiledRevision>,
    request: &Arc<Request>,
    gathered: &mut Gathered,
) -> Begun {
    let (evaluated, of, longest) = (
        Arc::clone(revision),
        Arc::clone(request),
        shared.settings.template_timeout(),
    );
    let read = move || {
        let started = Instant::now();
        template::until(move || started.elapsed() > longest, || evaluated.session_key(&of))
    };
    let key = match shared.apart.run(request.most_memory(), read).await {
        Some(Ok(Some(key))) => key,
        Some(Ok(None)) => return Begun::With(Box::new(State::new(clock::now()))),
        Some(Err(detail)) => return Begun::Failed(format!("session: {detail}")),
        None => return Begun::Failed("session: the evaluation of its key crashed".to_owned()),
    };
    let result = &mut gathered.result;
    let (lease, id) = (result.lease, session::id(result.webhook_id, &key));
    if result.session_id != Some(id) {
        // The ingress did not know it, as of an event that is run again.
        let enter = || async move {
            let entered = shared
                .database
                .run(move |conn| jobs::enter_session(conn, &lease, id));
            // Another job of the session was claimed in this very moment.
            entered.await.map_err(|error| match error {
                Error::Constraint(name) => Error::Unavailable(name),
                other => other,
            })
        };
        match patiently(shared, enter).await {
            Some(Turn::First) => result.session_id = Some(id),
            _ => return Begun::NotNow,
        }
    }
    let load = || async move {
        let scope = lease.scope;
        let read = move |conn: &mut _| {
            scope.transaction(conn, |conn| sessions::state(conn, &scope, id, clock::now()))
        };
        shared.database.run(read).await
    };
    let loaded = patiently(shared, load).await;
    reached!(lease.scope.tenant(), "session_read");
    match loaded {
        Some(values) => {
            let state = State::new(clock::now()).in_session(Some(Session { key, values }));
            Begun::With(Box::new(state))
        }
        None => Begun::NotNow,
    }
}

/// What a run leaves in its session.
pub fn left(
    revision: &CompiledRevision,
    session: Session,
    id: Uuid,
    protected: Option<&Protected>,
) -> Option<SessionWrite> {
    let ttl_seconds = revision.session()?.ttl_seconds;
    Some(SessionWrite {
        id,
        key: match protected {
            Some(protected) => protected.error(&session.key),
            None => session.key,
        },
        state: session.values,
        ttl_seconds,
    })
}

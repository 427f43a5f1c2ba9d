//! Sends what is in the outbox. A claim puts a mail off before it is tried, so a process that dies with one leaves it to be
//! tried again, and the one that succeeds deletes it.

use std::sync::Arc;
use std::time::Duration;

use hookgate_domain::mails::{self, Mail};
use hookgate_domain::{Error, clock, scope};

use super::Mailer;
use super::letter::Letter;
use crate::state::State;

/// How soon mails of other processes, and those that failed, are looked for.
const POLL: Duration = Duration::from_secs(5);

/// Sends mails until the service stops.
pub(crate) async fn keep(state: Arc<State>) {
    let Some(mailer) = state.mail.mailer.clone() else {
        return;
    };
    loop {
        match send_next(&state, &mailer).await {
            Ok(true) if !state.stopping.is_cancelled() => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the outbox of mails cannot be read; trying again"),
        }
        tokio::select! {
            () = state.stopping.cancelled() => return,
            () = state.mail.posted.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Tries the mail that is due first. Whether there was one.
async fn send_next(state: &State, mailer: &Mailer) -> Result<bool, Error> {
    let claim = |conn: &mut _| mails::claim(conn, clock::now());
    let Some(mail) = state.database.run(claim).await? else {
        return Ok(false);
    };
    let (id, attempts) = (mail.id, mail.attempts);
    let opened = state.master_key.open(&mails::context(id), &mail.letter);
    let Some(letter) = opened
        .ok()
        .and_then(|letter| serde_json::from_slice::<Letter>(&letter).ok())
    else {
        // Another process may know its key, or its kind.
        tracing::error!(mail = %id, attempts, "a mail cannot be read; is its master key among those of the settings?");
        if attempts >= mails::ATTEMPTS {
            state.database.run(move |conn| mails::delete(conn, id)).await?;
        }
        return Ok(true);
    };
    let kind = letter.kind();
    let outcome = |outcome: &'static str| {
        metrics::counter!("hookgate_mails_total", "kind" => kind, "outcome" => outcome).increment(1);
    };
    match send(state, mailer, mail, letter).await? {
        Sent::Taken => outcome("sent"),
        Sent::NothingToSay => outcome("dropped"),
        Sent::Refused(reason) if attempts < mails::ATTEMPTS => {
            outcome("failed");
            tracing::warn!(mail = %id, kind, attempts, reason, "a mail was not sent; trying again later");
            return Ok(true);
        }
        Sent::Refused(reason) => {
            outcome("given_up");
            tracing::error!(mail = %id, kind, attempts, reason, "a mail was given up");
        }
    }
    state.database.run(move |conn| mails::delete(conn, id)).await?;
    Ok(true)
}

/// What became of a try.
enum Sent {
    Taken,
    /// There is nobody, or nothing, that it is about.
    NothingToSay,
    Refused(String),
}

async fn send(state: &State, mailer: &Mailer, mail: Mail, letter: Letter) -> Result<Sent, Error> {
    let Mail { id, recipient, .. } = mail;
    let (to, links) = (recipient.clone(), state.mail.links.clone());
    let written = state
        .database
        .run(move |conn| scope::transaction(conn, |conn| letter.written(conn, &to, clock::now(), &links)))
        .await?;
    let Some(written) = written else {
        return Ok(Sent::NothingToSay);
    };
    Ok(match mailer.send(id, &recipient, written).await {
        Ok(()) => Sent::Taken,
        Err(reason) => Sent::Refused(reason),
    })
}

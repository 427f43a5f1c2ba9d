//! The answer of a run on its way to the ingress node whose caller waits for it.

use hookgate_model::answer::Answer;
use hookgate_model::ids::EventId;
use uuid::Uuid;

use super::{Notice, Redis, Subscription};
use crate::error::Result;

fn channel(node: &str) -> String {
    format!("hookgate:answers:{node}")
}

/// What a node that waits for answers learns.
pub enum AnswerNotice {
    /// From now on every answer comes. Some may have been missed before.
    Connected,
    /// The answer to an event's caller.
    Answered(EventId, Answer),
    /// Answers must be read from Postgres until the next [`AnswerNotice::Connected`].
    Lost,
}

impl Redis {
    /// Sends a run's answer, which is committed, to the node that the job names.
    ///
    /// # Errors
    /// When Redis is away: that node then reads the answer from Postgres.
    pub async fn send_answer(&self, node: &str, event: EventId, answer: &Answer) -> Result<()> {
        let mut payload = event.uuid().as_bytes().to_vec();
        payload.extend_from_slice(&answer.encode());
        self.publish(&channel(node), &payload).await
    }

    /// Listens for the answers that are sent to this node.
    pub fn on_answer(&self, node: &str, mut on: impl FnMut(AnswerNotice) + Send + 'static) -> Subscription {
        self.subscribe(channel(node), move |notice| match notice {
            Notice::Connected => on(AnswerNotice::Connected),
            Notice::Lost => on(AnswerNotice::Lost),
            Notice::Message(payload) => {
                if let Some((event, answer)) = decode(payload) {
                    on(AnswerNotice::Answered(event, answer));
                }
            }
        })
    }
}

fn decode(payload: &[u8]) -> Option<(EventId, Answer)> {
    let (event, answer) = payload.split_at_checked(16)?;
    Some((Uuid::from_slice(event).ok()?.into(), Answer::decode(answer)?))
}

//! How a committer tells handlers that their rows are durable, without a system call for each of them.
//!
//! Waking a task of another thread costs a write to that thread's event descriptor, which is dearer than the rest of
//! the hand-over. So each thread that submits rows has a mailbox: a committer leaves there the wakers of a whole batch and
//! wakes only the mailbox's task, which then wakes the others on their own thread, for almost nothing.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::AppendError;
use crate::deduplication::Duplicate;

/// How a row is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// It is stored.
    Stored,
    /// The event that came before it is; the row itself is not needed.
    Duplicate(Duplicate),
}

/// What becomes of a row.
pub type Outcome = Result<Appended, AppendError>;

/// The promise of an outcome. Dropping it changes nothing for the event.
pub struct Ticket(Arc<Mutex<Slot>>);

/// The side of a ticket that the committer holds, and settles with [`settle`]. Dropping it instead settles it as
/// unavailable: nobody waits for a committer that has gone.
pub struct Waiter {
    slot: Option<Arc<Mutex<Slot>>>,
    mailbox: Arc<Mailbox>,
}

#[derive(Default)]
struct Slot {
    outcome: Option<Outcome>,
    waker: Option<Waker>,
}

/// Makes both sides of a ticket, for a task of the running thread.
pub fn ticket() -> (Waiter, Ticket) {
    let slot = Arc::<Mutex<Slot>>::default();
    (
        Waiter {
            slot: Some(Arc::clone(&slot)),
            mailbox: Mailbox::of_this_thread(),
        },
        Ticket(slot),
    )
}

impl Future for Ticket {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut slot = self.0.lock();
        if let Some(outcome) = slot.outcome.take() {
            return Poll::Ready(outcome);
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Waiter {
    fn settle(&mut self, outcome: Outcome) -> Option<Waker> {
        let slot = self.slot.take()?;
        let mut slot = slot.lock();
        slot.outcome = Some(outcome);
        slot.waker.take()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if let Some(waker) = self.settle(Err(AppendError::Unavailable)) {
            waker.wake();
        }
    }
}

/// Tells the waiters of a batch.
pub fn settle(mut waiters: Vec<(Waiter, Outcome)>) {
    waiters.sort_unstable_by_key(|(waiter, _)| Arc::as_ptr(&waiter.mailbox).addr());
    for group in waiters.chunk_by_mut(|(a, _), (b, _)| Arc::ptr_eq(&a.mailbox, &b.mailbox)) {
        let wakers = group
            .iter_mut()
            .filter_map(|(waiter, outcome)| {
                waiter.settle(std::mem::replace(outcome, Err(AppendError::Unavailable)))
            })
            .collect();
        if let Some((first, _)) = group.first() {
            first.mailbox.leave(wakers);
        }
    }
}

/// Where a committer leaves the wakers of a thread's tasks.
#[derive(Default)]
struct Mailbox(Mutex<Content>);

#[derive(Default)]
struct Content {
    wakers: Vec<Waker>,
    /// The waker of the task that empties the mailbox; none until it runs, and again when its runtime has ended.
    task: Option<Waker>,
}

thread_local! {
    static MAILBOX: RefCell<Option<Arc<Mailbox>>> = const { RefCell::new(None) };
}

impl Mailbox {
    /// The running thread's mailbox, with a task of the running runtime that empties it.
    fn of_this_thread() -> Arc<Self> {
        MAILBOX.with_borrow_mut(|mailbox| {
            let mailbox = mailbox.get_or_insert_with(|| {
                let mailbox = Arc::<Self>::default();
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(empty(Arc::clone(&mailbox)));
                }
                mailbox
            });
            Arc::clone(mailbox)
        })
    }

    fn leave(&self, wakers: Vec<Waker>) {
        let mut content = self.0.lock();
        match content.task.clone() {
            Some(task) => {
                content.wakers.extend(wakers);
                drop(content);
                task.wake();
            }
            None => {
                drop(content);
                wakers.into_iter().for_each(Waker::wake);
            }
        }
    }
}

/// Empties a mailbox for as long as its runtime runs.
async fn empty(mailbox: Arc<Mailbox>) {
    /// When the runtime ends, whoever is left is woken, and committers wake directly from then on.
    struct Close(Arc<Mailbox>);
    impl Drop for Close {
        fn drop(&mut self) {
            let mut content = self.0.0.lock();
            content.task = None;
            let wakers = std::mem::take(&mut content.wakers);
            drop(content);
            wakers.into_iter().for_each(Waker::wake);
        }
    }
    let close = Close(mailbox);
    poll_fn(|context| {
        let mut content = close.0.0.lock();
        content.task = Some(context.waker().clone());
        let wakers = std::mem::take(&mut content.wakers);
        drop(content);
        wakers.into_iter().for_each(Waker::wake);
        Poll::<()>::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_ticket_hears_its_outcome() {
        let (waiters, tickets): (Vec<_>, Vec<_>) = (0..100).map(|_| ticket()).unzip();
        let tasks: Vec<_> = tickets.into_iter().map(tokio::spawn).collect();
        tokio::task::yield_now().await;
        let told = waiters.into_iter().map(|waiter| (waiter, Err(AppendError::Full)));
        let told = told.collect();
        std::thread::spawn(move || settle(told)).join().expect("settled");
        for task in tasks {
            assert_eq!(task.await.expect("woken"), Err(AppendError::Full));
        }
    }

    #[test]
    fn a_ticket_outlives_the_runtime_that_made_it() {
        let runtime = || {
            tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime")
        };
        let first = runtime();
        drop(first.block_on(async { ticket() }));
        first.block_on(tokio::task::yield_now());
        drop(first);
        let (waiter, ticket) = ticket();
        let teller = std::thread::spawn(move || settle(vec![(waiter, Ok(Appended::Stored))]));
        assert_eq!(runtime().block_on(ticket), Ok(Appended::Stored));
        teller.join().expect("settled");
    }
}

//! A connection as the HTTP server reads and writes it, with bounds that the server does not keep.
//!
//! - Whoever does not read their answers is read no more: answers would pile up in memory.
//! - A head that goes on arriving, a peer that takes nothing of its answer: both end the connection. (The server itself
//!   bounds the first head of a connection.)
//! - So does a connection on which nothing happens, also while the server waits for the end of a body that nobody reads.
//!
//! What costs something is done four times a second for all connections of a thread; a request pays for a few words of memory.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use hookgate_tls::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How often connections are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// What a connection may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a request's head.
    pub head: Duration,
    /// For the time between requests.
    pub idle: Duration,
    /// For taking something of an answer.
    pub answer: Duration,
}

/// A connection of the thread that serves it.
pub struct Connection {
    stream: Stream,
    state: Rc<State>,
}

/// What is going on with a connection; requests know it by their connection's data.
pub struct State {
    patience: Patience,
    /// Requests whose handlers run.
    in_hand: Cell<u32>,
    /// Counts requests.
    begun: Cell<u32>,
    /// Since when no handler runs, as far as was seen, and how many requests there had been by then.
    idle_since: Cell<Option<(u32, Instant)>>,
    /// Since when a head has been arriving.
    head_since: Cell<Option<Instant>>,
    /// Since when the peer has taken nothing.
    stuck_since: Cell<Option<Instant>>,
    /// Whether the server wanted to read meanwhile.
    wants_to_read: Cell<bool>,
    is_over: Cell<bool>,
    task: RefCell<Option<Waker>>,
}

/// A request whose handler runs; no more when it is dropped.
pub struct InHand(Rc<State>);

impl Connection {
    /// Takes care of a stream.
    pub fn new(stream: Stream, patience: Patience) -> Self {
        let state = Rc::new(State {
            patience,
            in_hand: Cell::new(0),
            begun: Cell::new(0),
            idle_since: Cell::new(None),
            head_since: Cell::new(None),
            stuck_since: Cell::new(None),
            wants_to_read: Cell::new(false),
            is_over: Cell::new(false),
            task: RefCell::new(None),
        });
        watch(&state);
        Self { stream, state }
    }

    /// What is going on with it.
    pub fn state(&self) -> Rc<State> {
        Rc::clone(&self.state)
    }
}

impl State {
    /// A request's head is complete, and its handler begins.
    pub fn begin(self: &Rc<Self>) -> InHand {
        self.head_since.set(None);
        self.in_hand.set(self.in_hand.get() + 1);
        self.begun.set(self.begun.get().wrapping_add(1));
        InHand(Rc::clone(self))
    }

    fn remember(&self, context: &Context<'_>) {
        let mut task = self.task.borrow_mut();
        match task.as_ref() {
            Some(known) if known.will_wake(context.waker()) => {}
            _ => *task = Some(context.waker().clone()),
        }
    }

    /// Since when it has been idle; a request between two looks is noticed by its number.
    fn idle_since(&self, now: Instant) -> Option<Instant> {
        let since = match self.idle_since.get() {
            _ if self.in_hand.get() > 0 => None,
            Some(seen) if seen.0 == self.begun.get() => Some(seen),
            _ => Some((self.begun.get(), now)),
        };
        self.idle_since.set(since);
        since.map(|(_, since)| since)
    }

    /// Ends the connection if it has used up somebody's patience.
    fn look(&self, now: Instant) {
        let beyond = |since: Option<Instant>, patience| {
            since.is_some_and(|since| now.saturating_duration_since(since) >= patience)
        };
        let is_slow = self.in_hand.get() == 0 && beyond(self.head_since.get(), self.patience.head);
        let what = if is_slow {
            "head"
        } else if beyond(self.stuck_since.get(), self.patience.answer) {
            "answer"
        } else if beyond(self.idle_since(now), self.patience.idle) {
            "idle"
        } else {
            return;
        };
        if !self.is_over.replace(true) {
            metrics::counter!("hookgate_connections_cut_total", "slow" => what).increment(1);
            if let Some(task) = self.task.borrow_mut().take() {
                task.wake();
            }
        }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hand.set(self.0.in_hand.get() - 1);
    }
}

fn over() -> io::Error {
    io::Error::from(io::ErrorKind::TimedOut)
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.state.is_over.get() {
            return Poll::Ready(Err(over()));
        }
        if self.state.stuck_since.get().is_some() {
            self.state.wants_to_read.set(true);
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        match &read {
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                let state = &self.state;
                if state.in_hand.get() == 0 && state.head_since.get().is_none() {
                    state.head_since.set(Some(Instant::now()));
                }
            }
            Poll::Pending => self.state.remember(context),
            Poll::Ready(_) => {}
        }
        read
    }
}

impl Connection {
    /// Notes whether the peer takes what is written, and goes on reading once it does.
    fn written<T>(&self, context: &Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let state = &self.state;
        match &written {
            Poll::Pending => {
                state.remember(context);
                if state.stuck_since.get().is_none() {
                    state.stuck_since.set(Some(Instant::now()));
                }
            }
            Poll::Ready(_) if state.stuck_since.take().is_some() && state.wants_to_read.take() => {
                context.waker().wake_by_ref();
            }
            Poll::Ready(_) => {}
        }
        written
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.state.is_over.get() {
            return Poll::Ready(Err(over()));
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.state.is_over.get() {
            return Poll::Ready(Err(over()));
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        // What is encrypted waits here for the peer to take it.
        if self.stream.is_encrypted() {
            self.written(context, flushed)
        } else {
            flushed
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

thread_local! {
    /// The connections of the running thread, once one was made.
    static CONNECTIONS: RefCell<Option<Vec<Weak<State>>>> = const { RefCell::new(None) };
}

/// Has the running thread look after a connection.
fn watch(state: &Rc<State>) {
    let is_first = CONNECTIONS.with_borrow_mut(|connections| {
        let is_first = connections.is_none();
        connections.get_or_insert_default().push(Rc::downgrade(state));
        is_first
    });
    if is_first {
        tokio::task::spawn_local(look_after());
    }
}

/// Looks at all connections of the thread, again and again, until its runtime ends.
async fn look_after() {
    /// Another runtime of the same thread begins anew.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            CONNECTIONS.take();
        }
    }
    let _end = End;
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = Instant::now();
        CONNECTIONS.with_borrow_mut(|connections| {
            connections.get_or_insert_default().retain(|connection| {
                let Some(state) = connection.upgrade() else {
                    return false;
                };
                state.look(now);
                true
            });
        });
    }
}

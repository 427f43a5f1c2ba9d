//! Replays: what of an event is run again, and how far that is.

use crate::webhook::text_enum;

text_enum! {
    /// What the copy of an event runs.
    RevisionChoice {
        /// What its URL's environment runs now: the published revision, or the draft.
        Current = "current",
        /// What the event ran.
        Original = "original",
    }
}

text_enum! {
    /// How far a replay is.
    ReplayStatus {
        /// It goes on.
        Running = "running",
        /// It has come to every event.
        Finished = "finished",
        /// Somebody ended it.
        Cancelled = "cancelled",
    }
}

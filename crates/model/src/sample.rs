//! Samples: requests that show what a webhook's data is.

use crate::webhook::text_enum;

text_enum! {
    /// What a sample was taken from.
    SampleSource {
        /// A request that came while the webhook was capturing.
        Captured = "captured",
        /// An event.
        Event = "event",
        /// A request that was given.
        Request = "request",
        /// A JSON example.
        Json = "json",
        /// Names and values.
        Pairs = "pairs",
    }
}

impl SampleSource {
    /// The sources whose samples hold what senders sent: they are kept no longer than events.
    pub const SENT: [Self; 2] = [Self::Captured, Self::Event];
}

text_enum! {
    /// What ended a capture window.
    CaptureEnd {
        /// Its time was over.
        Expired = "expired",
        /// It has taken as many samples as it might, or the webhook has no room for more.
        Full = "full",
        /// It was closed, on demand.
        Closed = "closed",
    }
}

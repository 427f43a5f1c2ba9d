//! How long a body may take to arrive: a slow but honest sender has time for 26 MiB, one that only holds a connection has
//! none.

use std::time::Duration;

/// The pace that a body must keep.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long a body may take, however fast it is.
    pub longest: Duration,
    /// The time in which no pace is demanded.
    pub grace: Duration,
    /// Bytes that must have come for every second after that, on the average.
    pub bytes_per_second: u32,
}

impl Pace {
    /// For a body that may take so long, at any pace.
    pub fn within(longest: Duration) -> Self {
        Self {
            longest,
            grace: longest,
            bytes_per_second: 0,
        }
    }

    /// How long after its beginning a body of which so many bytes have come may go on without the next.
    pub fn until(&self, received: usize) -> Duration {
        let earned = match self.bytes_per_second {
            0 => self.longest,
            rate => Duration::from_secs_f64(received as f64 / f64::from(rate)),
        };
        self.grace.saturating_add(earned).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_come_earns_time() {
        let pace = Pace {
            longest: Duration::from_secs(600),
            grace: Duration::from_secs(5),
            bytes_per_second: 1_000,
        };
        for (received, seconds) in [(0, 5), (1_000, 6), (10_000, 15), (595_000, 600), (26 << 20, 600)] {
            assert_eq!(pace.until(received), Duration::from_secs(seconds), "{received}");
        }
        let patient = Pace {
            bytes_per_second: 0,
            ..pace
        };
        assert_eq!(patient.until(0), Duration::from_secs(600));
    }
}

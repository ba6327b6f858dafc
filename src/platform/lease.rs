//! Until when this process may act for all that share its state.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::clock::Clock;

/// The right to act, by the clock that nobody sets. It ends here before it ends for the others, so that what this process
/// begins at the last moment does not meet what they begin at the first.
#[derive(Debug, Clone)]
pub struct Lease {
    clock: Clock,
    /// Microseconds.
    until: Arc<AtomicU64>,
}

/// How much earlier it ends here.
const EARLIER: Duration = Duration::from_secs(2);
/// Of a state that one process has for itself.
const NO_END: u64 = u64::MAX;

impl Lease {
    /// One that always holds.
    pub fn endless(clock: Clock) -> Self {
        Self { clock, until: Arc::new(AtomicU64::new(NO_END)) }
    }

    /// One that does not hold yet.
    pub(crate) fn ended(clock: Clock) -> Self {
        Self { clock, until: Arc::default() }
    }

    /// It holds for so long from the moment at which it was asked for.
    pub(crate) fn renew(&self, asked: Duration, length: Duration) {
        let until = (asked + length).saturating_sub(EARLIER);
        self.until.store(u64::try_from(until.as_micros()).unwrap_or(NO_END), Ordering::Relaxed);
    }

    /// Whether it holds.
    pub fn is_held(&self) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until == NO_END || self.clock.steady() < Duration::from_micros(until)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::platform::clock::DrivenClock;

    #[test]
    fn a_lease_ends_early_unless_it_is_renewed() {
        let driven = DrivenClock::new(Timestamp::UNIX_EPOCH);
        let clock = Clock::Driven(driven.clone());
        assert!(Lease::endless(clock.clone()).is_held());
        let lease = Lease::ended(clock.clone());
        assert!(!lease.is_held());
        let asked = clock.steady();
        lease.renew(asked, Duration::from_secs(10));
        driven.pass(asked + Duration::from_millis(7_999));
        assert!(lease.is_held());
        driven.pass(asked + Duration::from_secs(8));
        assert!(!lease.is_held());
        lease.renew(asked + Duration::from_secs(7), Duration::from_secs(10));
        assert!(lease.is_held());
    }
}

//! The only reader of wall time. Everything else is handed a [`Clock`] or a `now`.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// Between two readings the clock goes back by more than this only if it is set.
pub const SET_BACK: SignedDuration = SignedDuration::from_secs(2);

/// Where the program gets the wall time from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that stands still until it is moved.
    Driven(DrivenClock),
}

impl Clock {
    /// The present moment, UTC, in whole microseconds: what the state keeps and the table
    /// service understands.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads wall time")]
    pub fn now(&self) -> Timestamp {
        let now = match self {
            Self::System => Timestamp::now(),
            Self::Driven(clock) => clock.now(),
        };
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    /// The time that has passed since some moment, by a clock that nobody sets.
    pub fn steady(&self) -> Duration {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        match self {
            Self::System => BEGAN.elapsed(),
            Self::Driven(clock) => clock.steady(),
        }
    }
}

/// A clock in nanoseconds since 1970 that its holder moves; clones share the hands.
#[derive(Debug, Clone)]
pub struct DrivenClock(Arc<Hands>);

#[derive(Debug)]
struct Hands {
    wall: AtomicI64,
    steady: AtomicU64,
}

impl DrivenClock {
    /// A clock that shows `start` (between the years 1678 and 2262).
    pub fn new(start: Timestamp) -> Self {
        let wall = AtomicI64::new(nanoseconds(start));
        Self(Arc::new(Hands { wall, steady: AtomicU64::new(0) }))
    }

    /// The moment the clock shows.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_nanosecond(i128::from(self.0.wall.load(Ordering::SeqCst))).unwrap_or_default()
    }

    /// The time that has passed, which nobody sets; it stands still until it is moved.
    pub fn steady(&self) -> Duration {
        Duration::from_nanos(self.0.steady.load(Ordering::SeqCst))
    }

    /// Moves the time that has passed on to `steady`.
    pub fn pass(&self, steady: Duration) {
        self.0.steady.store(u64::try_from(steady.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Sets the clock to `now`.
    pub fn set(&self, now: Timestamp) {
        self.0.wall.store(nanoseconds(now), Ordering::SeqCst);
    }

    /// Moves the clock on (or back, with a negative duration).
    pub fn advance(&self, by: SignedDuration) {
        self.set(self.now() + by);
    }
}

fn nanoseconds(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX)
}

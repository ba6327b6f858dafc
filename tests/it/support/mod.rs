//! What the tests work with.

pub(crate) mod azurite;
pub(crate) mod breaking;
pub(crate) mod certificates;
pub(crate) mod daemon;
pub(crate) mod database;
pub(crate) mod disk;
pub(crate) mod driven;
pub(crate) mod echo;
pub(crate) mod embedded;
pub(crate) mod flows_toml;
pub(crate) mod hostile;
pub(crate) mod leadflow;
pub(crate) mod leads;
pub(crate) mod mail;
pub(crate) mod mail_server;
pub(crate) mod markup;
pub(crate) mod microsoft;
pub(crate) mod oracle;
pub(crate) mod page;
pub(crate) mod past;
pub(crate) mod postgres;
pub(crate) mod scripted;
mod servers;
pub(crate) mod smtp_script;
pub(crate) mod stuck;
pub(crate) mod way;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use ::leadflow::platform::clock::Clock;
use ::leadflow::platform::lease::Lease;
use jiff::Timestamp;

/// Nobody else works on the state.
pub(crate) static ENDLESS: LazyLock<Lease> = LazyLock::new(|| Lease::endless(Clock::System));

/// This machine's time.
pub(crate) fn now() -> Timestamp {
    Clock::System.now()
}

/// Every one of these words is in the text.
#[track_caller]
pub(crate) fn has(text: &str, words: &[&str]) {
    for words in words {
        assert!(text.contains(words), "`{words}` is not in:\n{text}");
    }
}

/// What an operation comes to; the test waits, whether or not it has a runtime of its own.
pub(crate) fn done<T: Send>(operation: impl Future<Output = T> + Send) -> T {
    let wait =
        || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(operation);
    std::thread::scope(|scope| scope.spawn(wait).join().unwrap())
}

/// Waits until the condition gives a value; fails with `what` when it takes too long.
pub(crate) fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(Duration::from_mins(1), what, condition)
}

/// As [`eventually`], for what takes longer on a busy machine.
pub(crate) fn within<T>(limit: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(began.elapsed() < limit, "still waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// As [`eventually`], for tests whose own runtime does the work that is waited for.
pub(crate) async fn eventually_async<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "still waiting for {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

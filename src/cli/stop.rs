//! Ctrl-C and SIGTERM while a command works on the state itself: it ends in order, and at once at the second signal.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::output;

/// A command was stopped by a signal.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct Stopped {
    /// The exit status that shells give.
    pub(super) code: u8,
    what: &'static str,
}

impl Stopped {
    /// It has ended in order.
    pub(super) fn in_order(code: u8) -> Self {
        Self { code, what: "stopped: what was not done is done by the next run" }
    }

    /// There were two signals.
    fn at_once(code: u8) -> Self {
        Self {
            code,
            what: "stopped at once: what was under way is recorded as interrupted at the next start",
        }
    }
}

/// Does the work, which learns when it is to end. Returns its result, and the exit status of the signal that
/// stopped it. A second signal ends it at once.
pub(super) async fn unless_stopped<T>(
    work: impl AsyncFnOnce(watch::Receiver<bool>) -> anyhow::Result<T>,
) -> anyhow::Result<(T, Option<u8>)> {
    let mut signals = listen()?;
    let (sender, stop) = watch::channel(false);
    let work = work(stop);
    tokio::pin!(work);
    let mut stopped_by = None;
    loop {
        tokio::select! {
            biased;
            result = &mut work => return Ok((result?, stopped_by)),
            Some(code) = signals.recv() => {
                if stopped_by.is_some() {
                    return Err(Stopped::at_once(code).into());
                }
                output::eprint("stopping when what is under way has ended, within seconds; once more \
                                stops at once");
                stopped_by = Some(code);
                sender.send_replace(true);
            }
        }
    }
}

/// The exit statuses of the signals that come.
fn listen() -> anyhow::Result<mpsc::Receiver<u8>> {
    let (send, receive) = mpsc::channel(4);
    for kind in [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate()] {
        let mut stream = signal(kind).context("cannot listen for signals")?;
        let code = u8::try_from(128 + kind.as_raw_value()).unwrap_or(1);
        let send = send.clone();
        tokio::spawn(async move { while stream.recv().await.is_some() && send.send(code).await.is_ok() {} });
    }
    Ok(receive)
}

//! Waiting: for the state, for what a daemon answers, and for the end of a run.

use std::time::{Duration, Instant};

use anyhow::bail;
use indicatif::ProgressBar;
use leadflow::config::Loaded;
use leadflow::history::{Outcome, Run};
use leadflow::platform::clock::Clock;
use leadflow::store::state;
use leadflow::store::{Answer, Lock, MessageRecord, Owner, Store, StoreError};
use tokio::time::sleep;

use super::PAUSE;
use crate::cli::daemon::Worker;
use crate::cli::{daemon, output};

/// How long a mail that the server does not take for now is waited for.
const FOR_THE_MAIL: Duration = Duration::from_secs(30);
/// How long a daemon that has ended may take to come back: systemd starts it again after five seconds.
const FOR_A_RESTART: Duration = Duration::from_secs(10);
/// Between two looks at who works on a database.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// This process does the work itself: no daemon does. Where the state is in a folder, nobody else can meanwhile.
pub(super) struct Turn {
    _lock: Option<Lock>,
}

/// Takes the state; `None` where a daemon has it, which then hears what is asked for. A command that works on the
/// state of a folder hears nothing, so its end is waited for; those on a database work beside each other.
pub(super) async fn until_ours(
    loaded: &Loaded,
    name: &str,
    patience: Duration,
) -> anyhow::Result<Option<Turn>> {
    let folder = &loaded.config.settings.state;
    if loaded.config.settings.postgres.is_some() {
        let store = state::open(&loaded.config, Clock::System.now()).await?;
        let worker = daemon::worker(loaded, &store).await?;
        return Ok((worker != Some(Worker::Daemon)).then_some(Turn { _lock: None }));
    }
    let began = Instant::now();
    let mut is_said = false;
    loop {
        let owner = match Lock::take(folder, &Owner::command(name)) {
            Ok(lock) => return Ok(Some(Turn { _lock: Some(lock) })),
            Err(StoreError::Busy { owner: Owner::Daemon, .. }) => return Ok(None),
            Err(StoreError::Busy { owner, .. }) => owner,
            Err(other) => return Err(other.into()),
        };
        if began.elapsed() > patience {
            bail!(
                "{owner} still works on the state; nothing was done; run the command again when it has ended"
            );
        }
        if !is_said {
            output::eprint(&format!("waiting for {owner}, which works on the state"));
            is_said = true;
        }
        sleep(PAUSE).await;
    }
}

/// The state that a daemon works on; one that has just begun makes it still.
pub(super) async fn until_open(loaded: &Loaded, patience: Duration) -> anyhow::Result<Store> {
    let began = Instant::now();
    loop {
        if let Some(store) = state::open_to_change(&loaded.config).await? {
            return Ok(store);
        }
        if began.elapsed() > patience {
            bail!("the daemon has not made its state yet, so nothing was done; run the command again");
        }
        sleep(PAUSE).await;
    }
}

/// Notices that the daemon has ended and does not come back.
pub(super) struct DaemonWatch<'a> {
    loaded: &'a Loaded,
    /// None was asked: this process does the work.
    is_here: bool,
    gone_since: Option<Instant>,
    looked: Option<Instant>,
}

impl<'a> DaemonWatch<'a> {
    /// Of the daemon that was asked, where this process does not hold the state itself.
    pub(super) fn start(loaded: &'a Loaded, turn: Option<&Turn>) -> Self {
        Self { loaded, is_here: turn.is_some(), gone_since: None, looked: None }
    }

    async fn is_gone(&mut self, store: &Store) -> bool {
        let is_remote = self.loaded.config.settings.postgres.is_some();
        if self.is_here || is_remote && self.looked.is_some_and(|at| at.elapsed() < BETWEEN_LOOKS) {
            return self.gone_since.is_some_and(|since| since.elapsed() >= FOR_A_RESTART);
        }
        self.looked = Some(Instant::now());
        match daemon::worker(self.loaded, store).await {
            Ok(Some(Worker::Daemon)) | Err(_) => {
                self.gone_since = None;
                false
            }
            Ok(None | Some(Worker::Command(_))) => {
                let since = *self.gone_since.get_or_insert_with(|| {
                    output::eprint("the daemon has ended; waiting for it to start again");
                    Instant::now()
                });
                since.elapsed() >= FOR_A_RESTART
            }
        }
    }

    fn how_to_start(&self) -> &'static str {
        daemon::how_to_start(self.loaded)
    }
}

/// Waits until the daemon has answered a request.
pub(super) async fn until_answered(
    store: &Store,
    id: i64,
    patience: Duration,
    daemon: &mut DaemonWatch<'_>,
) -> anyhow::Result<Option<i64>> {
    let asked = Instant::now();
    loop {
        // What it did before it ended is seen by the query after that.
        let is_gone = daemon.is_gone(store).await;
        match store.answer(id).await? {
            Answer::Done => return Ok(None),
            Answer::Run(run) => return Ok(Some(run)),
            Answer::Refused(reason) => bail!("{reason}"),
            Answer::Pending if is_gone => bail!(
                "the daemon has ended before it picked up the request, which remains queued: it is done \
                 when a daemon starts: {}",
                daemon.how_to_start()
            ),
            // A daemon that is gone is waited for longer.
            Answer::Pending if asked.elapsed() > patience && daemon.gone_since.is_none() => {
                bail!("the daemon has not picked up the request yet; it remains queued")
            }
            Answer::Pending => sleep(PAUSE).await,
        }
    }
}

/// Waits until the run has ended, and for a while until its mail has left, unless it is to stop.
pub(super) async fn until_sent(
    store: &Store,
    id: i64,
    progress: &ProgressBar,
    daemon: &mut DaemonWatch<'_>,
    stop: impl Fn() -> bool,
) -> anyhow::Result<Run> {
    let mut since_end: Option<Instant> = None;
    loop {
        let is_gone = daemon.is_gone(store).await;
        let Some(run) = store.run(id).await? else {
            bail!(
                "run {id} did not start, because leadflow stopped or flows.toml changed; the request \
                 remains queued"
            )
        };
        match run.outcome {
            Outcome::Running if is_gone => bail!(
                "the daemon has ended while run {id} was under way: the run is interrupted and has moved nothing; \
                 start a daemon ({}), then run the command again",
                daemon.how_to_start()
            ),
            Outcome::Running if stop() => return Ok(run),
            Outcome::Running => progress.set_message(format!("run {id} is under way")),
            Outcome::Waiting => {
                progress.set_message(format!("run {id}: {}; sending", output::line(&run.summary)));
                let since = since_end.get_or_insert_with(Instant::now).elapsed();
                if is_gone || stop() || since > FOR_THE_MAIL {
                    return Ok(run);
                }
                if !store.mails_of(id).await?.iter().any(is_to_be_tried) {
                    // Between the two looks a mail may have been sent, and the run with it.
                    return Ok(store.run(id).await?.unwrap_or(run));
                }
            }
            _ => return Ok(run),
        }
        sleep(PAUSE).await;
    }
}

/// Whether the first try of a mail is under way, or still to come.
fn is_to_be_tried(mail: &MessageRecord) -> bool {
    let is_untried = mail.recipients.iter().all(|recipient| recipient.reply.is_none());
    mail.is_sending || (is_untried && !mail.is_deferred_by_rate)
}

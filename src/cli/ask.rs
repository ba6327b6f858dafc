//! Commands that change something: done at once where no daemon runs, otherwise left for it.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use indicatif::ProgressBar;
use leadflow::config::Loaded;
use leadflow::history::{Order, Outcome, Run};
use leadflow::platform::clock::Clock;
use leadflow::store::state;
use leadflow::store::{Answer, Lock, MessageRecord, Request, Store, StoreError};
use leadflow::views::runs::RunView;
use tokio::time::sleep;

use super::output;

/// How long the daemon may take to come to what it is asked.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a run may wait for another run of its flow.
const FOR_ITS_TURN: Duration = Duration::from_mins(10);
/// How long a mail that the server does not take for now is waited for.
const FOR_THE_MAIL: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Does what needs no run; returns when it is done.
pub(super) async fn ask(loaded: &Loaded, request: Request) -> anyhow::Result<()> {
    let folder = &loaded.config.settings.state;
    let now = Clock::System.now();
    match Lock::take(folder) {
        Ok(_lock) => {
            let store = state::open(&loaded.config, now).await?;
            let id = store.leave_request(request, now).await?;
            store.take_requests(now).await?;
            answered(&store, id, PATIENCE).await.map(drop)
        }
        Err(StoreError::Busy(_)) => {
            let store = Store::open(folder)?;
            let id = store.leave_request(request, now).await?;
            answered(&store, id, PATIENCE).await.map(drop)
        }
        Err(other) => Err(other.into()),
    }
}

/// Waits until the daemon has come to a request.
async fn answered(store: &Store, id: i64, patience: Duration) -> anyhow::Result<Option<i64>> {
    let asked = Instant::now();
    loop {
        match store.answer(id).await? {
            Answer::Done => return Ok(None),
            Answer::Run(run) => return Ok(Some(run)),
            Answer::Refused(reason) => bail!("{reason}"),
            Answer::Waits if asked.elapsed() > patience => {
                bail!("the daemon has not come to it yet; it does what was asked as soon as it can")
            }
            Answer::Waits => sleep(PAUSE).await,
        }
    }
}

/// Whether somebody sits at a terminal and can be asked.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal()
}

/// Asks on the terminal whether to go on.
pub(super) fn is_agreed(before: &str) -> anyhow::Result<bool> {
    write!(io::stderr(), "{before}go on? [y/N] ")?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Lets a flow run, shows the run as it goes, and tells its result: by the daemon, or here where
/// none runs.
pub(super) async fn run_flow(loaded: &Loaded, request: Request, as_json: bool) -> anyhow::Result<Run> {
    let folder = &loaded.config.settings.state;
    let progress = spinner("waiting for the daemon");
    let run = match Lock::take(folder) {
        Ok(lock) => {
            if let Some(invalid) = &loaded.invalid {
                // No daemon has the flows as they were.
                return Err(invalid.report.clone().into());
            }
            progress.set_message("running");
            let run = here(loaded, &request).await?;
            drop(lock);
            run
        }
        Err(StoreError::Busy(_)) => {
            let store = Store::open(folder)?;
            let id = store.leave_request(request, Clock::System.now()).await?;
            match answered(&store, id, FOR_ITS_TURN).await? {
                Some(run) => run,
                None => bail!("the daemon has taken the request away without a run; ask again"),
            }
        }
        Err(other) => return Err(other.into()),
    };
    let store = Store::open(folder)?;
    let ended = until_sent(&store, run, &progress).await?;
    progress.finish_and_clear();
    if as_json {
        output::print_json(&RunView::from(&ended))?;
    } else {
        output::print(&told(&store, &ended).await?)?;
    }
    Ok(ended)
}

/// The exit status for the run that was asked for.
pub(super) fn exit_of(run: &Run) -> ExitCode {
    if run.outcome.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the flow and delivers, in this process.
async fn here(loaded: &Loaded, request: &Request) -> anyhow::Result<i64> {
    let Request::Run { flow, cause, range } = request else { bail!("this is no run") };
    let flow = super::flow_named(&loaded.config, flow)?;
    let engine = super::run::engine(&loaded.config).await?;
    let ends = engine.run_now(vec![(Arc::clone(flow), Order::of(*cause, *range))]).await?;
    match ends.into_iter().find_map(|end| end.result) {
        Some(ended) => Ok(ended.run),
        None => bail!("what came of the run could not be recorded; see the log above"),
    }
}

/// Waits until the run has ended, and for a while until its mail has left.
async fn until_sent(store: &Store, id: i64, progress: &ProgressBar) -> anyhow::Result<Run> {
    let mut since_end: Option<Instant> = None;
    loop {
        let Some(run) = store.run(id).await? else {
            bail!(
                "run {id} did not come to its turn, for leadflow stopped or flows.toml has changed; what was asked \
                 for still waits, and is done as soon as it can be"
            )
        };
        match run.outcome {
            Outcome::Running => progress.set_message(format!("run {id} is under way")),
            Outcome::Waiting => {
                progress.set_message(format!("run {id}: {}; sending", output::line(&run.summary)));
                let since = since_end.get_or_insert_with(Instant::now).elapsed();
                if since > FOR_THE_MAIL || !store.mails_of(id).await?.iter().any(is_to_be_tried) {
                    return Ok(run);
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
    mail.is_sending || (is_untried && !mail.is_paced)
}

async fn told(store: &Store, run: &Run) -> anyhow::Result<String> {
    let mut text = super::run::line_of(run);
    if let Some(help) = &run.help {
        let _ = write!(text, "\n  {}", output::line(help));
    }
    for mail in store.mails_of(run.id).await? {
        for recipient in &mail.recipients {
            let _ = write!(text, "\n  {}", output::line(&super::history::told_recipient(recipient)));
        }
    }
    let _ = write!(text, "\n`leadflow history show {}` tells more", run.id);
    Ok(text)
}

/// A sign on a terminal that something is under way; elsewhere nothing.
pub(super) fn spinner(message: &'static str) -> ProgressBar {
    let bar = if io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    bar.set_message(message);
    bar.enable_steady_tick(PAUSE);
    bar
}

//! `leadflow trigger FLOW`, `leadflow resubmit RUN` and `leadflow replay FLOW --from TIME --to TIME`.

use std::process::ExitCode;

use anyhow::{anyhow, bail};
use jiff::Timestamp;
use leadflow::config::Loaded;
use leadflow::history::{Cause, Outcome, RowRange};
use leadflow::platform::clock::Clock;
use leadflow::store::Request;
use leadflow::tasks::replay;
use leadflow::views::runs::RunView;

use super::{Usage, ask, moment, output};

#[derive(clap::Args)]
pub(crate) struct TriggerArguments {
    /// The flow's name in flows.toml
    flow: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(crate) struct ResubmitArguments {
    /// The run's number
    run: i64,
    /// Also mail rows that were already mailed
    #[arg(long)]
    again: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(crate) struct ReplayArguments {
    /// The flow's name in flows.toml
    flow: String,
    /// Rows written later than this: 2026-11-20, 2026-11-20T08:00 (in `settings.time_zone`),
    /// 2026-11-20T08:00:00Z, or how long ago: "3 days"
    #[arg(long, value_name = "TIME")]
    from: String,
    /// And not later than this [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Also mail rows that were already mailed
    #[arg(long)]
    again: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    /// Print JSON; needs --yes
    #[arg(long)]
    json: bool,
}

pub(super) async fn trigger(loaded: Loaded, arguments: TriggerArguments) -> anyhow::Result<ExitCode> {
    super::state_to_change(&loaded).await?;
    super::is_on_in_file(&loaded, &arguments.flow).await?;
    let request = Request::Run { flow: arguments.flow, cause: Cause::Trigger, range: RowRange::New };
    Ok(ask::exit_of(&ask::run_flow(&loaded, request, arguments.json).await?))
}

pub(super) async fn resubmit(loaded: Loaded, arguments: ResubmitArguments) -> anyhow::Result<ExitCode> {
    let id = arguments.run;
    super::state_to_change(&loaded).await?;
    let no_run = || anyhow!("there is no run {id}; `leadflow history` shows the runs");
    let store = super::state_of(&loaded).await?.ok_or_else(no_run)?;
    let run = store.run(id).await?.ok_or_else(no_run)?;
    super::is_on_in_file(&loaded, &run.flow).await?;
    let Some((from, to)) = replay::window_of(&store, &run).await? else {
        bail!(
            "run {id} has read nothing, so there is no window to resubmit; `leadflow trigger {}` runs the \
             flow now",
            run.flow
        )
    };
    let range = RowRange::Replay { from, to, again: arguments.again };
    drop(store);
    let request = Request::Run { flow: run.flow, cause: Cause::Resubmit, range };
    let ended = ask::run_flow(&loaded, request, arguments.json).await?;
    if ended.outcome == Outcome::NothingNew && !arguments.again && !arguments.json {
        print_mailed(&loaded, &ended.flow, (from, to)).await?;
    }
    Ok(ask::exit_of(&ended))
}

/// Why a window has nothing to mail: its rows were mailed.
async fn print_mailed(loaded: &Loaded, name: &str, range: (Timestamp, Timestamp)) -> anyhow::Result<()> {
    // What a running daemon has of a file with mistakes is not known here.
    let Some(flow) = loaded.config.flows.get(name) else { return Ok(()) };
    let store = super::state_of(loaded).await?;
    // The run itself went well: that it cannot be read once more is not a failure.
    let Ok(found) = replay::count_rows(&loaded.config, flow, range, store.as_ref(), |_| ()).await else {
        return Ok(());
    };
    match found.mailed {
        0 => Ok(()),
        1 => output::print("1 row was mailed already; --again mails it again"),
        mailed => output::print(&format!("{mailed} rows were mailed already; --again mails them again")),
    }
}

pub(super) async fn replay(loaded: Loaded, arguments: ReplayArguments) -> anyhow::Result<ExitCode> {
    let flow = super::flow_named(&loaded.config, &arguments.flow)?;
    let zone = &loaded.config.settings.time_zone;
    let now = Clock::System.now();
    let from = moment::parse(&arguments.from, zone, now)?;
    let to = arguments.to.as_ref().map_or(Ok(now), |text| moment::parse(text, zone, now))?;
    if from >= to {
        return Err(Usage("--from is not before --to".to_owned()).into());
    }
    let store = super::state_to_change(&loaded).await?;
    let progress = ask::spinner("reading the range");
    let progress_of =
        |rows| progress.set_message(format!("reading the range: {}", output::counted(rows, "row")));
    let found = replay::count_rows(&loaded.config, flow, (from, to), store.as_ref(), progress_of).await;
    progress.finish_and_clear();
    let found = found.map_err(|error| anyhow!("{error}\n  {}", error.help()))?;
    drop(store);
    let count = if arguments.again { found.rows } else { found.rows - found.mailed };
    if !arguments.json {
        let was = if found.rows == 1 { "was" } else { "were" };
        let is = if found.mailed == 1 { "is" } else { "are" };
        let already = if arguments.again { "mailed again" } else { "left out" };
        output::print(&format!(
            "{}: {} {was} written from {} to {} ({}); {} of them {} mailed already and {is} {already}\n{} to mail to \
             {}",
            flow.name,
            output::counted(found.rows, "row"),
            output::moment(from, zone),
            output::moment(to, zone),
            zone.iana_name().unwrap_or("UTC"),
            found.mailed,
            if found.mailed == 1 { "was" } else { "were" },
            output::counted(count, "row"),
            flow.email.recipients().join(", "),
        ))?;
    }
    if count == 0 {
        if arguments.json {
            output::print_json(&None::<RunView>)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !arguments.yes && !is_agreed(arguments.json)? {
        output::print("nothing was done")?;
        return Ok(ExitCode::FAILURE);
    }
    let range = RowRange::Replay { from, to, again: arguments.again };
    let request = Request::Run { flow: arguments.flow, cause: Cause::Replay, range };
    Ok(ask::exit_of(&ask::run_flow(&loaded, request, arguments.json).await?))
}

/// Asks on a terminal; elsewhere nobody can be asked.
fn is_agreed(as_json: bool) -> anyhow::Result<bool> {
    if as_json || !ask::can_ask() {
        return Err(Usage("cannot ask for confirmation here; pass --yes to send".to_owned()).into());
    }
    ask::is_agreed("")
}

//! `leadflow history` and `leadflow history show RUN`.

mod follow;
mod show;
mod steps;

use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use leadflow::config::Loaded;
use leadflow::history::{Outcome, Run};
use leadflow::platform::clock::Clock;
use leadflow::store::{RunFilter, Store};
use leadflow::views::runs::RunView;

pub(super) use show::{mail_text, recipient_text};

use super::columns::{Column, Table};
use super::{moment, output};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only the runs of this flow
    flow: Option<String>,
    /// Only runs with this outcome; may be given more than once
    #[arg(long, value_name = "OUTCOME", value_delimiter = ',', value_parser = outcomes())]
    status: Vec<Outcome>,
    /// Only runs that began then or later: 2026-11-20, 2026-11-20T08:00 (in `settings.time_zone`),
    /// 2026-11-20T08:00:00Z, or how long ago: "3 days"
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only runs that began before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most this many runs
    #[arg(long, short = 'n', default_value_t = 20, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Only runs with a lower number: the page after the one that ended with it
    #[arg(long, value_name = "RUN", conflicts_with = "follow")]
    before: Option<i64>,
    /// Show the last runs, oldest first, then each run as it ends, until Ctrl-C; a run whose
    /// mail was waiting is shown again once it is not
    #[arg(long, short = 'f', conflicts_with = "until")]
    follow: bool,
    /// Print JSON; with --follow, one object per line
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show one run: its steps with their inputs and outputs, its mails and each recipient's reply
    Show(show::Arguments),
}

/// The words of the outcomes, which the command line lists when it does not know one.
fn outcomes() -> impl TypedValueParser<Value = Outcome> {
    let none = || clap::Error::new(clap::error::ErrorKind::InvalidValue);
    PossibleValuesParser::new(Outcome::all().map(Outcome::as_str))
        .try_map(move |word| Outcome::parse(&word).ok_or_else(none))
}

pub(super) async fn history(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let now = Clock::System.now();
    let zone = &loaded.config.settings.time_zone;
    let time = |text: &Option<String>| text.as_ref().map(|text| moment::parse(text, zone, now)).transpose();
    let asked = RunFilter {
        flow: arguments.flow.clone(),
        outcomes: arguments.status.clone(),
        since: time(&arguments.since)?,
        until: time(&arguments.until)?,
        before: arguments.before,
        after: None,
        limit: Some(arguments.limit),
    };
    match &arguments.command {
        Some(Command::Show(arguments)) => show::show(loaded, arguments).await,
        None if arguments.follow => follow::follow(loaded, &asked, arguments.json).await,
        None => runs(loaded, &asked, arguments.json).await,
    }
}

async fn runs(loaded: &Loaded, asked: &RunFilter, as_json: bool) -> anyhow::Result<ExitCode> {
    let store = super::state_of(loaded).await?;
    // One more than is shown says whether any is left.
    let one_more = RunFilter { limit: asked.limit.map(|limit| limit.saturating_add(1)), ..asked.clone() };
    let mut found = match &store {
        Some(store) => store.find_runs(one_more).await?,
        None => Vec::new(),
    };
    let limit = asked.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let is_more_left = found.len() > limit;
    found.truncate(limit);
    // Also of JSON: a flow that does not exist is reported.
    let none = if found.is_empty() { nothing(loaded, store.as_ref(), asked).await? } else { String::new() };
    if as_json {
        output::print_json(&found.iter().map(RunView::from).collect::<Vec<_>>())?;
    } else if found.is_empty() {
        output::print(&none)?;
    } else {
        let format = RunFormat::new(loaded);
        let rows = found.iter().map(|run| format.cells(run)).collect();
        output::print(&Table::new(&columns(), rows, format.width).to_string())?;
        if let Some(oldest) = found.last().filter(|_| is_more_left && format.width.is_some()) {
            output::print(&format!("for older runs, add --before {}", oldest.id))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Why there is nothing to show and what to do.
async fn nothing(loaded: &Loaded, store: Option<&Store>, asked: &RunFilter) -> anyhow::Result<String> {
    let any = async |flow: Option<String>| -> anyhow::Result<bool> {
        let Some(store) = store else { return Ok(false) };
        let one = RunFilter { flow, limit: Some(1), ..RunFilter::default() };
        Ok(!store.find_runs(one).await?.is_empty())
    };
    if any(asked.flow.clone()).await? {
        let of = asked.flow.as_ref().map_or_else(String::new, |flow| format!(" {flow}"));
        return Ok(format!("no run matches; `leadflow history{of}` shows the latest runs"));
    }
    if let Some(flow) = &asked.flow {
        super::is_on_in_file(loaded, flow).await?;
        if any(None).await? {
            return Ok(format!("no run of {flow} yet; `leadflow schedule {flow}` shows when it is due"));
        }
    }
    Ok("no run yet; `leadflow run` starts the daemon, `leadflow run --once` runs the flows now".to_owned())
}

fn columns() -> [Column; 9] {
    [
        Column::number("run"),
        Column::text("flow").shrinks(8),
        Column::text("due").if_room(2),
        Column::text("started"),
        Column::number("took"),
        Column::text("outcome").shrinks(7),
        Column::number("rows"),
        Column::number("mails"),
        Column::text("").shrinks(20).if_room(1),
    ]
}

/// How runs are shown: their zone, and the width of the terminal.
struct RunFormat<'a> {
    zone: &'a TimeZone,
    now: Timestamp,
    width: Option<usize>,
}

impl<'a> RunFormat<'a> {
    fn new(loaded: &'a Loaded) -> Self {
        let zone = &loaded.config.settings.time_zone;
        Self { zone, now: Clock::System.now(), width: output::width() }
    }

    fn moment(&self, at: Timestamp) -> String {
        output::moment_within(at, self.zone, self.now, self.width)
    }

    fn cells(&self, run: &Run) -> Vec<String> {
        vec![
            run.id.to_string(),
            run.flow.clone(),
            run.due.map_or_else(|| "–".to_owned(), |due| self.moment(due)),
            self.moment(run.started),
            took(run),
            run.outcome.as_str().to_owned(),
            run.rows.to_string(),
            run.mails.to_string(),
            run.summary.clone(),
        ]
    }
}

fn took(run: &Run) -> String {
    run.ended.map_or_else(|| "–".to_owned(), |ended| output::duration(ended.duration_since(run.started)))
}

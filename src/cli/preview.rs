//! `leadflow preview FLOW`.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use leadflow::config::Loaded;
use leadflow::flow::Flow;
use leadflow::flow::condition::Verdict;
use leadflow::platform::clock::Clock;
use leadflow::platform::ownership::{Draft, Readers};
use leadflow::store::{FlowOverview, Store};
use leadflow::tasks::preview::{self, Preview, Rows};
use leadflow::views::preview::{MessageView, PreviewView};

use super::{moment, output};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The flow's name in flows.toml
    flow: String,
    /// Show every row that the filter matches, mailed or not
    #[arg(long, conflicts_with_all = ["since", "last"])]
    all: bool,
    /// Show the newest rows, mailed or not
    #[arg(long, value_name = "COUNT", conflicts_with = "since")]
    last: Option<usize>,
    /// Show rows written since then, mailed or not: 2026-11-20, 2026-11-20T08:00 (in the flow's time zone),
    /// 2026-11-20T08:00:00Z, or how long ago: "3 days"
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Also write the mail's HTML to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn preview(loaded: Loaded, arguments: Arguments) -> anyhow::Result<ExitCode> {
    // What would be mailed now, the state alone knows.
    let is_of_now = !arguments.all && arguments.last.is_none() && arguments.since.is_none();
    let store = if is_of_now {
        super::state_of(&loaded).await?
    } else {
        super::warn_lost(&loaded);
        None
    };
    let config = loaded.config;
    let flow = super::flow_named(&config, &arguments.flow)?;
    let clock = Clock::System;
    let rows = match (arguments.last, &arguments.since) {
        _ if arguments.all => Rows::All,
        (Some(count), _) => Rows::Last(count),
        (None, Some(text)) => Rows::Since(moment::parse(text, &flow.time_zone, clock.now())?),
        (None, None) => Rows::New,
    };
    let found = preview::preview(&config, flow, &clock, store.as_ref(), rows)
        .await
        .map_err(|error| anyhow!("{error}\n  help: {}", error.help()))?;
    let verdict = flow.condition.decide(found.length);
    if arguments.json {
        return as_json(flow, found, rows, arguments.html.as_deref());
    }
    let head = head(flow, &found, rows, verdict, store.as_ref()).await?;
    output::print(&head.iter().map(|line| output::wrapped(line, "  ") + "\n").collect::<String>())?;
    if found.length == 0 && verdict != Verdict::Mail {
        return Ok(ExitCode::SUCCESS);
    }
    output::print("\n")?;
    for note in found.mails.notes() {
        output::eprint(&output::line(&format!("note: {note}")));
    }
    for (number, mail) in (1..).zip(found.mails.read()) {
        let (_, bytes) = mail?;
        let message = read_back(&bytes)?;
        output::print(&text(&message))?;
        if let Some(path) = arguments.html.as_ref().filter(|_| number == 1) {
            write_html(path, &message)?;
            output::eprint(&format!("the mail's HTML is in {}", path.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Which rows are shown, and what a run would do with them.
async fn head(
    flow: &Flow,
    found: &Preview,
    rows: Rows,
    verdict: Verdict,
    store: Option<&Store>,
) -> anyhow::Result<Vec<String>> {
    let since = output::moment(found.past_time, &flow.time_zone);
    let counted = output::counted(found.length, "row");
    let condition = &flow.condition;
    let mut lines = vec![match rows {
        Rows::New => format!("{} since {since}", output::counted(found.length, "new row")),
        Rows::Since(_) => format!("{counted} since {since}, mailed or not"),
        Rows::All => format!("all rows that the filter matches, mailed or not: {counted}"),
        Rows::Last(_) => format!("the newest rows that the filter matches, mailed or not: {counted}"),
    }];
    if found.left_out > 0 && !found.is_first {
        let others = output::counted(found.left_out, "row");
        lines.push(format!(
            "{others} since then, read by earlier runs, not mailed again; --all shows every row"
        ));
    }
    if found.is_first {
        lines
            .push("the flow has not read this table yet: rows written before then are not mailed".to_owned());
    }
    if found.tests > 0 {
        lines.push(format!("{} among them", output::counted(found.tests, "test lead")));
    }
    if found.hidden_tests > 0 {
        let tests = output::counted(found.hidden_tests, "test lead");
        lines.push(format!("{tests} omitted, because flows.toml has test_leads = \"hide\""));
    }
    lines.push(match (rows, verdict == Verdict::Mail) {
        (Rows::New, true) => format!("{condition} is true: a run now would send this"),
        (Rows::New, false) => format!("{condition} is false: a run now would send nothing"),
        (_, true) => format!("{condition} is true: these rows would make this mail"),
        (_, false) => format!("{condition} is false: these rows would make no mail"),
    });
    if rows == Rows::New {
        lines.extend(around(flow, found, store).await?);
    }
    lines.push("nothing is sent or recorded".to_owned());
    Ok(lines)
}

/// What else somebody should know who asks what would be mailed now.
async fn around(flow: &Flow, found: &Preview, store: Option<&Store>) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    let name = &flow.name;
    let known = match store {
        Some(store) => store.overview(vec![name.clone()]).await?.pop().unwrap_or_default(),
        None => FlowOverview::default(),
    };
    if !flow.enabled {
        lines.push("the flow is off: flows.toml has enabled = false".to_owned());
    } else if known.off_since.is_some() {
        lines.push(format!("the flow is off: `leadflow on {name}` turns it on"));
    }
    if let Ok(waiting @ 1..) = u64::try_from(known.waiting_mails) {
        let waiting = output::counted(waiting, "mail");
        lines.push(format!("{waiting} of earlier runs still to be sent: `leadflow outbox list`"));
    }
    if found.length == 0 {
        lines.push(format!("`leadflow preview {name} --last 3` shows the mail of the three newest rows"));
    }
    Ok(lines)
}

fn write_html(path: &Path, message: &MessageView) -> anyhow::Result<()> {
    let html = message.html.as_deref().unwrap_or_default();
    let written = Draft::replacing(path, Readers::Asker).and_then(|mut draft| {
        io::Write::write_all(&mut draft, html.as_bytes())?;
        draft.keep()
    });
    written.map_err(|error| anyhow!("cannot write {}: {error}", path.display()))
}

fn as_json(flow: &Flow, found: Preview, rows: Rows, html: Option<&Path>) -> anyhow::Result<ExitCode> {
    let mut view = PreviewView::new(flow, &found, rows);
    if view.length > 0 || view.result {
        for mail in found.mails.read() {
            let (_, bytes) = mail?;
            let message = read_back(&bytes)?;
            if let Some(path) = html.filter(|_| view.mails.is_empty()) {
                write_html(path, &message)?;
            }
            view.mails.push(message);
        }
    }
    output::print_json(&view)?;
    Ok(ExitCode::SUCCESS)
}

/// The mail as its reader has it.
pub(super) fn read_back(bytes: &[u8]) -> anyhow::Result<MessageView> {
    MessageView::read(bytes).context("the mail cannot be read back")
}

/// The mail as a person reads it.
pub(super) fn text(message: &MessageView) -> String {
    let text = message.text.as_deref().unwrap_or_default().trim_end().replace('\n', "\n  ");
    let subject = output::line(message.subject.as_deref().unwrap_or_default());
    let mut shown = format!("  Subject: {subject}\n\n  {text}\n");
    for file in &message.attachments {
        let name = output::line(file.name.as_deref().unwrap_or_default());
        let _ = write!(shown, "\n  attached: {name}, {}\n", output::counted(file.bytes as u64, "byte"));
    }
    shown
}

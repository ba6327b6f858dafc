//! `leadflow demo`: the real daemon on an embedded table and a mail folder.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{fs, io};

use anyhow::Context as _;
use leadflow::config;
use leadflow::daemon::ticker;
use leadflow::daemon::{self, Drive, Signal};
use leadflow::platform::clock::Clock;
use leadflow::services::table::EmbeddedTable;
use leadflow::tasks::made_up_leads::MadeUpLead;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::output;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// End after the first mail
    #[arg(long)]
    once: bool,
}

/// What the demo runs: the flow of the guide, each two seconds.
const FLOWS: &str = r#"[settings]
state = "state"

[connections.demo.embedded_table]
file = "demo.db"

[connections.folder.mail_folder]
path = "mail"

[flows.marketplace-leads]
description = "New marketplace leads"
condition = "length > 0"

[flows.marketplace-leads.recurrence]
frequency = "second"
interval = 2

[flows.marketplace-leads.window]
unit = "hour"
interval = 1

[flows.marketplace-leads.table]
connection = "demo"
name = "marketplaceleads"
filter = "Timestamp gt datetime'{{past_time}}'"

[flows.marketplace-leads.email]
connection = "folder"
to = "sales@contoso.example; partners@contoso.example"
subject = "{{length}} new {{#if (eq length 1)}}lead{{else}}leads{{/if}}"
template = "marketplace-leads"
per_hour = 3600
"#;

/// Leads that are there from the start.
const FIRST_LEADS: usize = 3;

/// Between two new leads.
const NEXT_LEAD: Duration = Duration::from_secs(5);
/// Between two reads of the mail folder.
const LOOK: Duration = Duration::from_millis(200);

pub(super) async fn demo(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let folder = fresh_folder()?;
    let path = folder.join("flows.toml");
    fs::write(&path, FLOWS)?;
    let table = EmbeddedTable::open(&folder.join("state/demo.db"), "marketplaceleads")?;
    let first: Vec<_> = (0..FIRST_LEADS).map(lead).collect();
    table.insert(&first, Clock::System.now())?;
    output::print(&format!(
        "The flow of the guide in {}, on an embedded table with {} leads.\nIt runs every 2 seconds and mails to a \
         folder.{}\n",
        path.display(),
        FIRST_LEADS,
        if arguments.once { "" } else { " A new lead comes every 5 seconds; Ctrl-C ends it." }
    ))?;
    let loaded = config::load(&path)?;
    let (send, signals) = mpsc::channel(4);
    super::run::listen(&send)?;
    let drive = Drive { clock: Clock::System, ticks: ticker::start(), signals, watch: None };
    let show = show_mails(&folder, &table, arguments.once, send);
    let (shown, ended) = tokio::join!(show, daemon::run(loaded, drive));
    ended?;
    shown?;
    // As it was typed, or as cargo names it: it need not be where the shell looks.
    let program = std::env::args().next().unwrap_or_else(|| "leadflow".to_owned());
    output::print(&format!(
        "\nSee what it did:  {program} --config {} history\n\
         Go live:          docs/getting-started.md\n\
         Its files:        {}",
        path.display(),
        folder.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Shows each mail as it comes, and adds leads, until the daemon stops.
async fn show_mails(
    folder: &Path,
    table: &EmbeddedTable,
    once: bool,
    signals: mpsc::Sender<Signal>,
) -> anyhow::Result<()> {
    let mut shown = Vec::new();
    let mut leads = FIRST_LEADS;
    let mut next_lead = Instant::now() + NEXT_LEAD;
    loop {
        tokio::select! {
            () = sleep(LOOK) => {}
            () = sleep_until(next_lead), if !once => {
                next_lead += NEXT_LEAD;
                table.insert(&[lead(leads)], Clock::System.now())?;
                leads += 1;
                continue;
            }
            () = signals.closed() => return Ok(()),
        }
        for mail in mails_in(&folder.join("state/mail"))? {
            if !shown.contains(&mail) {
                output::print(&text_of(&mail)?)?;
                shown.push(mail);
            }
        }
        if once && !shown.is_empty() {
            signals.send(Signal::Stop).await.context("the daemon has ended")?;
            return Ok(());
        }
    }
}

fn fresh_folder() -> io::Result<PathBuf> {
    let mode = fs::Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new().prefix("leadflow-demo-").permissions(mode).tempdir()?;
    Ok(folder.keep())
}

fn mails_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.retain(|path| path.extension().is_some_and(|ending| ending == "eml"));
    found.sort();
    Ok(found)
}

fn text_of(mail: &Path) -> anyhow::Result<String> {
    Ok(format!("{}\n{}", mail.display(), super::preview::text(&super::preview::read_back(&fs::read(mail)?)?)))
}

fn lead(number: usize) -> Map<String, Value> {
    MadeUpLead::for_demo(number, Clock::System.now()).columns
}

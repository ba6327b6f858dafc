//! `leadflow health`.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;

use leadflow::alarm::Alarm;
use leadflow::config::Loaded;
use leadflow::flow::Config;
use leadflow::platform::clock::Clock;
use leadflow::store::state;
use leadflow::store::{AlarmFacts, NodeRecord, OpenMails, Store, StoreError};
use leadflow::tasks::health::Health;
use leadflow::views::health::HealthView;
use leadflow::views::metrics::MetricsView;

use super::daemon::Worker;
use super::{daemon, output};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write figures for Prometheus into this file instead, `-` for standard output
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    prometheus: Option<PathBuf>,
}

/// Report whether anything is failing, late or held; exit status 1 with the reason if so.
pub(super) async fn health(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let state = state::open_to_read(&loaded.config).await;
    let Findings { mut reasons, alarms, state } = match state {
        // A server that is away, or lets nobody in, is why no mail leaves.
        Err(error @ StoreError::Postgres { .. }) => Findings::alone(output::line(&error.to_string())),
        // Who may not read the state has nothing to say of it.
        Err(error) if arguments.prometheus.is_none() || matches!(error, StoreError::Folder { .. }) => {
            return Err(error.into());
        }
        Err(error) => Findings::alone(output::line(&error.to_string())),
        Ok(None) => Findings::alone(format!(
            "there is no state yet: leadflow has never run; start it: {}",
            daemon::how_to_start(loaded)
        )),
        Ok(Some(store)) => collect(loaded, &store).await?,
    };
    if let Some(invalid) = &loaded.invalid {
        let what = output::line(&invalid.report.in_short());
        reasons.push(format!("{what}\n  fix the file and save it; `leadflow check` shows every problem"));
    }
    let is_well = reasons.is_empty();
    if let Some(file) = &arguments.prometheus {
        write(&figures(&loaded.config, is_well, &alarms, state)?, file)?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.json {
        output::print_json(&HealthView::new(reasons, &alarms))?;
    } else if is_well {
        output::print("all is well")?;
    } else {
        let lines = reasons.iter().flat_map(|reason| reason.lines());
        let lines: Vec<_> = lines.map(|line| output::wrapped(line, "  ")).collect();
        output::print(&lines.join("\n"))?;
    }
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is wrong, and what was seen.
struct Findings {
    reasons: Vec<String>,
    alarms: Vec<Alarm>,
    /// `None` where the state cannot be used.
    state: Option<Seen>,
}

struct Seen {
    facts: AlarmFacts,
    mails: OpenMails,
    nodes: Vec<NodeRecord>,
    /// `None` where it is not known.
    is_daemon_running: Option<bool>,
}

impl Findings {
    /// A reason why nothing else was seen.
    fn alone(reason: String) -> Self {
        Self { reasons: vec![reason], alarms: Vec::new(), state: None }
    }
}

/// Figures in the text format of Prometheus.
fn figures(config: &Config, is_well: bool, alarms: &[Alarm], state: Option<Seen>) -> anyhow::Result<String> {
    let mut view = MetricsView::new(is_well);
    if let Some(Seen { facts, mails, nodes, is_daemon_running }) = state {
        if let Some(is_running) = is_daemon_running {
            view.add_daemon(is_running);
        }
        view.add_state(config, &facts, alarms);
        view.add_mails(mails);
        if config.settings.postgres.is_some() {
            view.add_nodes(&nodes);
        }
    }
    Ok(view.to_text()?)
}

/// Whole or not at all, since another process may read it at any moment; for everybody, as it holds no personal data.
fn write(text: &str, file: &Path) -> anyhow::Result<()> {
    if file == Path::new("-") {
        return output::print(text.trim_end());
    }
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let replace = || -> io::Result<()> {
        let mut new = tempfile::Builder::new().prefix(".leadflow-").tempfile_in(folder)?;
        new.write_all(text.as_bytes())?;
        new.as_file().set_permissions(Permissions::from_mode(0o644))?;
        new.persist(file)?;
        Ok(())
    };
    replace().map_err(|error| anyhow!("cannot write {}: {error}", file.display()))
}

async fn collect(loaded: &Loaded, store: &Store) -> anyhow::Result<Findings> {
    let mut reasons = Vec::new();
    // Who may read the state and not the lock learns of a daemon that is gone by what is late.
    let worker = daemon::worker(loaded, store).await;
    let is_running = !matches!(worker, Ok(None | Some(Worker::Command(_))));
    match &worker {
        Ok(Some(Worker::Daemon)) => {}
        Ok(worker) => reasons.push(daemon::none_is_running(loaded, worker.as_ref(), "")),
        Err(error) => {
            output::eprint(&format!("note: it is not known whether a daemon is running: {error}"));
        }
    }
    let health = Health::collect(loaded, store, is_running, Clock::System.now()).await?;
    let Health { reasons: others, alarms, facts, nodes } = health;
    let mails = store.open_mails().await?;
    reasons.extend(others);
    let is_daemon_running = worker.is_ok().then_some(is_running);
    Ok(Findings { reasons, alarms, state: Some(Seen { facts, mails, nodes, is_daemon_running }) })
}

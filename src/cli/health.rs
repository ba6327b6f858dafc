//! `leadflow health`.

use std::process::ExitCode;

use leadflow::alarm::{Alarm, AlarmKind, RaisedAlarm, clears_held};
use leadflow::config::Loaded;
use leadflow::engine::alarms;
use leadflow::platform::clock::Clock;
use leadflow::store::state;
use leadflow::store::{Store, StoreError};
use leadflow::views::health::HealthView;

use super::daemon::Worker;
use super::{daemon, output};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Report whether anything is failing, late or held; exit status 1 with the reason if so.
pub(super) async fn health(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let state = state::open_to_read(&loaded.config).await;
    let Reasons { mut reasons, alarms } = match state {
        // A server that is away, or lets nobody in, is why no mail leaves.
        Err(error @ StoreError::Postgres { .. }) => {
            Reasons { reasons: vec![output::line(&error.to_string())], alarms: Vec::new() }
        }
        Err(error) => return Err(error.into()),
        Ok(None) => Reasons {
            reasons: vec![format!(
                "there is no state yet: leadflow has never run; start it: {}",
                daemon::how_to_start(loaded)
            )],
            alarms: Vec::new(),
        },
        Ok(Some(store)) => collect(loaded, &store).await?,
    };
    if let Some(invalid) = &loaded.invalid {
        let what = output::line(&invalid.report.in_short());
        reasons.push(format!("{what}\n  fix the file and save it; `leadflow check` shows every problem"));
    }
    let is_well = reasons.is_empty();
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

struct Reasons {
    reasons: Vec<String>,
    alarms: Vec<Alarm>,
}

async fn collect(loaded: &Loaded, store: &Store) -> anyhow::Result<Reasons> {
    let mut reasons = Vec::new();
    let config = &loaded.config;
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
    let facts = store.alarm_facts().await?;
    for name in config.flows.keys() {
        if !facts.flows.contains_key(name) {
            reasons.push(format!("{name} has never run; run it now: leadflow trigger {name}"));
        }
    }
    let nodes = if config.settings.postgres.is_some() { store.nodes().await? } else { Vec::new() };
    let alarms = alarms::current_alarms(&facts, &nodes, config, is_running, Clock::System.now());
    // Of the file that it continues with, where the present one is another.
    let raised = if is_running { facts.raised } else { Vec::new() };
    let is_shown = |raised: &RaisedAlarm| match raised.kind {
        AlarmKind::File => loaded.invalid.is_none(),
        _ => loaded.invalid.is_some() && !alarms.iter().any(|alarm| raised.is_of(alarm)),
    };
    reasons.extend(raised.iter().filter(|raised| is_shown(raised)).map(raised_text));
    reasons.extend(alarms.iter().map(reason));
    if let Some((mail, reply)) = facts.held_alarm_mail {
        let reply = output::line(&reply);
        let ways = clears_held(mail);
        reasons.push(format!(
            "mail {mail} to settings.failures.to is held, so nobody is notified of failures: {reply}\n  \
             {ways}"
        ));
    }
    Ok(Reasons { reasons, alarms })
}

fn raised_text(raised: &RaisedAlarm) -> String {
    let what = output::line(&raised.what);
    if raised.kind == AlarmKind::File {
        what
    } else {
        format!("{}: {what}", raised.kind.title(&raised.about))
    }
}

fn reason(alarm: &Alarm) -> String {
    let times = if alarm.times > 1 { format!(" ({} times in a row)", alarm.times) } else { String::new() };
    let Alarm { look, .. } = alarm;
    let what = output::line(&alarm.what);
    let help = output::line(&alarm.help);
    format!("{}{times}: {what}\n  {help}; for details: {look}", alarm.kind.title(&alarm.about))
}

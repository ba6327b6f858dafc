//! `leadflow history` and `leadflow history show RUN`.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use jiff::tz::TimeZone;
use leadflow::config::Loaded;
use leadflow::history::{Run, Step};
use leadflow::outbox::Recipient;
use leadflow::store::{MailRecord, Store};
use serde_json::{Value, json};

use super::output;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only the runs of this flow
    flow: Option<String>,
    /// At most so many runs
    #[arg(long, short = 'n', default_value_t = 20, value_name = "COUNT")]
    limit: u32,
    /// For scripts
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// One run: its steps with their inputs and outputs, its mails and each recipient's reply
    Show {
        /// The run's number
        run: i64,
        /// For scripts
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn history(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let store = super::state_of(loaded)?;
    match arguments.command {
        Some(Command::Show { run, json }) => show(loaded, store.as_ref(), run, json),
        None => runs(loaded, store.as_ref(), arguments),
    }
}

fn runs(loaded: &Loaded, store: Option<&Store>, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let flow = arguments.flow.as_deref();
    let found = store.map(|store| store.runs(flow, arguments.limit)).transpose()?.unwrap_or_default();
    if let Some(flow) = flow.filter(|_| found.is_empty()) {
        super::flow_named(&loaded.config, flow)?;
    }
    if arguments.json {
        output::print_json(&found.iter().map(json_of_run).collect())?;
    } else if found.is_empty() {
        output::print(
            "no run yet; `leadflow run` starts the daemon, `leadflow run --once` runs the flows now",
        )?;
    } else {
        let zone = &loaded.config.settings.time_zone;
        let head = ["run", "flow", "started", "took", "outcome", "rows", "mails", ""];
        output::print(&output::table(&head, found.iter().map(|run| cells(run, zone))))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn cells(run: &Run, zone: &TimeZone) -> Vec<String> {
    vec![
        run.id.to_string(),
        run.flow.clone(),
        output::moment(run.started, zone),
        took(run),
        run.outcome.word().to_owned(),
        run.rows.to_string(),
        run.mails.to_string(),
        run.summary.clone(),
    ]
}

fn took(run: &Run) -> String {
    run.ended.map_or_else(|| "–".to_owned(), |ended| output::duration(ended.duration_since(run.started)))
}

pub(super) fn json_of_run(run: &Run) -> Value {
    json!({
        "run": run.id, "flow": run.flow, "cause": run.cause, "due": run.due.map(|at| at.to_string()),
        "started": run.started.to_string(), "ended": run.ended.map(|at| at.to_string()),
        "outcome": run.outcome.word(), "summary": run.summary, "rows": run.rows, "mails": run.mails,
        "help": run.help,
    })
}

fn show(loaded: &Loaded, store: Option<&Store>, id: i64, as_json: bool) -> anyhow::Result<ExitCode> {
    let found = store.map(|store| store.run(id).map(|run| (store, run))).transpose()?;
    let Some((store, Some(run))) = found else {
        bail!("there is no run {id}; `leadflow history` shows the runs")
    };
    let (steps, mails) = (store.steps(id)?, store.mails_of(id)?);
    if as_json {
        let mut all = json_of_run(&run);
        all["steps"] = steps.iter().map(json_of_step).collect();
        all["mails"] = mails.iter().map(json_of_mail).collect();
        output::print_json(&all)?;
    } else {
        output::print(&told(&run, &steps, &mails, &loaded.config.settings.time_zone))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn json_of_step(step: &Step) -> Value {
    let took = u64::try_from(step.took.as_micros()).unwrap_or_default();
    json!({ "step": step.name, "took_us": took, "inputs": step.inputs, "outputs": step.outputs })
}

pub(super) fn json_of_mail(mail: &MailRecord) -> Value {
    let of_recipient = |recipient: &Recipient| {
        json!({
            "address": recipient.address, "state": recipient.state.word(), "uncertain": recipient.uncertain,
            "reply": recipient.reply,
        })
    };
    json!({
        "mail": mail.id, "subject": mail.subject, "message_id": mail.message_id, "bytes": mail.size,
        "tries": mail.tries, "next_try": mail.next_try.map(|at| at.to_string()), "is_paced": mail.is_paced,
        "recipients": mail.recipients.iter().map(of_recipient).collect::<Vec<_>>(),
    })
}

/// The run as a person reads it.
fn told(run: &Run, steps: &[Step], mails: &[MailRecord], zone: &TimeZone) -> String {
    let mut text = format!("run {} of {}: {}\n  {}\n", run.id, run.flow, run.outcome.word(), run.summary);
    let due = run.due.map(|due| output::moment(due, zone));
    let facts = [
        ("cause", Some(run.cause.clone())),
        ("due", due),
        ("started", Some(output::moment(run.started, zone))),
        ("took", Some(took(run))),
        ("help", run.help.clone()),
    ];
    for (name, value) in facts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        let _ = writeln!(text, "  {name:<8} {value}");
    }
    for step in steps {
        let _ = writeln!(text, "\n{} ({})", step.name, output::duration(step.took));
        for (arrow, values) in [("→", &step.inputs), ("←", &step.outputs)] {
            for (name, value) in
                values.as_object().into_iter().flatten().filter(|(_, value)| is_something(value))
            {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let _ = writeln!(text, "  {arrow} {name}: {value}");
            }
        }
    }
    for mail in mails {
        text += &told_mail(mail, zone);
    }
    text
}

/// A mail with each recipient's state and reply.
pub(super) fn told_mail(mail: &MailRecord, zone: &TimeZone) -> String {
    let mut text = String::new();
    let tries = if mail.tries == 1 { "1 try".to_owned() } else { format!("{} tries", mail.tries) };
    let size = mail.size.map_or_else(|| "bytes purged".to_owned(), |size| format!("{size} bytes"));
    let _ = writeln!(text, "\nmail {}: {}\n  {} · {size} · {tries}", mail.id, mail.subject, mail.message_id);
    if let Some(next_try) = mail.next_try {
        let reason = if mail.is_paced { " (per_hour is used up)" } else { "" };
        let _ = writeln!(text, "  next try {}{reason}", output::moment(next_try, zone));
    }
    for recipient in &mail.recipients {
        let _ = writeln!(text, "  {}", told_recipient(recipient));
    }
    text
}

fn is_something(value: &Value) -> bool {
    !value.is_null() && value.as_array().is_none_or(|items| !items.is_empty())
}

pub(super) fn told_recipient(recipient: &Recipient) -> String {
    let mark = match recipient.uncertain {
        0 => String::new(),
        1 => " (uncertain: it may have arrived once more)".to_owned(),
        times => format!(" (uncertain: it may have arrived {times} times more)"),
    };
    let reply = recipient.reply.as_ref().map_or_else(String::new, |reply| format!(": {reply}"));
    format!("{} {}{mark}{reply}", recipient.address, recipient.state.word())
}

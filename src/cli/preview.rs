//! `leadflow preview FLOW`.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use leadflow::clock::Clock;
use leadflow::condition::Verdict;
use leadflow::config::Loaded;
use leadflow::flow::Flow;
use leadflow::ownership::{Draft, Readers};
use leadflow::preview::{self, Preview, Rows};
use mail_parser::{MessageParser, MimeHeaders as _};
use serde_json::{Value, json};

use super::{moment, output};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The flow's name in flows.toml
    flow: String,
    /// The newest rows, whenever they were written
    #[arg(long, value_name = "COUNT", conflicts_with = "since")]
    last: Option<usize>,
    /// Rows written since then: 2026-01-05, 2026-01-05T08:00:00 (in the flow's zone), "2 days"
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Also write the mail's HTML to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// For scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn preview(loaded: Loaded, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = loaded.config;
    let flow = super::flow_named(&config, &arguments.flow)?;
    let clock = Clock::System;
    let rows = match (arguments.last, &arguments.since) {
        (Some(count), _) => Rows::Last(count),
        (None, Some(text)) => Rows::Since(moment::parse(text, &flow.time_zone, clock.now())?),
        (None, None) => Rows::Window,
    };
    let found = preview::preview(&config, flow, &clock, rows)
        .await
        .map_err(|error| anyhow!("{error}\n  help: {}", error.help()))?;
    let verdict = flow.condition.decide(found.length);
    if arguments.json {
        return as_json(flow, found, verdict, arguments.html.as_deref());
    }
    let then = if verdict == Verdict::Mail {
        "is true: this would be sent"
    } else {
        "is false: nothing would be sent"
    };
    let since = output::moment(found.past_time, &flow.time_zone);
    let length = found.length;
    output::print(&format!(
        "{length} rows since {since}; {} {then}; nothing is sent or recorded\n",
        flow.condition
    ))?;
    if length == 0 && verdict != Verdict::Mail {
        return Ok(ExitCode::SUCCESS);
    }
    for note in found.mails.notes() {
        output::complain(&output::line(&format!("note: {note}")));
    }
    for (number, mail) in (1..).zip(found.mails.read()) {
        let (_, bytes) = mail?;
        output::print(&told(&bytes)?)?;
        if let Some(path) = arguments.html.as_ref().filter(|_| number == 1) {
            write_html(path, &bytes)?;
            output::complain(&format!("the mail's HTML is in {}", path.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write_html(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let message = MessageParser::default().parse(bytes).context("the mail cannot be read back")?;
    let html = message.body_html(0).unwrap_or_default();
    let written = Draft::replacing(path, Readers::Asker).and_then(|mut draft| {
        io::Write::write_all(&mut draft, html.as_bytes())?;
        draft.keep()
    });
    written.map_err(|error| anyhow!("cannot write {}: {error}", path.display()))
}

fn as_json(flow: &Flow, found: Preview, verdict: Verdict, html: Option<&Path>) -> anyhow::Result<ExitCode> {
    let (past_time, length, notes) =
        (found.past_time.to_string(), found.length, found.mails.notes().to_vec());
    let mut mails = Vec::new();
    if length > 0 || verdict == Verdict::Mail {
        for mail in found.mails.read() {
            let (_, bytes) = mail?;
            if let Some(path) = html.filter(|_| mails.is_empty()) {
                write_html(path, &bytes)?;
            }
            mails.push(json_of(&bytes)?);
        }
    }
    output::print_json(&json!({
        "flow": flow.name, "past_time": past_time, "length": length, "condition": flow.condition.to_string(),
        "result": verdict == Verdict::Mail, "then": verdict.words(), "notes": notes, "mails": mails,
    }))?;
    Ok(ExitCode::SUCCESS)
}

fn json_of(bytes: &[u8]) -> anyhow::Result<Value> {
    let message = MessageParser::default().parse(bytes).context("the mail cannot be read back")?;
    let attachments = message
        .attachments()
        .map(|part| json!({ "name": part.attachment_name(), "bytes": part.contents().len() }));
    Ok(json!({
        "subject": message.subject(), "text": message.body_text(0), "html": message.body_html(0),
        "attachments": attachments.collect::<Vec<_>>(),
    }))
}

/// The mail as a person reads it.
pub(super) fn told(bytes: &[u8]) -> anyhow::Result<String> {
    let message = MessageParser::default().parse(bytes).context("the mail cannot be read back")?;
    let text = message.body_text(0).unwrap_or_default().trim_end().replace('\n', "\n  ");
    let subject = output::line(message.subject().unwrap_or_default());
    let mut told = format!("  Subject: {subject}\n\n  {text}\n");
    for part in message.attachments() {
        let name = output::line(part.attachment_name().unwrap_or_default());
        let _ = write!(told, "\n  attached: {name}, {} bytes\n", part.contents().len());
    }
    Ok(told)
}

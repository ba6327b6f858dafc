//! `leadflow preview FLOW`.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, civil};
use leadflow::clock::Clock;
use leadflow::condition::Verdict;
use leadflow::config::Loaded;
use leadflow::preview::{self, Rows};
use mail_parser::{MessageParser, MimeHeaders as _};

use super::{Usage, output};

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
}

pub(super) async fn preview(loaded: Loaded, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = loaded.config;
    let flow = super::flow_named(&config, &arguments.flow)?;
    let clock = Clock::System;
    let rows = match (arguments.last, &arguments.since) {
        (Some(count), _) => Rows::Last(count),
        (None, Some(text)) => Rows::Since(moment(text, &flow.time_zone, clock.now())?),
        (None, None) => Rows::Window,
    };
    let found = preview::preview(&config, flow, &clock, rows)
        .await
        .map_err(|error| anyhow!("{error}\n  help: {}", error.help()))?;
    let verdict = flow.condition.decide(found.length);
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
        output::complain(&format!("note: {note}"));
    }
    for (number, mail) in (1..).zip(found.mails.read()) {
        let (_, bytes) = mail?;
        output::print(&told(&bytes)?)?;
        if let Some(path) = arguments.html.as_ref().filter(|_| number == 1) {
            let message = MessageParser::default().parse(&bytes).context("the mail cannot be read back")?;
            let html = message.body_html(0).unwrap_or_default();
            fs::write(path, html.as_bytes())
                .map_err(|error| anyhow!("cannot write {}: {error}", path.display()))?;
            output::complain(&format!("the mail's HTML is in {}", path.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The mail as a person reads it.
pub(super) fn told(bytes: &[u8]) -> anyhow::Result<String> {
    let message = MessageParser::default().parse(bytes).context("the mail cannot be read back")?;
    let text = message.body_text(0).unwrap_or_default().trim_end().replace('\n', "\n  ");
    let mut told = format!("  Subject: {}\n\n  {text}\n", message.subject().unwrap_or_default());
    for part in message.attachments() {
        let name = part.attachment_name().unwrap_or_default();
        let _ = write!(told, "\n  attached: {name}, {} bytes\n", part.contents().len());
    }
    Ok(told)
}

/// A date, a local date and time, a moment with its offset, or how long ago.
fn moment(text: &str, zone: &TimeZone, now: Timestamp) -> Result<Timestamp, Usage> {
    let local = |at: civil::DateTime| zone.to_ambiguous_zoned(at).compatible().ok().map(|at| at.timestamp());
    let ago = |span: Span| now.to_zoned(zone.clone()).checked_sub(span.abs()).ok().map(|at| at.timestamp());
    text.parse::<Timestamp>()
        .ok()
        .or_else(|| text.parse::<civil::DateTime>().ok().and_then(local))
        .or_else(|| text.parse::<Span>().ok().and_then(ago))
        .ok_or_else(|| Usage(format!("`{text}` is no time; write 2026-01-05T08:00:00 or \"2 days\"")))
}

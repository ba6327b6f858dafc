//! `leadflow history show RUN`.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::anyhow;
use jiff::tz::TimeZone;
use leadflow::config::Loaded;
use leadflow::history::{RecordedStep, Run};
use leadflow::outbox::{Recipient, RecipientState};
use leadflow::store::MessageRecord;
use leadflow::views::runs::RunDetailView;
use unicode_width::UnicodeWidthStr as _;

use super::{steps, took};
use crate::cli::columns::{Column, Layout};
use crate::cli::output;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The run's number
    run: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn show(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let id = arguments.run;
    let no_run = || anyhow!("there is no run {id}; `leadflow history` shows the runs");
    let store = crate::cli::state_of(loaded).await?.ok_or_else(no_run)?;
    let run = store.run(id).await?.ok_or_else(no_run)?;
    let steps = store.steps(id).await?;
    let mails = store.mails_of(id).await?;
    if arguments.json {
        output::print_json(&RunDetailView::new(&run, &steps, &mails))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Page { text: String::new(), width: output::width(), is_cut: false };
    page.run(&run, &steps, &mails, &loaded.config.settings.time_zone);
    if page.is_cut {
        let _ =
            write!(page.text, "\nvalues that end with … are complete in: leadflow history show {id} --json");
    }
    output::print(&page.text)?;
    Ok(ExitCode::SUCCESS)
}

/// The run as a person reads it.
struct Page {
    text: String,
    width: Option<usize>,
    /// A value was too long for its line.
    is_cut: bool,
}

impl Page {
    fn run(&mut self, run: &Run, steps: &[RecordedStep], mails: &[MessageRecord], zone: &TimeZone) {
        let title = format!("run {} of {}: {}", run.id, run.flow, run.outcome.as_str());
        let _ = writeln!(self.text, "{title}\n{}", output::wrapped(&format!("  {}", run.summary), "  "));
        if let Some(help) = &run.help {
            let _ = writeln!(self.text, "{}", output::wrapped(&format!("  help: {help}"), "  "));
        }
        self.text.push('\n');
        let due = run.due.map(|due| output::moment(due, zone));
        let facts = [
            ("cause", Some(run.cause.clone())),
            ("asked for by", run.asked_by.clone()),
            ("due", due),
            ("started", Some(output::moment(run.started, zone))),
            ("took", Some(took(run))),
        ];
        let facts = facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        self.facts(&facts.collect::<Vec<_>>());
        for RecordedStep { step, took } in steps {
            let _ = writeln!(self.text, "\n{} ({})", output::line(step.name()), output::duration(*took));
            self.facts(&steps::facts(step, zone));
        }
        for mail in mails {
            self.mail(mail, zone);
        }
    }

    /// Names and values, aligned.
    fn facts(&mut self, facts: &[(String, String)]) {
        let wide = facts.iter().map(|(name, _)| name.width()).max().unwrap_or_default();
        for (name, value) in facts {
            let pad = " ".repeat(wide - name.width());
            self.line(&format!("  {name}{pad}  {value}"));
        }
    }

    fn line(&mut self, line: &str) {
        let shown = output::cut(line, self.width);
        self.is_cut |= shown.ends_with('…') && !line.ends_with('…');
        let _ = writeln!(self.text, "{}", shown.trim_end());
    }

    fn mail(&mut self, mail: &MessageRecord, zone: &TimeZone) {
        self.text.push('\n');
        self.line(&format!("mail {}: {}", mail.id, mail.subject));
        let size =
            mail.size.map_or_else(|| "deleted after sending".to_owned(), |size| format!("{size} bytes"));
        let reason = if mail.is_deferred_by_rate { " (per_hour is reached)" } else { "" };
        let next_try = mail.next_try.map(|at| output::moment(at, zone) + reason);
        let facts = [
            ("Message-ID", Some(mail.message_id.clone())),
            ("size", Some(size)),
            ("connections", Some(mail.connections.join(", then "))),
            (connection_word(mail), mail.connection.clone()),
            ("attempts", Some(mail.tries.to_string())),
            ("next attempt", next_try),
            ("asked for by", mail.asked_by.clone()),
        ];
        let facts = facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        self.facts(&facts.collect::<Vec<_>>());
        let cells = |recipient: &Recipient| {
            let reply = recipient.reply.clone().unwrap_or_default();
            vec![String::new(), recipient.address.clone(), recipient.state.as_str().to_owned(), reply]
        };
        let rows: Vec<_> = mail.recipients.iter().map(cells).collect();
        let columns = ["", "", "", ""].map(Column::text);
        let layout = Layout::fit(&columns, &rows, None);
        for (recipient, row) in mail.recipients.iter().zip(&rows) {
            self.line(&layout.line(row));
            if let Some(mark) = mark(recipient.uncertain) {
                self.line(&format!("    {mark}"));
            }
        }
    }
}

/// A mail with each recipient's state and reply.
pub(in crate::cli) fn mail_text(mail: &MessageRecord, zone: &TimeZone) -> String {
    let mut page = Page { text: String::new(), width: output::width(), is_cut: false };
    page.mail(mail, zone);
    page.text
}

/// A recipient in one line.
pub(in crate::cli) fn recipient_text(recipient: &Recipient) -> String {
    let mark = mark(recipient.uncertain).map_or_else(String::new, |mark| format!(" ({mark})"));
    let reply = recipient.reply.as_ref().map_or_else(String::new, |reply| format!(": {reply}"));
    format!("{} {}{mark}{reply}", recipient.address, recipient.state.as_str())
}

fn connection_word(mail: &MessageRecord) -> &'static str {
    let is_taken = |recipient: &Recipient| recipient.state == RecipientState::Sent;
    if mail.recipients.iter().any(is_taken) { "accepted by" } else { "last attempt by" }
}

fn mark(uncertain: u32) -> Option<String> {
    match uncertain {
        0 => None,
        1 => Some("uncertain: it may have arrived once more".to_owned()),
        times => Some(format!("uncertain: it may have arrived {times} times more")),
    }
}

//! `leadflow outbox list|show|retry|send|drop`.

mod send;

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use jiff::Timestamp;
use leadflow::alarm::clears_held;
use leadflow::config::Loaded;
use leadflow::outbox::{Recipient, RecipientState, Redirect, worst_state};
use leadflow::platform::clock::Clock;
use leadflow::store::{OutboxEntry, OutboxFilter, Request};
use leadflow::tasks::outbox;
use leadflow::views::outbox::OutboxMailView;

use super::ask::Doer;
use super::columns::{Column, Table};
use super::{ask, daemon, output};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List mails that are waiting, held, or may have arrived more than once
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one mail: where it comes from, each recipient's state and reply, and its text
    Show {
        /// The mail's number
        mail: i64,
        /// Print JSON, without the text of the mail
        #[arg(long)]
        json: bool,
    },
    /// Retry a mail now, including held recipients; without a number, every waiting or held mail
    Retry {
        /// The mail's number
        mail: Option<i64>,
    },
    /// Send a mail to another address; held recipients are dropped
    Send {
        /// The mail's number
        mail: i64,
        /// The new recipient; repeat for several
        #[arg(long, value_name = "ADDRESS", num_args = 1.., required = true, value_parser = super::address)]
        to: Vec<String>,
        /// The recipient to replace, whatever its state [default: every held recipient]
        #[arg(long, value_name = "ADDRESS", value_parser = super::address)]
        instead_of: Option<String>,
        /// Do not ask for confirmation when no recipient is held or waiting
        #[arg(long, short)]
        yes: bool,
    },
    /// Drop a mail for every recipient that has not received it
    Drop {
        /// The mail's number
        mail: i64,
    },
}

pub(super) async fn outbox(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if !matches!(arguments.command, Command::List { .. } | Command::Show { .. }) {
        super::state_to_change(loaded).await?;
    }
    match &arguments.command {
        Command::List { json } => list(loaded, *json).await,
        Command::Show { mail, json } => show(loaded, *mail, *json).await,
        Command::Retry { mail } => retry(loaded, *mail).await,
        Command::Send { mail, to, instead_of, yes } => {
            let redirect = Redirect { to: to.clone(), instead_of: instead_of.clone() };
            send::send(loaded, *mail, &redirect, *yes).await
        }
        Command::Drop { mail } => drop_mail(loaded, *mail).await,
    }
}

async fn mails(loaded: &Loaded, filter: OutboxFilter) -> anyhow::Result<Vec<OutboxEntry>> {
    match super::state_of(loaded).await? {
        Some(store) => Ok(store.outbox(filter).await?),
        None => Ok(Vec::new()),
    }
}

async fn one(loaded: &Loaded, mail: i64) -> anyhow::Result<OutboxEntry> {
    match mails(loaded, OutboxFilter::One(mail)).await?.pop() {
        Some(listed) => Ok(listed),
        None => bail!("there is no mail {mail}; `leadflow outbox list` shows the open mails"),
    }
}

async fn list(loaded: &Loaded, as_json: bool) -> anyhow::Result<ExitCode> {
    let found = mails(loaded, OutboxFilter::Open).await?;
    if as_json {
        output::print_json(&found.iter().map(OutboxMailView::from).collect::<Vec<_>>())?;
    } else if found.is_empty() {
        output::print("no mail is waiting, held or uncertain")?;
    } else {
        let zone = &loaded.config.settings.time_zone;
        let now = Clock::System.now();
        let width = output::width();
        let moment = |at| output::moment_within(at, zone, now, width);
        let rows = found.iter().map(|listed| cells(listed, moment)).collect();
        output::print(&Table::new(&columns(), rows, width).to_string())?;
        if let Some(held) = found.iter().find(|listed| is_held(&listed.message.recipients)) {
            let ways =
                output::wrapped(&format!("a held mail needs you: {}", clears_held(held.message.id)), "  ");
            output::print(&format!("\n{ways}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn is_held(recipients: &[Recipient]) -> bool {
    recipients.iter().any(|recipient| recipient.state == RecipientState::Held)
}

fn columns() -> [Column; 8] {
    [
        Column::number("mail"),
        Column::text("flow").shrinks(8),
        Column::number("run"),
        Column::text("made").if_room(2),
        Column::text("state").shrinks(9),
        Column::number("attempts"),
        Column::text("next attempt"),
        Column::text("subject").shrinks(12).if_room(1),
    ]
}

fn cells(listed: &OutboxEntry, moment: impl Fn(Timestamp) -> String) -> Vec<String> {
    let dash = || "–".to_owned();
    let mail = &listed.message;
    vec![
        mail.id.to_string(),
        listed.flow.clone().unwrap_or_else(|| "(leadflow)".to_owned()),
        listed.run.map_or_else(dash, |run| run.to_string()),
        moment(listed.created),
        worst_state(&mail.recipients),
        mail.tries.to_string(),
        mail.next_try.map_or_else(dash, moment),
        mail.subject.clone(),
    ]
}

async fn show(loaded: &Loaded, mail: i64, as_json: bool) -> anyhow::Result<ExitCode> {
    let listed = one(loaded, mail).await?;
    if as_json {
        output::print_json(&OutboxMailView::from(&listed))?;
        return Ok(ExitCode::SUCCESS);
    }
    let zone = &loaded.config.settings.time_zone;
    let mut text = super::history::mail_text(&listed.message, zone);
    let from = match (&listed.flow, listed.run) {
        (Some(flow), Some(run)) => format!("run {run} of {flow}"),
        _ => "leadflow itself, about a failure".to_owned(),
    };
    let _ = writeln!(text, "  made {} by {from}", output::moment(listed.created, zone));
    if is_held(&listed.message.recipients) {
        let _ = writeln!(text, "{}", output::wrapped(&format!("  it is held: {}", clears_held(mail)), "  "));
    }
    let bytes = match super::state_of(loaded).await? {
        Some(store) => store.message_bytes(mail).await?,
        None => None,
    };
    match bytes {
        Some(bytes) => drop(write!(text, "\n{}", super::preview::text(&super::preview::read_back(&bytes)?))),
        None => text.push_str("\nits text is no longer kept\n"),
    }
    output::print(text.trim_start())?;
    Ok(ExitCode::SUCCESS)
}

async fn retry(loaded: &Loaded, mail: Option<i64>) -> anyhow::Result<ExitCode> {
    if let Some(mail) = mail {
        let listed = one(loaded, mail).await?;
        outbox::may_retry(&listed).map_err(anyhow::Error::msg)?;
    } else if mails(loaded, OutboxFilter::Open).await?.is_empty() {
        output::print("no mail is waiting or held")?;
        return Ok(ExitCode::SUCCESS);
    }
    let doer = ask::ask(loaded, Request::Retry(mail)).await?;
    let what = mail.map_or_else(|| "every waiting or held mail".to_owned(), |mail| format!("mail {mail}"));
    output::print(&format!("{what} is retried; `leadflow outbox list` shows the result"))?;
    if doer == Doer::Here {
        daemon::warn_no_delivery(loaded);
    }
    Ok(ExitCode::SUCCESS)
}

async fn drop_mail(loaded: &Loaded, mail: i64) -> anyhow::Result<ExitCode> {
    let listed = one(loaded, mail).await?;
    outbox::may_drop(&listed).map_err(anyhow::Error::msg)?;
    let doer = ask::ask(loaded, Request::Drop(mail)).await?;
    let after = one(loaded, mail).await?;
    if after.message.recipients.iter().any(|recipient| recipient.dropped().is_some()) {
        bail!("mail {mail} is being sent right now; try again");
    }
    output::print(&format!("mail {mail} is dropped; `leadflow outbox retry {mail}` takes it back"))?;
    if doer == Doer::Here {
        daemon::warn_no_delivery(loaded);
    }
    Ok(ExitCode::SUCCESS)
}

//! `leadflow test-mail FLOW`.

use std::process::ExitCode;

use anyhow::anyhow;
use leadflow::config::Loaded;
use leadflow::outbox::Receipt;
use leadflow::platform::clock::Clock;
use leadflow::tasks::test_mail::{self, FailedConnection};

use super::{ask, output};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The flow's name in flows.toml
    flow: String,
    /// Send it to these addresses instead of the flow's recipients
    #[arg(long, value_name = "ADDRESS", num_args = 1.., value_parser = super::address)]
    to: Vec<String>,
    /// Do not ask for confirmation (asked only on a terminal, and without --to)
    #[arg(long, short)]
    yes: bool,
}

pub(super) async fn test_mail(loaded: Loaded, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = loaded.config;
    let flow = super::flow_named(&config, &arguments.flow)?;
    let mails = test_mail::made_up(&config, flow, &Clock::System)
        .await
        .map_err(|error| anyhow!("{error}\n  help: {}", error.help()))?;
    for note in mails.notes() {
        output::eprint(&output::line(&format!("note: {note}")));
    }
    let to = match arguments.to.as_slice() {
        [] => flow.email.recipients(),
        to => to.to_vec(),
    };
    if arguments.to.is_empty() && !arguments.yes && ask::can_ask() {
        output::print(&output::line(&format!(
            "a test mail of {} to {} (--to ADDRESS sends it only to you)",
            flow.name,
            to.join(", ")
        )))?;
        if !ask::is_agreed("")? {
            output::print("nothing was sent")?;
            return Ok(ExitCode::FAILURE);
        }
    }
    let sender = mails.sender().to_owned();
    let mut is_sent = true;
    for mail in mails.read() {
        let (mail, bytes) = mail?;
        output::print(&output::line(&format!("subject: {}", mail.subject)))?;
        output::print(&output::line(&format!("Message-ID: {}", mail.message_id)))?;
        let sent = test_mail::send(&config, flow, &sender, &to, &bytes).await;
        for (address, receipt) in to.iter().zip(sent.map_err(|failed| explained(&failed))?) {
            let (sign, reply) = match &receipt {
                Receipt::Accepted(reply) => ("accepted", reply),
                Receipt::Refused(reply) => ("refused", reply),
                Receipt::Later(reply) => ("not now", reply),
                Receipt::Unknown(reply) => ("uncertain", reply),
            };
            is_sent &= matches!(receipt, Receipt::Accepted(_));
            output::print(&output::line(&format!("  {address} {sign}: {reply}")))?;
        }
    }
    Ok(if is_sent { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What each connection said.
fn explained(failed: &[FailedConnection]) -> anyhow::Error {
    let reasons = failed.iter().map(|FailedConnection { connection, error }| {
        let help = error.advice.help.as_ref().map_or_else(String::new, |help| format!("\n  help: {help}"));
        format!("connection {connection}: {error}{help}")
    });
    anyhow!("the mail cannot be sent\n{}", reasons.collect::<Vec<_>>().join("\n"))
}

//! `leadflow test-mail FLOW`.

use std::process::ExitCode;

use anyhow::anyhow;
use leadflow::config::Loaded;
use leadflow::flow::{Config, Flow};
use leadflow::outbox::Receipt;
use leadflow::platform::clock::Clock;
use leadflow::platform::lease::Lease;
use leadflow::services::mail::{MailSession as _, OutgoingMail, Session};
use leadflow::tasks::made_up_leads::MadeUpLead;
use leadflow::tasks::preview;

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

/// Made-up rows in the mail.
const ROWS: usize = 3;

pub(super) async fn test_mail(loaded: Loaded, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = loaded.config;
    let flow = super::flow_named(&config, &arguments.flow)?;
    let lead = |number| MadeUpLead::for_demo(number, Clock::System.now()).columns;
    let rows = (0..ROWS).map(lead).collect();
    let mails = preview::test_mail(&config, flow, &Clock::System, rows)
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
        let lease = Lease::endless(Clock::System);
        let mail = OutgoingMail { id: 0, from: &sender, recipients: &to, bytes: &bytes, lease: &lease };
        for (address, receipt) in to.iter().zip(sent(&config, flow, mail).await?) {
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

/// By the first connection that works.
async fn sent(config: &Config, flow: &Flow, mail: OutgoingMail<'_>) -> anyhow::Result<Vec<Receipt>> {
    let mut reasons = Vec::new();
    for name in &flow.email.connections {
        let Some(connection) = config.mails.get(name) else { continue };
        let result = match Session::open(connection).await {
            Ok(mut session) => {
                let handover = session.send(mail).await;
                session.close().await;
                handover.into_result()
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(receipts) => return Ok(receipts),
            Err(error) => {
                let help =
                    error.advice.help.as_ref().map_or_else(String::new, |help| format!("\n  help: {help}"));
                reasons.push(format!("connection {name}: {error}{help}"));
            }
        }
    }
    Err(anyhow!("the mail cannot be sent\n{}", reasons.join("\n")))
}

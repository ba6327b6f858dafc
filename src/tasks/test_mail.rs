//! A flow's mail with made-up rows, really sent.

use crate::compose::ComposedMails;
use crate::engine::run::RunError;
use crate::flow::{Config, Flow};
use crate::outbox::Receipt;
use crate::platform::clock::Clock;
use crate::platform::lease::Lease;
use crate::services::mail::{ConnectError, MailSession as _, OutgoingMail, Session};
use crate::tasks::made_up_leads::MadeUpLead;
use crate::tasks::preview::test_mail;
use std::sync::Arc;

/// Made-up rows in the mail.
const ROWS: usize = 3;

/// The mail, as yet unsent.
///
/// # Errors
/// As a run.
pub async fn made_up(config: &Config, flow: &Arc<Flow>, clock: &Clock) -> Result<ComposedMails, RunError> {
    let lead = |number| MadeUpLead::for_demo(number, clock.now()).columns;
    test_mail(config, flow, clock, (0..ROWS).map(lead).collect()).await
}

/// A connection that did not take a mail, and why.
#[derive(Debug)]
pub struct FailedConnection {
    /// Its name.
    pub connection: String,
    /// What happened.
    pub error: ConnectError,
}

/// Hands one mail over by the first connection of the flow that works; a receipt for each recipient, in their order.
///
/// # Errors
/// What each of them says, where none works.
pub async fn send(
    config: &Config,
    flow: &Flow,
    sender: &str,
    to: &[String],
    bytes: &[u8],
) -> Result<Vec<Receipt>, Vec<FailedConnection>> {
    let lease = Lease::endless(Clock::System);
    let mail = OutgoingMail { id: 0, from: sender, recipients: to, bytes, lease: &lease };
    let mut failed = Vec::new();
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
            Err(error) => failed.push(FailedConnection { connection: name.clone(), error }),
        }
    }
    Err(failed)
}

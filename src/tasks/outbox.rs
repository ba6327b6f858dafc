//! What may be done with a mail of the outbox.

use crate::outbox::{RecipientState, worst_state};
use crate::store::OutboxEntry;

/// Whether a mail can be tried again.
///
/// # Errors
/// Why not, and what to do instead.
pub fn may_retry(entry: &OutboxEntry) -> Result<(), String> {
    let mail = entry.message.id;
    if entry.message.recipients.iter().all(|recipient| recipient.state == RecipientState::Sent) {
        return Err(format!(
            "mail {mail} was sent to every recipient; `leadflow resubmit RUN --again` mails its rows again"
        ));
    }
    if entry.message.size.is_none() {
        return Err(format!("the text of mail {mail} is no longer kept; `leadflow replay` mails its rows"));
    }
    Ok(())
}

/// Whether a mail can be dropped.
///
/// # Errors
/// Why not.
pub fn may_drop(entry: &OutboxEntry) -> Result<(), String> {
    if entry.message.recipients.iter().any(|recipient| recipient.dropped().is_some()) {
        return Ok(());
    }
    let state = worst_state(&entry.message.recipients);
    Err(format!("mail {} is {state}; there is nothing to drop", entry.message.id))
}

//! What became of a row.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::outbox::{Recipient, worst_state};
use crate::rows::row::{Row, RowMark};
use crate::store::{OutboxFilter, Provenance, Store, StoreError};

/// Of a row that no run has read.
const NOT_READ: &str = "not read yet";
/// Of a row that a run has read and put into no mail.
pub const NOT_MAILED: &str = "not mailed";
/// Of a row whose mail is older than the history: sent, or dropped by a person.
pub const NOT_KEPT: &str = "no longer kept";

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadState {
    /// In a word or two.
    pub word: String,
    /// The run that has read it.
    pub run: Option<i64>,
    /// The mail that carries it.
    pub mail: Option<i64>,
    /// Its mail waits, is held or uncertain.
    pub is_open: bool,
}

/// What became of each of these rows, in their order.
pub(super) async fn states(
    flow: &str,
    rows: &[Row],
    store: Option<&Store>,
) -> Result<Vec<LeadState>, StoreError> {
    let plain = |word: &str, run| LeadState { word: word.to_owned(), run, mail: None, is_open: false };
    let Some(store) = store else { return Ok(rows.iter().map(|_| plain(NOT_READ, None)).collect()) };
    let ids: Vec<_> = rows.iter().map(|row| RowMark::new(row).id).collect();
    let mut mails = HashMap::new();
    let mut states = Vec::new();
    for known in store.last_provenance(flow, ids).await? {
        states.push(match known {
            None => plain(NOT_READ, None),
            Some(Provenance { run, message: None }) => plain(NOT_MAILED, Some(run)),
            Some(Provenance { run, message: Some(mail) }) => {
                let (word, is_open) = match mails.entry(mail) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(vacant) => vacant.insert(state_of_mail(store, mail).await?),
                };
                LeadState { word: word.clone(), run: Some(run), mail: Some(mail), is_open: *is_open }
            }
        });
    }
    Ok(states)
}

/// The mail's state, and whether `outbox list` has it.
async fn state_of_mail(store: &Store, mail: i64) -> Result<(String, bool), StoreError> {
    let Some(listed) = store.outbox(OutboxFilter::One(mail)).await?.pop() else {
        return Ok((NOT_KEPT.to_owned(), false));
    };
    let recipients = &listed.message.recipients;
    Ok((worst_state(recipients), recipients.iter().any(Recipient::is_open)))
}

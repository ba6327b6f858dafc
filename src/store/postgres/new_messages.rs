//! A mail that is put into the outbox.

use jiff::Timestamp;

use super::message_bytes::{PIECE, write_rest};
use super::{Db, Failure, row, text, to_db};
use crate::store::NewMessage;

/// The mail, its recipients and the first piece of its text.
const INSERT: &str = "WITH mail AS (
        INSERT INTO mails (run, connections, sender, subject, message_id, created, next_try)
        VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id),
    first AS (INSERT INTO texts (mail, part, bytes) SELECT id, 0, $7 FROM mail WHERE $7 <> ''::bytea),
    whom AS (
        INSERT INTO recipients (mail, position, address, state)
        SELECT mail.id, recipient.at - 1, recipient.address, 'waiting'
        FROM mail, unnest($8::text[]) WITH ORDINALITY AS recipient (address, at))
    SELECT id FROM mail";

pub(super) async fn insert_mail(
    db: &impl Db,
    run: Option<i64>,
    mail: &NewMessage,
    now: Timestamp,
) -> Result<i64, Failure> {
    let connections = serde_json::json!(mail.connections).to_string();
    let first = &mail.bytes[..mail.bytes.len().min(PIECE)];
    let (subject, message_id) = (text(&mail.subject), text(&mail.message_id));
    let id = row(
        db,
        INSERT,
        &[&run, &connections, &mail.sender, &subject, &message_id, &to_db(now), &first, &mail.recipients],
    )
    .await?
    .get(0);
    write_rest(db, id, &mail.bytes).await?;
    Ok(id)
}

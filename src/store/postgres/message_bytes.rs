//! The RFC 5322 texts of mails, in pieces: no more than one of them is in memory twice.

use super::{Db, Failure, execute};

/// Bytes of a mail's text that lie in one row.
pub(super) const PIECE: usize = 1 << 20;

/// What follows the first piece.
pub(super) async fn write_rest(db: &impl Db, mail: i64, text: &[u8]) -> Result<(), Failure> {
    let insert = "INSERT INTO texts (mail, part, bytes) VALUES ($1, $2, $3)";
    for (part, piece) in (0_i64..).zip(text.chunks(PIECE)).skip(1) {
        execute(db, insert, &[&mail, &part, &piece]).await?;
    }
    Ok(())
}

/// The text of the mail that `$mail` names; NULL where it is not kept any more.
macro_rules! text_of {
    ($mail:literal) => {
        concat!(
            "(SELECT string_agg(bytes, ''::bytea ORDER BY part) FROM texts WHERE texts.mail = ",
            $mail,
            ")"
        )
    };
}
pub(super) use text_of;

//! Rows of a history, as the daemon would have left them after months.

use std::path::Path;

use anyhow::Context as _;
use leadflow::platform::clock::Clock;
use leadflow::store::Store;
use rusqlite::{Connection, params};

/// The days before now in which all runs lie, at even distances.
pub(crate) const DAYS: i64 = 89;
/// Every so many runs one fails, and one makes a mail.
const FAILS: i64 = 200;
const MAILS: i64 = 5;
/// The bytes of younger mails are still there.
const PURGED: i64 = 7 * DAY;
/// Bytes of a mail.
const SIZE: usize = 20_000;
const DAY: i64 = 86_400_000_000;

/// A new state with that many runs of these flows in turn: a schema as the daemon makes it, and rows in one transaction.
///
/// # Errors
/// When the folder has a state already, or cannot be written.
pub(crate) fn fill(state: &Path, flows: &[String], runs: i64) -> anyhow::Result<()> {
    drop(Store::open(state)?);
    let mut db = Connection::open(state.join("leadflow.db"))?;
    let (now, tx) = (Clock::System.now().as_microsecond(), db.transaction()?);
    let begin = now - DAYS * DAY;
    for (flow, name) in (1_i64..).zip(flows) {
        tx.execute(
            "INSERT INTO flows (id, name, anchor, last_slot, last_read) VALUES (?1, ?2, ?3, ?4, ?4)",
            params![flow, name, begin, now],
        )?;
    }
    let count = i64::try_from(flows.len())?;
    for run in 1..=runs {
        let started = begin + run * (DAYS * DAY / runs);
        insert_run(&tx, run, run % count + 1, started)?;
        if run % MAILS == 0 && run % FAILS != 0 {
            insert_mail(&tx, run, started, now)?;
        }
    }
    tx.commit()?;
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").context("the state cannot be written back")
}

fn insert_run(tx: &Connection, run: i64, flow: i64, started: i64) -> anyhow::Result<()> {
    // Some days bring more than others.
    let rows = 2 + started / DAY * 7 % 6;
    let (outcome, summary, rows, mails) = match run {
        _ if run % FAILS == 0 => {
            ("failed", "the table service cannot be reached: no answer within 30 s".to_owned(), 0, 0)
        }
        _ if run % MAILS == 0 => ("sent", format!("{rows} new rows in 1 mail"), rows, 1),
        _ => ("nothing-new", "no new rows".to_owned(), 0, 0),
    };
    tx.prepare_cached(
        "INSERT INTO runs (id, flow, cause, due, started, ended, outcome, summary, rows, mails)
         VALUES (?1, ?2, 'schedule', ?3, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        run,
        flow,
        started,
        started + 300_000 + run % 977 * 1_000,
        outcome,
        summary,
        rows,
        mails
    ])?;
    let inputs = r#"{"mode":"covering","window_s":3600,"overlap_s":900,"begin":"2026-01-05T08:00:00Z"}"#;
    let outputs = r#"{"past_time":"2026-01-05T08:00:00Z","reason":"watermark − overlap"}"#;
    let mut insert = tx.prepare_cached(
        "INSERT INTO steps (run, position, name, inputs, outputs, took) VALUES (?1, ?2, ?3, ?4, ?5, 1000)",
    )?;
    for (position, name) in (0_i64..).zip(["window", "query", "new rows", "condition", "commit"]) {
        insert.execute(params![run, position, name, inputs, outputs])?;
    }
    Ok(())
}

fn insert_mail(tx: &Connection, run: i64, started: i64, now: i64) -> anyhow::Result<()> {
    let bytes = (now - started < PURGED).then(|| vec![b'x'; SIZE]);
    tx.prepare_cached(
        "INSERT INTO mails (run, connections, sender, subject, message_id, created, tries, began)
         VALUES (?1, '[\"folder\"]', 'leads@contoso.example', 'New leads', ?2, ?3, 1, ?3)",
    )?
    .execute(params![run, format!("<{run}@contoso.example>"), started])?;
    let mail = tx.last_insert_rowid();
    if let Some(bytes) = bytes {
        tx.prepare_cached("INSERT INTO texts (mail, part, bytes) VALUES (?1, 0, ?2)")?
            .execute(params![mail, bytes])?;
    }
    let mut insert = tx.prepare_cached(
        "INSERT INTO recipients (mail, position, address, state, reply) VALUES (?1, ?2, ?3, 'sent', '250 queued')",
    )?;
    for (position, address) in (0_i64..).zip(["sales@contoso.example", "partners@contoso.example"]) {
        insert.execute(params![mail, position, address])?;
    }
    Ok(())
}

//! How long the reading commands take on a history of 100,000 runs, beside a bare query of the same
//! database in this process. `cargo bench --bench commands`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use leadflow::platform::clock::Clock;
use leadflow::store::Store;
use rusqlite::{Connection, params};

/// Flows in the file, and runs of all of them in the last [`DAYS`].
const FLOWS: i64 = 5;
const RUNS: i64 = 100_000;
const DAYS: i64 = 90;
/// Every so many runs one fails, and one makes a mail.
const FAILS: i64 = 200;
const MAILS: i64 = 5;
/// The bytes of younger mails are still there.
const PURGED: i64 = 7 * DAY;
/// Bytes of a mail.
const SIZE: usize = 20_000;
const DAY: i64 = 86_400_000_000;
/// Each command so often; the median counts.
const TIMES: usize = 7;
/// What a command may take.
const LIMIT: Duration = Duration::from_millis(100);

/// The commands and the exit status that they have on this state.
const COMMANDS: &[(&str, i32)] = &[
    ("list", 0),
    ("history", 0),
    ("history flow-2", 0),
    ("history show 99999", 0),
    ("history --status failed", 0),
    ("history --status held", 0),
    ("history --since 1h", 0),
    ("history --until 80d", 0),
    ("history --before 1000", 0),
    ("stats", 0),
    ("stats --days 90", 0),
    ("outbox list", 0),
    ("health", 1),
    ("--version", 0),
];

fn main() -> anyhow::Result<ExitCode> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("flows.toml"), flows())?;
    let state = folder.path().join("state");
    fill(&state)?;
    let bare = median(|| bare_query(&state.join("leadflow.db")))?;
    let mut table = format!(
        "{RUNS} runs of {FLOWS} flows in {DAYS} days; a bare query of the last 20: {:.2} ms\n\n{:<26} {:>8} {:>8}\n",
        millis(bare),
        "command",
        "ms",
        "ratio"
    );
    let mut is_short = false;
    for (line, expected) in COMMANDS {
        let took = median(|| command(folder.path(), line, *expected))?;
        is_short |= took > LIMIT;
        let word = if took > LIMIT { "short" } else { "holds" };
        let ratio = took.as_secs_f64() / bare.as_secs_f64();
        let _ = writeln!(table, "{line:<26} {:>8.1} {ratio:>8.0}  {word}", millis(took));
    }
    let _ = write!(table, "\nunder {} ms: {}", LIMIT.as_millis(), if is_short { "short" } else { "holds" });
    writeln!(std::io::stdout(), "{table}")?;
    Ok(if is_short { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn millis(length: Duration) -> f64 {
    length.as_secs_f64() * 1_000.0
}

fn median(mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let mut took = Vec::new();
    for _ in 0..TIMES {
        let began = Instant::now();
        work()?;
        took.push(began.elapsed());
    }
    took.sort();
    Ok(took[TIMES / 2])
}

/// What any program would have to do at the least.
fn bare_query(database: &Path) -> anyhow::Result<()> {
    let db = Connection::open(database)?;
    let mut ask = db.prepare(
        "SELECT runs.id, flows.name, started, ended, outcome, summary, rows, mails
         FROM runs JOIN flows ON flows.id = runs.flow ORDER BY runs.id DESC LIMIT 20",
    )?;
    let found = ask.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(5)?)))?;
    ensure!(found.count() == 20, "the runs are not there");
    Ok(())
}

fn command(folder: &Path, line: &str, expected: i32) -> anyhow::Result<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leadflow"));
    command.args(line.split(' ')).current_dir(folder).env_remove("LEADFLOW_CONFIG").env("COLUMNS", "140");
    let output = command.stdin(Stdio::null()).output()?;
    ensure!(
        output.status.code() == Some(expected) && !output.stdout.is_empty(),
        "leadflow {line}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn flows() -> String {
    let mut text =
        "[settings]\ntime_zone = \"Asia/Seoul\"\n[connections.demo.embedded_table]\nfile = \"demo.db\"\n\
                    [connections.folder.mail_folder]\n"
            .to_owned();
    for flow in 1..=FLOWS {
        let _ = write!(
            text,
            "[flows.flow-{flow}.recurrence]\nfrequency = \"minute\"\ninterval = 6\n[flows.flow-{flow}.table]\n\
             connection = \"demo\"\nname = \"leads\"\n[flows.flow-{flow}.email]\nconnection = \"folder\"\n\
             to = \"sales@contoso.example\"\ntemplate = \"marketplace-leads\"\n"
        );
    }
    text
}

/// A schema as the daemon makes it, and rows in one transaction.
fn fill(state: &Path) -> anyhow::Result<()> {
    drop(Store::open(state)?);
    let mut db = Connection::open(state.join("leadflow.db"))?;
    let (now, tx) = (Clock::System.now().as_microsecond(), db.transaction()?);
    let begin = now - DAYS * DAY;
    for flow in 1..=FLOWS {
        tx.execute(
            "INSERT INTO flows (id, name, anchor, last_slot, last_read) VALUES (?1, ?2, ?3, ?4, ?4)",
            params![flow, format!("flow-{flow}"), begin, now],
        )?;
    }
    for run in 1..=RUNS {
        let started = begin + run * (DAYS * DAY / RUNS);
        insert_run(&tx, run, started)?;
        if run % MAILS == 0 && run % FAILS != 0 {
            insert_mail(&tx, run, started, now)?;
        }
    }
    tx.commit()?;
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").context("the state cannot be written back")
}

fn insert_run(tx: &Connection, run: i64, started: i64) -> anyhow::Result<()> {
    let (outcome, summary) = match run {
        _ if run % FAILS == 0 => ("failed", "the table service cannot be reached: no answer within 30 s"),
        _ if run % MAILS == 0 => ("sent", "3 new rows in 1 mail"),
        _ => ("nothing-new", "no new rows"),
    };
    let count = i64::from(outcome == "sent");
    tx.prepare_cached(
        "INSERT INTO runs (id, flow, cause, due, started, ended, outcome, summary, rows, mails)
         VALUES (?1, ?2, 'schedule', ?3, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        run,
        run % FLOWS + 1,
        started,
        started + 300_000 + run % 977 * 1_000,
        outcome,
        summary,
        3 * count,
        count
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
         VALUES (?1, '[\"folder\"]', 'leads@contoso.example', '3 new leads', ?2, ?3, 1, ?3)",
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

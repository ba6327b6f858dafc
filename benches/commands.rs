//! How long the reading commands take on a history of 100,000 runs, beside a bare query of the same
//! database in this process. `cargo bench --bench commands`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::ensure;
use rusqlite::Connection;

#[path = "../examples/past/fill.rs"]
mod fill;

/// Flows in the file, and runs of all of them in the last [`fill::DAYS`].
const FLOWS: i64 = 5;
const RUNS: i64 = 100_000;
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
    let names: Vec<_> = (1..=FLOWS).map(|flow| format!("flow-{flow}")).collect();
    fill::fill(&state, &names, RUNS)?;
    let bare = median(|| bare_query(&state.join("leadflow.db")))?;
    let mut table = format!(
        "{RUNS} runs of {FLOWS} flows in {} days; a bare query of the last 20: {:.2} ms\n\n{:<26} {:>8} {:>8}\n",
        fill::DAYS,
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

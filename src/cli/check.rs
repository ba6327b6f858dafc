//! `leadflow check`.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use leadflow::config::{self, Level, Loaded};
use leadflow::platform::clock::Clock;
use leadflow::store::StoreError;
use leadflow::store::state;
use leadflow::tasks::doctor::{self, Finding, Memory, Verdict};
use leadflow::text::advice::Advice;
use leadflow::views::check::{CheckView, FindingView, ProblemView};

use super::output;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print JSON, for editors and scripts
    #[arg(long)]
    json: bool,
    /// Also sign in: find the tables, count rows and show the newest, connect to the mail servers;
    /// nothing is sent
    #[arg(long)]
    online: bool,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
}

/// Exit status 2 when there is an error, or with `--strict` a warning; 1 when a table or, with
/// `--online`, a server is not as it should be.
pub(super) async fn check(path: PathBuf, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let result = config::check(&path);
    let problems = match &result {
        Ok(loaded) => loaded.warnings.as_slice(),
        Err(report) => report.problems.as_slice(),
    };
    let count = |level| problems.iter().filter(|problem| problem.level == level).count();
    let warnings = count(Level::Warning);
    let notes = count(Level::Note);
    let is_well = result.is_ok() && (warnings == 0 || !arguments.strict);
    let mut findings = match &result {
        Ok(loaded) if arguments.online => {
            let state = state::open_to_read(&loaded.config).await;
            let memory = match &state {
                Ok(Some(store)) => Memory::Open(store),
                Ok(None) => Memory::Empty,
                Err(_) => Memory::Closed,
            };
            doctor::examine(&loaded.config, &Clock::System, memory).await
        }
        Ok(loaded) => doctor::glance(&loaded.config, &Clock::System).await,
        Err(_) => Vec::new(),
    };
    if let Ok(loaded) = &result {
        findings.extend(of_state(loaded, arguments.online).await);
    }
    let is_well_online = findings.iter().all(Finding::is_well);
    if arguments.json {
        output::print_json(&CheckView {
            ok: is_well && is_well_online,
            problems: problems.iter().map(ProblemView::from).collect(),
            findings: findings.iter().map(FindingView::from).collect(),
        })?;
    } else {
        for problem in problems {
            output::eprint_colored(&problem.shown(output::has_color_on_stderr(), output::width_of_stderr()));
        }
        match &result {
            Err(report) => report.summary().iter().for_each(|summary| output::eprint(summary)),
            Ok(loaded) => output::print(&summary(&path, loaded.config.flows.len(), warnings, notes))?,
        }
        output::print(&text(&findings))?;
    }
    Ok(match (is_well, is_well_online) {
        (false, _) => ExitCode::from(2),
        (true, false) => ExitCode::FAILURE,
        (true, true) => ExitCode::SUCCESS,
    })
}

/// That leadflow cannot work on the state, or cannot read it. What only this user may not do is not a fault, and a state
/// of an earlier version becomes one of this at the next start. A database is asked only `online`, and then it is said that
/// it answers.
async fn of_state(loaded: &Loaded, online: bool) -> Option<Finding> {
    let database = loaded.config.settings.postgres.as_ref();
    let error = match state::is_usable(&loaded.config) {
        Ok(()) if !online && database.is_some() => return None,
        Ok(()) => match (state::open_to_read(&loaded.config).await, database) {
            (Ok(store), Some(database)) => match state::try_to_write(database).await {
                Ok(()) => return Some(answers(&database.in_words(), store.is_some())),
                Err(error) => error,
            },
            (Ok(_), None) => return None,
            (Err(error), _) => error,
        },
        Err(error) => error,
    };
    let verdict = match &error {
        StoreError::Folder { source, .. } if source.kind() == ErrorKind::PermissionDenied => Verdict::Open,
        StoreError::Earlier { .. } => Verdict::Open,
        _ => Verdict::Wrong,
    };
    let advice = Advice::new(error.to_string());
    Some(Finding { about: "state".to_owned(), verdict, advice, is_typed: false })
}

fn answers(place: &str, is_there: bool) -> Finding {
    let state = if is_there { "the state is there" } else { "it is empty: the first start makes the state" };
    let advice = Advice::new(format!("signed in to the database {place}, and {state}"));
    Finding { about: "state".to_owned(), verdict: Verdict::Well, advice, is_typed: false }
}

/// A paragraph for each flow and connection.
fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    let mut about = "";
    for finding in findings {
        if finding.about != about {
            about = &finding.about;
            let _ = write!(text, "\n{about}\n");
        }
        let sign = match finding.verdict {
            Verdict::Well => '✓',
            Verdict::Open => '☞',
            Verdict::Wrong => '✗',
        };
        let line = |text: String| output::wrapped(&text, "    ");
        let _ = writeln!(text, "{}", line(format!("  {sign} {}", finding.advice.message)));
        if let Some(help) = &finding.advice.help {
            // What is to be typed is copied from here.
            let help = format!("    {help}");
            let _ = writeln!(text, "{}", if finding.is_typed { output::line(&help) } else { line(help) });
        }
    }
    text
}

fn summary(path: &Path, flows: usize, warnings: usize, notes: usize) -> String {
    let counted = |count: usize, noun: &str| match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    };
    let mut parts = vec![counted(flows, "flow")];
    parts.extend(
        [(warnings, "warning"), (notes, "note")]
            .into_iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, noun)| counted(n, noun)),
    );
    if warnings == 0 {
        parts.push("no problems in the file".to_owned());
    }
    format!("{}: {}", path.display(), parts.join(", "))
}

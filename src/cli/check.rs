//! `leadflow check`.

use std::path::Path;
use std::process::ExitCode;

use leadflow::config::{self, Level, Problem};
use serde_json::json;

use super::output;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// For editors and scripts
    #[arg(long)]
    json: bool,
    /// Warnings are errors
    #[arg(long)]
    strict: bool,
}

/// Exit status 2 when there is an error, or with `--strict` a warning.
pub(super) fn check(path: &Path, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let result = config::load(path);
    let problems = match &result {
        Ok(loaded) => loaded.warnings.as_slice(),
        Err(report) => report.problems.as_slice(),
    };
    let count = |level| problems.iter().filter(|problem| problem.level == level).count();
    let (warnings, notes) = (count(Level::Warning), count(Level::Note));
    let is_well = result.is_ok() && (warnings == 0 || !arguments.strict);
    if arguments.json {
        let problems: Vec<_> = problems.iter().map(Problem::json).collect();
        output::print_json(&json!({ "ok": is_well, "problems": problems }))?;
    } else {
        for problem in problems {
            output::complain(&problem.shown(output::has_color_on_stderr()));
        }
        match &result {
            Err(report) => output::complain(&report.to_string()),
            Ok(loaded) => output::print(&summary(path, loaded.config.flows.len(), warnings, notes))?,
        }
    }
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::from(2) })
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
        parts.push("no problems".to_owned());
    }
    format!("{}: {}", path.display(), parts.join(", "))
}

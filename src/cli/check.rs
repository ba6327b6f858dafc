//! `leadflow check`.

use std::path::Path;
use std::process::ExitCode;

use leadflow::config::{self, Problem};
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
    let is_well = result.is_ok() && (problems.is_empty() || !arguments.strict);
    if arguments.json {
        let problems: Vec<_> = problems.iter().map(Problem::json).collect();
        output::print_json(&json!({ "ok": is_well, "problems": problems }))?;
    } else {
        for problem in problems {
            output::complain(&problem.shown(output::has_color_on_stderr()));
        }
        match &result {
            Err(report) => output::complain(&report.to_string()),
            Ok(loaded) => output::print(&summary(path, loaded.config.flows.len(), problems.len()))?,
        }
    }
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn summary(path: &Path, flows: usize, warnings: usize) -> String {
    let flows = if flows == 1 { "1 flow".to_owned() } else { format!("{flows} flows") };
    let warnings = match warnings {
        0 => "no problems".to_owned(),
        1 => "1 warning".to_owned(),
        _ => format!("{warnings} warnings"),
    };
    format!("{}: {flows}, {warnings}", path.display())
}

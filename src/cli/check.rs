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
pub(super) fn check(path: &Path, arguments: &Arguments) -> ExitCode {
    let result = config::load(path);
    let (problems, flows) = match &result {
        Ok(loaded) => (loaded.warnings.as_slice(), Some(loaded.config.flows.len())),
        Err(report) => (report.problems.as_slice(), None),
    };
    let is_well = flows.is_some() && !(arguments.strict && !problems.is_empty());
    let printed = if arguments.json {
        let problems: Vec<_> = problems.iter().map(Problem::json).collect();
        output::print_json(&json!({ "ok": is_well, "problems": problems }))
    } else {
        let color = output::has_color_on_stderr();
        problems.iter().for_each(|problem| output::complain(&problem.shown(color)));
        match (&result, problems.len()) {
            (Err(report), _) => {
                output::complain(&report.to_string());
                Ok(())
            }
            (Ok(loaded), warnings) => {
                let count = loaded.config.flows.len();
                let flows = if count == 1 { "1 flow".to_owned() } else { format!("{count} flows") };
                let but = match warnings {
                    0 => String::new(),
                    1 => ", 1 warning".to_owned(),
                    _ => format!(", {warnings} warnings"),
                };
                output::print(&format!("{}: {flows}, no problems{but}", path.display()))
            }
        }
    };
    match printed {
        Ok(()) if is_well => ExitCode::SUCCESS,
        _ => ExitCode::from(2),
    }
}

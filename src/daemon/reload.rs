//! What a reload that was refused says.

use std::path::Path;

use jiff::Timestamp;

use crate::alarm::{Alarm, Kind};
use crate::config::{Level, Problem, Report};

/// A problem on one line, for the log and for mails.
pub(super) fn one_line(problem: &Problem) -> String {
    let (file, at) = problem.place();
    let at = at.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
    let help = problem.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
    format!("{file}{at}: {}{help}", problem.message)
}

/// The first error of a report, and how many there are beside it.
pub(super) fn of_report(report: &Report, file: &Path) -> String {
    let mut errors = report.problems.iter().filter(|problem| problem.level == Level::Error);
    let first = errors.next().map_or_else(|| format!("{} cannot be used", file.display()), one_line);
    match errors.count() {
        0 => first,
        more => format!("{first} (and {more} more)"),
    }
}

/// The alarm about a file that is not taken.
pub(super) fn alarm(what: String, since: Timestamp) -> Alarm {
    Alarm {
        kind: Kind::File,
        about: String::new(),
        since,
        times: 1,
        what,
        help: "mend the file and save it; until then the flows go on as they were before the change"
            .to_owned(),
        look: "leadflow check".to_owned(),
    }
}

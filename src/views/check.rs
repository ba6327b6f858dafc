//! `check`.

use serde::Serialize;

use crate::config::Problem;
use crate::tasks::doctor::Finding;

/// What was found of flows.toml and, at the servers, of what it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct CheckView {
    /// Nothing is wrong.
    pub ok: bool,
    /// Of the file and its templates.
    pub problems: Vec<ProblemView>,
    /// Of secrets, tables and servers.
    pub findings: Vec<FindingView>,
}

/// A problem of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct ProblemView {
    /// `error`, `warning` or `note`.
    pub severity: &'static str,
    /// As it was named.
    pub file: String,
    /// From 1.
    pub line: Option<usize>,
    /// From 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub help: Option<String>,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct FindingView {
    /// The flow or connection.
    pub about: String,
    /// Nothing is wrong there.
    pub ok: bool,
    /// What was found.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl From<&Problem> for ProblemView {
    fn from(problem: &Problem) -> Self {
        let (file, at) = problem.place();
        Self {
            severity: problem.level.word(),
            file,
            line: at.map(|(line, _)| line),
            column: at.map(|(_, column)| column),
            message: problem.message.clone(),
            help: problem.help.clone(),
        }
    }
}

impl From<&Finding> for FindingView {
    fn from(finding: &Finding) -> Self {
        Self {
            about: finding.about.clone(),
            ok: finding.is_well(),
            message: finding.advice.message.clone(),
            help: finding.advice.help.clone(),
        }
    }
}

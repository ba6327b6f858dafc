//! `[settings]`.

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::connections::Connections;
use super::reader::Section;
use super::values::Folders;
use crate::flow::{Failures, Settings};

const HISTORY: SignedDuration = SignedDuration::from_hours(90 * 24);
const REPEAT: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn read(section: Option<Section<'_>>, folders: &Folders, connections: &Connections) -> Settings {
    let mut settings = Settings {
        time_zone: TimeZone::UTC,
        state: folders.state.clone(),
        history: HISTORY,
        log: "info".to_owned(),
        failures: None,
    };
    let Some(section) = section else { return settings };
    let _ = section.text("state");
    if let Some(zone) = section.time_zone("time_zone") {
        settings.time_zone = zone;
    }
    if let Some(history) = section.duration("history") {
        settings.history = history;
    }
    if let Some(log) = section.text("log") {
        if tracing_subscriber::EnvFilter::builder().parse(log.get_ref()).is_err() {
            let help = "write error, warn, info or debug";
            section.problems.error(log.span(), format!("`{}` is no log level", log.get_ref()), help);
        }
        settings.log = log.into_inner();
    }
    settings.failures = section.section("failures").map(|section| failures(section, connections));
    section.later(&["heartbeat_url"], "take it out");
    section.finish();
    settings
}

fn failures(section: Section<'_>, connections: &Connections) -> Failures {
    let failures = Failures {
        connections: connections.mails_named(&section, "connection"),
        to: section.addresses("to").into_iter().map(|to| to.email.to_string()).collect(),
        after: section.integer("after", 1..=1_000).unwrap_or(1),
        repeat: section.duration("repeat").unwrap_or(REPEAT),
    };
    if failures.to.is_empty() && !section.has("to") {
        section.missing("to", "write to = \"ops@contoso.example\"");
    }
    section.problems.warn(
        section.span(),
        "mails about failures come in a later version of leadflow",
        "until then look at `leadflow list` and at the log",
    );
    section.finish();
    failures
}

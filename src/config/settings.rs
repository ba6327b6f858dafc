//! `[settings]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use toml::Spanned;

use super::connections::Connections;
use super::page;
use super::postgres;
use super::reader::Section;
use super::report::Problems;
use super::smtp::is_loopback;
use super::values::Folders;
use crate::flow::{Failures, Flow, MailConnection, Settings};
use crate::platform::telemetry;

const HISTORY: SignedDuration = SignedDuration::from_hours(90 * 24);
const REPEAT: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn read(section: Option<Section<'_>>, folders: &Folders, connections: &Connections) -> Settings {
    let mut settings = Settings {
        time_zone: TimeZone::UTC,
        state: folders.state.clone(),
        postgres: None,
        history: HISTORY,
        log: "info".to_owned(),
        failures: None,
        heartbeat_url: None,
        page: None,
    };
    let Some(section) = section else { return settings };
    let _ = section.text("state");
    settings.postgres = section.section("postgres").and_then(|section| postgres::read(section, folders));
    if let Some(zone) = section.time_zone("time_zone") {
        settings.time_zone = zone;
    }
    if let Some(history) = section.duration("history") {
        settings.history = history;
    }
    if let Some(log) = section.text("log") {
        if telemetry::filter_of(log.get_ref()).is_err() {
            let help = "write error, warn, info or debug";
            section.problems.error(log.span(), format!("`{}` is not a valid log level", log.get_ref()), help);
        }
        settings.log = log.into_inner();
    }
    settings.failures = section.section("failures").map(|section| failures(section, connections));
    settings.heartbeat_url = section.text("heartbeat_url").and_then(|text| heartbeat_url(&section, &text));
    let zone = settings.time_zone.clone();
    settings.page = section.section("page").and_then(|section| page::read(section, folders, &zone));
    section.finish();
    settings
}

/// Notes that nobody is notified of failures, where mails really leave.
pub(super) fn check_listeners(
    problems: &Problems<'_>,
    settings: &Settings,
    connections: &Connections,
    flows: &BTreeMap<String, Arc<Flow>>,
) {
    if settings.failures.is_some() || settings.heartbeat_url.is_some() {
        return;
    }
    let is_real = |name: &&String| {
        connections.mails.get(*name).is_some_and(|mail| !matches!(mail, MailConnection::Folder(_)))
    };
    let mut used = flows.values().flat_map(|flow| &flow.email.connections);
    let Some(name) = used.find(is_real) else { return };
    let help =
        format!("write [settings.failures] with connection = \"{name}\" and to = \"ops@contoso.example\"");
    problems.note_of_all("nobody is notified when a flow or a mail connection fails", help);
}

fn failures(section: Section<'_>, connections: &Connections) -> Failures {
    let failures = Failures {
        connections: connections.mails_named(&section, "connection"),
        to: section.addresses("to"),
        after: section.integer("after", 1..=1_000).unwrap_or(1),
        repeat: section.duration("repeat").unwrap_or(REPEAT),
    };
    if failures.to.is_empty() && !section.has("to") {
        section.missing("to", "write to = \"ops@contoso.example\"");
    }
    section.finish();
    failures
}

/// An address that is asked each minute while all is well; what it says is nobody's secret but its
/// path, which is why it goes over https.
fn heartbeat_url(section: &Section<'_>, text: &Spanned<String>) -> Option<url::Url> {
    let found = url::Url::parse(text.get_ref()).ok().filter(url::Url::has_host);
    let is_safe = |url: &url::Url| match url.scheme() {
        "https" => true,
        "http" => url.host_str().is_some_and(is_loopback),
        _ => false,
    };
    let found = found.filter(is_safe);
    if found.is_none() {
        let help = "write heartbeat_url = \"https://…\"; http is allowed for this machine only";
        section.problems.error(text.span(), "`heartbeat_url` must start with https://", help);
    }
    found
}

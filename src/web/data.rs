//! What pages and the API show, read once for both.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::access::Visitor;
use super::failure::Failure;
use super::site::Site;
use crate::config::{self, Level, Loaded};
use crate::flow::Flow;
use crate::stats::{DayRange, Sample, Tally};
use crate::store::{OutboxEntry, OutboxFilter, RunFilter};
use crate::tasks::doctor;
use crate::tasks::flow_list::flow_list;
use crate::tasks::health::Health;
use crate::views::check::{CheckView, FindingView, ProblemView};
use crate::views::flows::FlowView;
use crate::views::health::HealthView;
use crate::views::nodes::NodeView;
use crate::views::runs::{RunDetailView, RunView};
use crate::views::stats::{DayView, FlowStatsView, StatsView};

/// The days that charts show.
pub(super) const DAYS: u16 = 30;

/// All flows.
pub(super) async fn flows(site: &Site, by: &Visitor) -> Result<Vec<FlowView>, Failure> {
    let store = site.store().await?;
    let now = site.clock.now();
    let known = flow_list(&site.loaded(), Some(&store)).await?;
    let view = |(flow, known): &(_, _)| by.flow(FlowView::new(flow, known, Some(true), now));
    Ok(known.iter().map(view).collect())
}

/// The flow of that name.
pub(super) fn flow_of(loaded: &Loaded, name: &str) -> Result<Arc<Flow>, Failure> {
    let flow = loaded.config.flows.get(name).cloned();
    flow.ok_or_else(|| Failure::not_found("there is no flow of this name in flows.toml"))
}

/// Runs by day, of one flow or of all.
pub(super) async fn stats(site: &Site, flow: Option<&str>, days: u16) -> Result<StatsView, Failure> {
    let store = site.store().await?;
    let config = site.config();
    let zone = &config.settings.time_zone;
    let range = DayRange::last(days, site.clock.now(), zone);
    let names: Vec<String> = match flow {
        Some(flow) => vec![flow.to_owned()],
        None => config.flows.keys().cloned().collect(),
    };
    let mut total = Tally::default();
    let mut flows = Vec::new();
    for name in names {
        let counted = range.count(&store.samples(&name, range.start()).await?);
        total.merge(&counted.total);
        flows.push(FlowStatsView::new(&name, &counted));
    }
    Ok(StatsView {
        days,
        time_zone: zone.iana_name().unwrap_or("UTC").to_owned(),
        since: range.start(),
        flows,
        total: (&total).into(),
    })
}

/// The mailed rows of each flow by day. Only the runs that have made a mail are read, which are few.
pub(super) async fn mailed_rows(site: &Site) -> Result<BTreeMap<String, Vec<DayView>>, Failure> {
    let range = DayRange::last(DAYS, site.clock.now(), &site.config().settings.time_zone);
    let found = site.store().await?.mailed_samples(range.start()).await?;
    let mut of_flows: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for (flow, sample) in found {
        of_flows.entry(flow).or_default().push(sample);
    }
    let count = |flow: &String| range.count(of_flows.get(flow).map(Vec::as_slice).unwrap_or_default());
    let flows = site.config();
    let by_day = flows.flows.keys().map(|flow| (flow.clone(), FlowStatsView::new(flow, &count(flow)).days));
    Ok(by_day.collect())
}

/// When each flow last mailed rows, within the days that charts show.
pub(super) async fn newest_leads(site: &Site) -> Result<BTreeMap<String, Timestamp>, Failure> {
    let range = DayRange::last(DAYS, site.clock.now(), &site.config().settings.time_zone);
    let found = site.store().await?.mailed_samples(range.start()).await?;
    let mut newest: BTreeMap<String, Timestamp> = BTreeMap::new();
    for (flow, sample) in found {
        let at = newest.entry(flow).or_insert(sample.started);
        *at = sample.started.max(*at);
    }
    Ok(newest)
}

/// Runs, the newest first.
pub(super) async fn runs(site: &Site, by: &Visitor, filter: RunFilter) -> Result<Vec<RunView>, Failure> {
    let runs = site.store().await?.find_runs(filter).await?;
    Ok(runs.iter().map(|run| by.run(RunView::from(run))).collect())
}

/// A run with its steps and mails.
pub(super) async fn run(site: &Site, by: &Visitor, id: i64) -> Result<RunDetailView, Failure> {
    let store = site.store().await?;
    let none = || Failure::not_found(format!("there is no run {id}, or it is older than settings.history"));
    let run = store.run(id).await?.ok_or_else(none)?;
    let steps = store.steps(id).await?;
    let mails = store.mails_of(id).await?;
    let RunDetailView { run, steps } = RunDetailView::new(&run, &steps, &mails);
    Ok(RunDetailView { run: by.run(run), steps: by.steps(steps) })
}

/// The mail of that number.
pub(super) async fn mail(site: &Site, id: i64) -> Result<OutboxEntry, Failure> {
    let found = site.store().await?.outbox(OutboxFilter::One(id)).await?.pop();
    found.ok_or_else(|| {
        Failure::not_found(format!("there is no mail {id}, or it is older than settings.history"))
    })
}

/// What is wrong.
pub(super) async fn health(site: &Site, by: &Visitor) -> Result<(HealthView, Health), Failure> {
    let store = site.store().await?;
    let health = Health::collect(&site.loaded(), &store, true, site.clock.now()).await?;
    let health = by.health(health);
    let mut reasons = health.reasons.clone();
    if !site.signs.is_alive(site.clock.steady()) {
        reasons.insert(
            0,
            "the daemon has not ticked for 30 seconds\n  see the log: journalctl -u leadflow".to_owned(),
        );
    }
    Ok((HealthView::new(reasons, &health.alarms), health))
}

/// The machines that share the state; none where it is in the state folder.
pub(super) async fn nodes(site: &Site) -> Result<Vec<NodeView>, Failure> {
    let config = site.config();
    if config.settings.postgres.is_none() {
        return Ok(Vec::new());
    }
    let nodes = site.store().await?.nodes().await?;
    Ok(nodes.into_iter().map(|node| NodeView::new(node, &config.digest)).collect())
}

/// A moment that a form has a field for; `None` where the field is empty.
pub(super) fn moment_of(field: &str, site: &Site) -> Result<Option<Timestamp>, Failure> {
    let text = field.trim();
    if text.is_empty() { Ok(None) } else { moment(text, site).map(Some) }
}

/// A moment that somebody has written: a day or a minute of the zone, or a moment with its zone.
pub(super) fn moment(text: &str, site: &Site) -> Result<Timestamp, Failure> {
    let zone = site.config().settings.time_zone.clone();
    let parsed = text.parse::<Timestamp>().ok().or_else(|| {
        let date_time = text
            .parse::<jiff::civil::DateTime>()
            .or_else(|_| text.parse::<jiff::civil::Date>().map(|date| date.at(0, 0, 0, 0)));
        Some(date_time.ok()?.to_zoned(zone).ok()?.timestamp())
    });
    let help = "write 2026-11-20, 2026-11-20T08:00 or 2026-11-20T08:00:00Z";
    parsed.ok_or_else(|| Failure::bad_request("this is not a valid moment").with_help(help))
}

/// flows.toml as it is now, and what it names; no server is asked.
pub(super) async fn check(site: &Site) -> Result<CheckView, Failure> {
    let path = site.config().path.clone();
    let checked = tokio::task::spawn_blocking(move || config::check(&path)).await;
    let checked = checked.map_err(|_| Failure::no_state())?;
    let (problems, findings) = match &checked {
        Ok(loaded) => (loaded.warnings.as_slice(), doctor::glance(&loaded.config, &site.clock).await),
        Err(report) => (report.problems.as_slice(), Vec::new()),
    };
    let is_well = |problem: &config::Problem| problem.level != Level::Error;
    Ok(CheckView {
        ok: problems.iter().all(is_well) && findings.iter().all(doctor::Finding::is_well),
        problems: problems.iter().map(ProblemView::from).collect(),
        findings: findings.iter().map(FindingView::from).collect(),
    })
}

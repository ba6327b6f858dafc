//! Figures for monitoring, in the text format of Prometheus.

use jiff::{SignedDuration, Timestamp};
use prometheus::proto::MetricFamily;
use prometheus::{Error, GaugeVec, Opts, Registry, TextEncoder};

use crate::alarm::{Alarm, AlarmKind, FlowState};
use crate::flow::{Config, Flow};
use crate::store::{AlarmFacts, NodeRecord, OpenMails};

/// What is known of leadflow's work. The figures of the state are gauges: those that count are of now, none rises for
/// ever. Those of a running daemon come beside them.
#[derive(Debug, Default)]
pub struct MetricsView {
    families: Vec<Family>,
    /// Of the daemon that shows them, with their whole names.
    live: Vec<MetricFamily>,
}

/// Samples of one name.
#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    label: Option<&'static str>,
    /// Each with the value of its label.
    samples: Vec<(String, f64)>,
}

impl MetricsView {
    /// What is known also where the state cannot be used.
    pub fn new(is_well: bool) -> Self {
        let mut view = Self::default();
        view.labelled("build_info", "The version of leadflow.", "version", [(version(), 1.0)]);
        view.single("healthy", "Whether nothing is failing, late or held: 1 or 0.", from_bool(is_well));
        view
    }

    /// Whether a daemon runs, where that is known.
    pub fn add_daemon(&mut self, is_running: bool) {
        self.single("daemon_running", "Whether a daemon runs: 1 or 0.", from_bool(is_running));
    }

    /// Of the flows and connections of the file, and what is wrong with them.
    pub fn add_state(&mut self, config: &Config, facts: &AlarmFacts, alarms: &[Alarm]) {
        let count = |kind: AlarmKind| alarms.iter().filter(|alarm| alarm.kind == kind).count();
        let kinds = AlarmKind::all().map(|kind| (kind.as_str().to_owned(), from_count(count(kind))));
        self.labelled("alarms", "What is wrong now, as settings.failures reports it.", "kind", kinds);
        let failures = |name: &String| facts.connections.get(name).map_or(0.0, |it| f64::from(it.failures));
        let connections = config.mails.keys().map(|name| (name.clone(), failures(name)));
        self.labelled(
            "connection_consecutive_failures",
            "Failed attempts in a row on a mail connection.",
            "connection",
            connections,
        );
        for (name, help, value) in OF_FLOWS {
            let value = |flow: &Flow| value(flow, facts.flows.get(&flow.name)?);
            let samples = config.flows.values().filter_map(|flow| Some((flow.name.clone(), value(flow)?)));
            self.labelled(name, help, "flow", samples);
        }
    }

    /// Of the outbox.
    pub fn add_mails(&mut self, open: OpenMails) {
        let OpenMails { waiting, uncertain, held } = open;
        let states = [("waiting", waiting), ("uncertain", uncertain), ("held", held)];
        let states = states.map(|(state, count)| (state.to_owned(), f64::from(count)));
        self.labelled("mails", "Mails with a recipient in this state.", "state", states);
    }

    /// What the process has counted that shows the figures.
    pub fn add_live(&mut self, families: Vec<MetricFamily>) {
        self.live.extend(families);
    }

    /// Of the machines that share the state.
    pub fn add_nodes(&mut self, nodes: &[NodeRecord]) {
        let daemons = || nodes.iter().filter(|node| !node.is_command());
        let alive = daemons().filter(|node| node.is_alive).count();
        let gone = daemons().count() - alive;
        let states =
            [("alive", alive), ("gone", gone)].map(|(state, count)| (state.to_owned(), from_count(count)));
        self.labelled("nodes", "Machines that share the state.", "state", states);
    }

    /// The text format, version 0.0.4.
    ///
    /// # Errors
    /// When two figures have the same name and labels, which is a fault.
    pub fn to_text(&self) -> Result<String, Error> {
        let registry = Registry::new_custom(Some("leadflow".to_owned()), None)?;
        for Family { name, help, label, samples } in &self.families {
            let labels: Vec<&str> = label.iter().copied().collect();
            let gauges = GaugeVec::new(Opts::new(*name, *help), &labels)?;
            for (value, figure) in samples {
                let values: &[&str] = if labels.is_empty() { &[] } else { &[value] };
                gauges.with_label_values(values).set(*figure);
            }
            registry.register(Box::new(gauges))?;
        }
        let mut all = registry.gather();
        all.extend_from_slice(&self.live);
        all.sort_by(|one, other| one.name().cmp(other.name()));
        if all.windows(2).any(|two| two[0].name() == two[1].name()) {
            return Err(Error::AlreadyReg);
        }
        TextEncoder::new().encode_to_string(&all)
    }

    fn single(&mut self, name: &'static str, help: &'static str, figure: f64) {
        self.families.push(Family { name, help, label: None, samples: vec![(String::new(), figure)] });
    }

    fn labelled(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        samples: impl IntoIterator<Item = (String, f64)>,
    ) {
        let samples = samples.into_iter().collect();
        self.families.push(Family { name, help, label: Some(label), samples });
    }
}

type OfFlow = (&'static str, &'static str, fn(&Flow, &FlowState) -> Option<f64>);

/// A figure is missing where it has no value, as the last success of a flow that had none.
const OF_FLOWS: [OfFlow; 8] = [
    ("flow_enabled", "Whether the flow is on: 1 or 0.", |flow, state| {
        Some(from_bool(flow.enabled && !state.is_off))
    }),
    ("flow_interval_seconds", "The time between two slots of the flow.", |flow, _| {
        Some(flow.recurrence.length().as_secs_f64())
    }),
    ("flow_last_success_timestamp_seconds", "When a run last read the table to its end.", |_, state| {
        state.last_read.map(from_moment)
    }),
    ("flow_watermark_timestamp_seconds", "The moment up to which the table was read.", |_, state| {
        state.watermark.map(from_moment)
    }),
    ("flow_consecutive_failures", "Failed runs since then.", |_, state| Some(f64::from(state.failures))),
    ("flow_waiting_mails", "Mails of the flow that wait to be sent, but for its per_hour.", |_, state| {
        Some(state.waiting.map_or(0.0, |(count, _)| f64::from(count)))
    }),
    ("flow_oldest_waiting_mail_timestamp_seconds", "When the oldest of them was made.", |_, state| {
        state.waiting.map(|(_, oldest)| from_moment(oldest))
    }),
    ("flow_held_mails", "Mails of the flow with a recipient that is held.", |_, state| {
        Some(state.held.map_or(0.0, |held| f64::from(held.count)))
    }),
];

fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

fn from_bool(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

/// Exact below 2^32, which nobody has.
fn from_count(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Seconds since 1970.
fn from_moment(moment: Timestamp) -> f64 {
    SignedDuration::from_millis(moment.as_millisecond()).as_secs_f64()
}

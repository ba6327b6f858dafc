//! What this process counts of its work, for Prometheus.

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector as _;
use prometheus::proto::{Metric, MetricFamily};
use prometheus::{Error, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};

use crate::flow::Config;
use crate::history::Outcome;
use crate::outbox::{Recipient, RecipientState};

/// Counters and histograms of this process. They begin at nothing when it starts and only rise; clones count into the
/// same ones.
#[derive(Debug, Clone)]
pub struct Meters(Arc<Families>);

#[derive(Debug)]
struct Families {
    registry: Registry,
    runs: IntCounterVec,
    rows: IntCounter,
    deliveries: IntCounterVec,
    connection_failures: IntCounterVec,
    reloads: IntCounterVec,
    run_duration: Histogram,
    delivery_duration: Histogram,
    tick_lateness: Histogram,
}

/// Outcomes with which a run ends. What becomes of its mails later is counted by their recipients.
const ENDS: [Outcome; 5] =
    [Outcome::NothingNew, Outcome::ConditionFalse, Outcome::Waiting, Outcome::Failed, Outcome::Interrupted];
/// Results of an attempt for a recipient.
const RESULTS: [RecipientState; 4] =
    [RecipientState::Sent, RecipientState::Held, RecipientState::Waiting, RecipientState::Uncertain];
const USED: &str = "used";
const REFUSED: &str = "refused";
/// Between two ticks.
const EACH_SECOND: Duration = Duration::from_secs(1);

/// Seconds: from an empty answer to a table of a million rows.
const OF_RUNS: [f64; 13] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0];
/// Seconds: from a server next door to one that is waited for until it is given up.
const OF_ATTEMPTS: [f64; 12] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];
/// Seconds: from a machine at rest to one that is stuck.
const OF_TICKS: [f64; 9] = [0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0];

impl Meters {
    /// Ones that have counted nothing.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "only names and labels fail, which are constants of this file"
    )]
    pub fn new() -> Self {
        Self(Arc::new(Families::new().expect("its names are valid and differ")))
    }

    /// What was counted, for the text format; each name begins with `leadflow_`.
    pub fn families(&self) -> Vec<MetricFamily> {
        self.0.registry.gather()
    }

    /// The mail connections of the file that is in force, and no others, have a counter.
    pub(super) fn follow(&self, config: &Config) {
        let failures = &self.0.connection_failures;
        for family in failures.collect() {
            let labels = family.get_metric().iter().flat_map(Metric::get_label);
            for gone in labels.filter(|label| !config.mails.contains_key(label.value())) {
                // It cannot fail: the label is one that there is.
                let _ = failures.remove_label_values(&[gone.value()]);
            }
        }
        for name in config.mails.keys() {
            failures.with_label_values(&[name]);
        }
    }

    /// A run has ended and is recorded; it has processed so many new rows, and its steps took so long.
    pub(super) fn run_ended(&self, outcome: Outcome, rows: u64, took: Duration) {
        self.0.runs.with_label_values(&[outcome.as_str()]).inc();
        self.0.rows.inc_by(rows);
        self.0.run_duration.observe(took.as_secs_f64());
    }

    /// Runs did not come to their end.
    pub(super) fn runs_interrupted(&self, runs: usize) {
        self.0.runs.with_label_values(&[Outcome::Interrupted.as_str()]).inc_by(runs as u64);
    }

    /// An attempt of a message has ended, and is recorded: its recipients before and after it.
    pub(super) fn attempt_ended(&self, before: &[Recipient], after: &[Recipient], took: Duration) {
        for (before, after) in before.iter().zip(after).filter(|(before, _)| before.is_due()) {
            self.0.deliveries.with_label_values(&[result(before, after).as_str()]).inc();
        }
        self.0.delivery_duration.observe(took.as_secs_f64());
    }

    /// A mail connection has failed.
    pub(super) fn connection_failed(&self, name: &str) {
        self.0.connection_failures.with_label_values(&[name]).inc();
    }

    /// A tick has come so long after the one before, by the clock that nobody sets.
    pub(super) fn ticked(&self, after: Duration) {
        self.0.tick_lateness.observe(after.saturating_sub(EACH_SECOND).as_secs_f64());
    }

    /// flows.toml was read again, and is used from now on or was refused.
    pub(crate) fn reloaded(&self, is_used: bool) {
        self.0.reloads.with_label_values(&[if is_used { USED } else { REFUSED }]).inc();
    }
}

impl Default for Meters {
    fn default() -> Self {
        Self::new()
    }
}

/// What the attempt led to for a recipient; the mark of uncertainty that it had before is no result of this one.
fn result(before: &Recipient, after: &Recipient) -> RecipientState {
    match after.state {
        RecipientState::Uncertain if after.uncertain == before.uncertain => RecipientState::Waiting,
        state => state,
    }
}

impl Families {
    fn new() -> Result<Self, Error> {
        let registry = Registry::new_custom(Some("leadflow".to_owned()), None)?;
        let counters = |name, help, label, values: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(counters.clone()))?;
            // What has not happened yet is there as 0, so that its first time is a rise.
            for value in values {
                counters.with_label_values(&[value]);
            }
            Ok::<_, Error>(counters)
        };
        let histogram = |name, help, buckets: &[f64]| {
            let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, Error>(histogram)
        };
        let rows = IntCounter::new("rows_total", ROWS)?;
        registry.register(Box::new(rows.clone()))?;
        Ok(Self {
            runs: counters("runs_total", RUNS, "outcome", &ENDS.map(Outcome::as_str))?,
            deliveries: counters(
                "deliveries_total",
                DELIVERIES,
                "result",
                &RESULTS.map(RecipientState::as_str),
            )?,
            connection_failures: counters("connection_failures_total", FAILURES, "connection", &[])?,
            reloads: counters("reloads_total", RELOADS, "result", &[USED, REFUSED])?,
            run_duration: histogram("run_duration_seconds", RUN_DURATION, &OF_RUNS)?,
            delivery_duration: histogram("delivery_duration_seconds", DELIVERY_DURATION, &OF_ATTEMPTS)?,
            tick_lateness: histogram("tick_lateness_seconds", TICK_LATENESS, &OF_TICKS)?,
            rows,
            registry,
        })
    }
}

const RUNS: &str =
    "Runs that this process has recorded, by how they ended; waiting: their mails wait to be sent.";
const ROWS: &str = "New rows that those runs processed: they mailed them, or skipped them by the condition.";
const DELIVERIES: &str = "Recipients of attempts to send a mail, by what each attempt led to.";
const FAILURES: &str = "Failures of a mail connection.";
const RELOADS: &str = "How often flows.toml was read again, and whether it is used.";
const RUN_DURATION: &str = "How long runs took from their turn to their end.";
const DELIVERY_DURATION: &str =
    "How long attempts to send a mail took, over all connections that they tried.";
const TICK_LATENESS: &str = "How much later than a second after the one before each tick came.";

#[cfg(test)]
mod tests {
    use leadflow_core::testing;
    use prometheus::TextEncoder;

    use super::*;
    use crate::outbox::Receipt;

    fn text(meters: &Meters) -> String {
        TextEncoder::new().encode_to_string(&meters.families()).unwrap()
    }

    fn has(meters: &Meters, lines: &[&str]) {
        let text = text(meters);
        for line in lines {
            assert!(text.lines().any(|it| it == *line), "`{line}` is not in:\n{text}");
        }
    }

    #[test]
    fn all_that_can_happen_is_there_before_it_does() {
        let text = text(&Meters::new());
        for (name, values) in [
            (
                "runs_total{outcome=",
                &["nothing-new", "condition-false", "waiting", "failed", "interrupted"][..],
            ),
            ("deliveries_total{result=", &["sent", "held", "waiting", "uncertain"]),
            ("reloads_total{result=", &["used", "refused"]),
        ] {
            for value in values {
                assert!(
                    text.contains(&format!("leadflow_{name}\"{value}\"}} 0\n")),
                    "{name} {value}: {text}"
                );
            }
            assert_eq!(text.matches(&format!("leadflow_{name}")).count(), values.len(), "{name}");
        }
    }

    #[test]
    fn names_and_helps_are_those_of_prometheus() {
        let meters = Meters::new();
        meters.connection_failed("relay");
        let families = meters.families();
        assert_eq!(families.len(), 8);
        for family in families {
            let name = family.name();
            assert!(name.starts_with("leadflow_"), "{name}");
            assert!(name.ends_with("_total") || name.ends_with("_seconds"), "{name}");
            assert!(family.help().ends_with('.'), "{name}");
        }
    }

    #[test]
    fn a_clone_counts_into_the_same() {
        let meters = Meters::new();
        let run = |outcome, rows, milliseconds| {
            meters.clone().run_ended(outcome, rows, Duration::from_millis(milliseconds));
        };
        run(Outcome::Waiting, 3, 40);
        run(Outcome::NothingNew, 0, 2_000);
        run(Outcome::Failed, 0, 1_000_000);
        meters.runs_interrupted(2);
        meters.reloaded(true);
        meters.reloaded(false);
        meters.ticked(Duration::from_millis(900));
        meters.ticked(Duration::from_millis(1_020));
        has(
            &meters,
            &[
                "leadflow_runs_total{outcome=\"waiting\"} 1",
                "leadflow_runs_total{outcome=\"failed\"} 1",
                "leadflow_runs_total{outcome=\"interrupted\"} 2",
                "leadflow_rows_total 3",
                "leadflow_run_duration_seconds_bucket{le=\"0.05\"} 1",
                "leadflow_run_duration_seconds_bucket{le=\"900\"} 2",
                "leadflow_run_duration_seconds_count 3",
                "leadflow_reloads_total{result=\"used\"} 1",
                "leadflow_reloads_total{result=\"refused\"} 1",
                "leadflow_tick_lateness_seconds_bucket{le=\"0.01\"} 1",
                "leadflow_tick_lateness_seconds_bucket{le=\"0.05\"} 2",
            ],
        );
    }

    #[test]
    fn each_recipient_counts_by_what_the_attempt_led_to() {
        let fresh = Recipient::new("a@contoso.example");
        let doubted = fresh.after(Receipt::Unknown("eof".into()));
        let sent = fresh.after(Receipt::Accepted("250".into()));
        for (before, receipt, expected) in [
            (&fresh, Receipt::Accepted("250".into()), "sent"),
            (&fresh, Receipt::Refused("550".into()), "held"),
            (&fresh, Receipt::Later("451".into()), "waiting"),
            (&fresh, Receipt::Unknown("eof".into()), "uncertain"),
            (&doubted, Receipt::Later("451".into()), "waiting"),
            (&doubted, Receipt::Unknown("eof".into()), "uncertain"),
            (&doubted.after(Receipt::Unknown("eof".into())), Receipt::Unknown("eof".into()), "held"),
        ] {
            let meters = Meters::new();
            // Who has the mail is not attempted, and counts no more.
            let before = [before.clone(), sent.clone()];
            let after = [before[0].after(receipt), sent.clone()];
            meters.attempt_ended(&before, &after, Duration::from_secs(1));
            for result in RESULTS.map(RecipientState::as_str) {
                let count = u8::from(result == expected);
                has(&meters, &[&format!("leadflow_deliveries_total{{result=\"{result}\"}} {count}")]);
            }
            has(&meters, &["leadflow_delivery_duration_seconds_count 1"]);
        }
    }

    #[test]
    fn only_connections_of_the_file_have_a_counter() {
        let config = |names: &[&str]| {
            let mut config = testing::config([]);
            let connection = config.mails.remove("m").unwrap();
            config.mails.extend(names.iter().map(|name| ((*name).to_owned(), connection.clone())));
            config
        };
        let meters = Meters::new();
        meters.follow(&config(&["old", "relay"]));
        meters.connection_failed("relay");
        meters.follow(&config(&["new", "relay"]));
        let name = "leadflow_connection_failures_total{connection=";
        has(&meters, &[&format!("{name}\"new\"}} 0"), &format!("{name}\"relay\"}} 1")]);
        assert_eq!(text(&meters).matches(name).count(), 2);
    }
}

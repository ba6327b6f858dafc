//! A daemon in the test's process, on a clock that the test drives.

use jiff::SignedDuration;
use jiff::Timestamp;
use leadflow::alarm::RaisedAlarm;
use leadflow::config;
use leadflow::daemon;
use leadflow::daemon::Drive;
use leadflow::daemon::Signal;
use leadflow::platform::clock::Clock;
use leadflow::platform::clock::DrivenClock;
use leadflow::store::{FlowOverview, MessageRecord, OutboxFilter};
use tokio::sync::mpsc;

use super::eventually_async;
use super::leadflow::Sandbox;

/// A daemon whose clock and ticks the test drives.
pub(crate) struct Driven {
    pub(crate) clock: DrivenClock,
    flows: Vec<String>,
    ticks: mpsc::Sender<()>,
    signals: mpsc::Sender<Signal>,
    task: tokio::task::JoinHandle<()>,
}

impl Driven {
    pub(crate) fn start(sandbox: &Sandbox, now: &str) -> Self {
        let loaded = config::load(&sandbox.path("flows.toml")).unwrap();
        let flows = loaded.config.flows.keys().cloned().collect();
        let clock = DrivenClock::new(now.parse().unwrap());
        let (ticks, receive) = mpsc::channel(1);
        let (signals, of_signals) = mpsc::channel(1);
        let drive =
            Drive { clock: Clock::Driven(clock.clone()), ticks: receive, signals: of_signals, watch: None };
        let task = tokio::spawn(async move { daemon::run(loaded, drive).await.unwrap() });
        Self { clock, flows, ticks, signals, task }
    }

    /// Lets time pass in steps, and the daemon work at each until nothing is to be done at that
    /// moment any more.
    pub(crate) async fn pass(&self, sandbox: &Sandbox, whole: SignedDuration, step: SignedDuration) {
        let until = self.clock.now() + whole;
        while self.clock.now() < until {
            self.clock.advance(step);
            let now = self.clock.now();
            // One waits in the channel, one may be under way: the third is taken when the first is done.
            for _ in 0..3 {
                self.ticks.send(()).await.unwrap();
            }
            // All three may have fallen into a run: it goes on ticking, as a clock does.
            let is_done = async || {
                let _ = self.ticks.try_send(());
                self.is_done(sandbox, now).await.then_some(())
            };
            eventually_async("the daemon to be done", is_done).await;
        }
    }

    /// Whether the hour's slot of each flow is taken, and no mail is due or under way.
    async fn is_done(&self, sandbox: &Sandbox, now: Timestamp) -> bool {
        let store = sandbox.state();
        let is_taken = |flow: &FlowOverview| {
            let slot = flow.schedule.as_ref().unwrap().last_slot;
            slot.is_some_and(|slot| now.duration_since(slot) < SignedDuration::from_hours(1))
        };
        let is_due = |mail: &MessageRecord| mail.is_sending || mail.next_try.is_some_and(|at| at <= now);
        let flows = store.overview(self.flows.clone()).await.unwrap();
        let open = store.outbox(OutboxFilter::Open).await.unwrap();
        flows.iter().all(is_taken) && !open.iter().any(|entry| is_due(&entry.message))
    }

    pub(crate) async fn tick(&self) {
        self.ticks.send(()).await.unwrap();
    }

    pub(crate) async fn stop(self) {
        self.signals.send(Signal::Stop).await.unwrap();
        self.task.await.unwrap();
    }
}

/// The alarms that were raised and are not over; no command shows those of another time.
pub(crate) async fn raised(sandbox: &Sandbox) -> Vec<RaisedAlarm> {
    sandbox.state().alarm_facts().await.unwrap().raised
}

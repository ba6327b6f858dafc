//! Clocks that are wrong, and standstills.

use jiff::{SignedDuration, Timestamp};

use crate::support::driven::Driven;
use crate::support::embedded::row;
use crate::support::eventually_async;
use crate::support::flows_toml::{FlowsToml, SINCE};
use crate::support::leadflow::Sandbox;

fn sandbox() -> Sandbox {
    Sandbox::new(FlowsToml::demo().flow("leads").filter(SINCE))
}

const SECOND: SignedDuration = SignedDuration::from_secs(1);

#[tokio::test]
async fn case_14_a_clock_that_jumps_three_days_makes_no_storm() {
    let sandbox = sandbox();
    let daemon = Driven::start(&sandbox, "2026-03-02T08:00:00Z");
    daemon.pass(&sandbox, SECOND, SECOND).await;
    let (hour, days) = (SignedDuration::from_hours(1), SignedDuration::from_hours(72));
    daemon.pass(&sandbox, hour * 2, hour).await;
    assert_eq!(sandbox.runs().len(), 3);
    daemon.clock.advance(days);
    daemon.pass(&sandbox, SECOND * 20, SECOND).await;
    assert_eq!(sandbox.runs().len(), 4, "72 missed slots are one run");
    daemon.clock.advance(-days);
    daemon.pass(&sandbox, SECOND * 20, SECOND).await;
    let after = sandbox.runs().len();
    assert!(after <= 5, "{after} runs");
    for number in 1..4 {
        daemon.clock.advance(hour);
        let is_run = async || {
            daemon.tick().await;
            (sandbox.runs().len() >= after + number).then_some(())
        };
        eventually_async("the hour's run, which does not wait for three days", is_run).await;
        assert_eq!(sandbox.runs().len(), after + number);
    }
    daemon.stop().await;
}

#[tokio::test]
async fn case_15_after_sixty_hours_there_is_one_run_and_every_row() {
    let sandbox = sandbox();
    let daemon = Driven::start(&sandbox, "2026-03-02T08:00:00Z");
    daemon.pass(&sandbox, SECOND, SECOND).await;
    daemon.stop().await;
    for hour in 1..60 {
        let at: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
        sandbox.table().insert_at(&[row(hour)], at + SignedDuration::from_hours(hour));
    }
    let daemon = Driven::start(&sandbox, "2026-03-04T20:00:00Z");
    daemon.pass(&sandbox, SECOND * 30, SECOND).await;
    daemon.stop().await;
    assert_eq!(sandbox.runs().len(), 2);
    let run = sandbox.shown(2);
    assert_eq!((&run["rows"], &run["mails"].as_array().unwrap().len()), (&59.into(), &1));
}

//! Who works on the state, and what the other commands do meanwhile: a daemon that dies under a request, commands that
//! do their work themselves.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use leadflow::store::Answer;
use serde_json::json;

use crate::support::embedded::rows;
use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::scripted::smtp;
use crate::support::stuck::{begun, ended, hanging};
use crate::support::{done, eventually, has};

fn embedded(flows: FlowsToml) -> Sandbox {
    let flow = flows.embedded("demo").flow("leads").every("day").filter(SINCE);
    Sandbox::new(flow.subject("{{length}} rows").body(KEYS))
}

#[test]
fn a_request_whose_daemon_dies_stays_and_the_command_says_so() {
    let sandbox = embedded(FlowsToml::new().folder("folder"));
    let daemon = sandbox.daemon();
    daemon.wait_for_log("no new rows");
    daemon.signal("STOP");
    let asked = [&["trigger", "leads"][..], &["off", "leads"]].map(|arguments| begun(&sandbox, arguments));
    let store = sandbox.state();
    eventually("the requests", || {
        [1, 2].into_iter().all(|id| done(store.answer(id)).unwrap() == Answer::Pending).then_some(())
    });
    daemon.signal("KILL");
    for asked in asked {
        let output = ended(asked);
        assert_eq!(output.code, 1, "{output:?}");
        has(
            &output.stderr,
            &["the daemon has ended", "remains queued: it is done when a daemon starts: leadflow run"],
        );
    }
    let daemon = sandbox.daemon();
    let cause = || Some(sandbox.runs().first()?["cause"] == "trigger");
    eventually("the run that was asked for", || cause()?.then_some(()));
    eventually("the flow is off", || {
        (sandbox.json(&["list", "--json"])[0]["on"] == json!(false)).then_some(())
    });
    assert!(daemon.stop().success());
}

#[test]
fn a_run_whose_daemon_dies_is_reported_as_interrupted() {
    let hangs = Arc::default();
    let (sandbox, service) = hanging(&hangs);
    let daemon = sandbox.daemon();
    daemon.wait_for_log("no new rows");
    hangs.store(true, Relaxed);
    let before = service.count();
    let asked = begun(&sandbox, &["trigger", "leads"]);
    eventually("a run that hangs", || (service.count() > before).then_some(()));
    drop(daemon);
    let output = ended(asked);
    assert_eq!(output.code, 1, "{output:?}");
    has(
        &output.stderr,
        &["the daemon has ended while run 2 was under way: the run is interrupted and has moved nothing"],
    );
}

#[test]
fn beside_a_command_that_works_on_the_state_no_daemon_is_seen_and_no_request_lies_unheard() {
    let (sandbox, service) = hanging(&Arc::new(true.into()));
    let mut once = begun(&sandbox, &["run", "--once"]);
    eventually("a run that hangs", || (service.count() > 0).then_some(()));
    let who = format!("`leadflow run --once` (process {}) works on the state", once.id());
    let ill = sandbox.exits(1, &["health"]);
    has(&ill.stdout, &["no daemon is running; ", &who]);
    assert_eq!(sandbox.json(&["list", "--json"])[0]["daemon_is_running"], false);
    has(&sandbox.run(&["list"]).stderr, &["no daemon is running, so no flow runs automatically; ", &who]);
    let second = sandbox.exits(1, &["run"]);
    has(&second.stderr, &["another leadflow uses the state folder", "wait until it has ended"]);

    let refused = sandbox.exits(1, &["off", "leads"]);
    has(
        &refused.stderr,
        &["waiting for `leadflow run --once`", "nothing was done; run the command again when it has ended"],
    );
    let waits = begun(&sandbox, &["off", "leads"]);
    once.kill().unwrap();
    once.wait().unwrap();
    let done = ended(waits);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(sandbox.json(&["list", "--json"])[0]["on"], false);
}

#[test]
fn what_is_asked_of_the_outbox_without_a_daemon_is_said_to_wait_for_one() {
    let (port, _) = smtp(|_| Some("554 this is spam"));
    let sandbox = embedded(FlowsToml::new().smtp("relay", port));
    sandbox.table().insert(&rows(["a"]));
    sandbox.exits(1, &["run", "--once"]);
    for arguments in [
        &["outbox", "retry", "1"][..],
        &["outbox", "send", "1", "--to", "a@contoso.example"],
        &["outbox", "drop", "1"],
    ] {
        let output = sandbox.exits(0, arguments);
        let words = "no daemon is running, so no mail is sent until one starts; start it: leadflow run";
        assert!(output.stderr.contains(words), "{arguments:?}: {output:?}");
    }
    let daemon = sandbox.daemon();
    let output = sandbox.exits(0, &["outbox", "retry", "1"]);
    assert!(!output.stderr.contains("no daemon"), "{output:?}");
    assert!(daemon.stop().success());
}

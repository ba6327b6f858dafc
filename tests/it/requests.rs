//! What people ask of a running daemon, and what is done without one: trigger, resubmit, replay,
//! the outbox.

use crate::support::embedded::rows;
use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::scripted::smtp;
use crate::support::{done, eventually, has, now};
use jiff::SignedDuration;
use serde_json::json;

/// A daily flow, by the mail connection of `flows`.
fn flow(flows: FlowsToml) -> Sandbox {
    let flow = flows.embedded("demo").flow("leads").every("day").filter(SINCE);
    Sandbox::new(flow.subject("{{length}} rows").body(KEYS))
}

fn folder() -> Sandbox {
    flow(FlowsToml::new().folder("relay"))
}

fn insert(sandbox: &Sandbox, keys: &[&str], hours_ago: i64) {
    sandbox.table().insert_at(&rows(keys), now() - SignedDuration::from_hours(hours_ago));
}

#[test]
fn trigger_runs_a_flow_with_and_without_a_daemon() {
    let sandbox = folder();
    insert(&sandbox, &["a"], 0);
    let alone = sandbox.exits(0, &["trigger", "leads"]);
    assert!(
        alone.stdout.starts_with("leads · run 1 · sent · 1 new row in 1 mail\n  sales@contoso.example sent"),
        "{}",
        alone.stdout
    );
    let daemon = sandbox.daemon();
    insert(&sandbox, &["b"], 0);
    let beside = sandbox.json(&["trigger", "leads", "--json"]);
    assert_eq!(
        (&beside["outcome"], &beside["cause"], &beside["rows"]),
        (&json!("sent"), &json!("trigger"), &json!(1))
    );
    assert_eq!(sandbox.texts(), ["a", "b"]);
    let nothing = sandbox.run(&["trigger", "leads"]);
    assert!(nothing.stdout.contains("nothing-new"), "{}", nothing.stdout);
    assert_eq!(sandbox.run(&["trigger", "lead"]).code, 2);
    // A flow that is off runs all the same, and one that the daemon does not know is reported.
    assert_eq!(sandbox.run(&["off", "leads"]).code, 0);
    assert_eq!(sandbox.run(&["trigger", "leads"]).code, 0);
    daemon.signal("STOP");
    let more = FlowsToml::new().flow("more").every("day").reads("demo", "leads").mails_by("relay");
    sandbox.edit("[flows.leads.email]", &format!("{more}[flows.leads.email]"));
    let mut asked =
        sandbox.command(&["trigger", "more"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    eventually("the request", || {
        let asked = done(sandbox.state().take_requests(now())).unwrap();
        (!asked.is_empty()).then_some(())
    });
    daemon.signal("CONT");
    assert!(asked.wait().unwrap().code().is_some(), "refused or, when the reload was first, done");
    assert!(daemon.stop().success());
}

#[test]
fn resubmit_mails_the_window_of_a_run_and_leaves_the_watermark() {
    let sandbox = folder();
    insert(&sandbox, &["a", "b"], 1);
    sandbox.run_once();
    let watermark = |run| {
        sandbox.shown(run)["steps"].as_array().unwrap().iter().find(|step| step["step"] == "commit").unwrap()
            ["outputs"]["watermark"]
            .clone()
    };
    assert!(watermark(1).is_string());
    let nothing = sandbox.run(&["resubmit", "1"]);
    assert!(nothing.stdout.contains("nothing-new"), "all of it was mailed: {}", nothing.stdout);
    assert!(
        nothing.stdout.ends_with("2 rows were mailed already; --again mails them again\n"),
        "{}",
        nothing.stdout
    );
    let again = sandbox.exits(0, &["resubmit", "1", "--again"]);
    assert!(again.stdout.contains("run 3 · sent · 2 new rows in 1 mail"), "{}", again.stdout);
    assert_eq!(sandbox.texts(), ["a b", "a b"]);
    assert!(watermark(3).is_null(), "it moves no watermark");
    assert_eq!(sandbox.shown(3)["cause"], "resubmit");
    assert!(sandbox.run_once().stdout.contains("nothing-new"));

    // A run that failed has moved nothing; its window is mailed by the resubmit, and by no later run.
    let whole = sandbox.spoil_table();
    assert_eq!(sandbox.run(&["run", "--once"]).code, 1);
    sandbox.exits(1, &["resubmit", "5"]);
    sandbox.mend_table(&whole);
    insert(&sandbox, &["c"], 0);
    assert!(
        sandbox.run(&["health"]).stdout.contains("leads fails"),
        "a resubmit does not count as the flow's"
    );
    sandbox.run_once();
    assert_eq!(sandbox.texts().last().unwrap(), "c");
    let none = sandbox.run(&["resubmit", "99"]);
    assert_eq!((none.code, none.stderr.contains("there is no run 99")), (1, true));
}

#[test]
fn replay_says_what_it_would_do_and_mails_what_was_not_mailed() {
    let sandbox = folder();
    insert(&sandbox, &["old"], 60);
    insert(&sandbox, &["older"], 100);
    insert(&sandbox, &["new"], 1);
    sandbox.run_once();
    assert_eq!(sandbox.texts(), ["new"], "the first run reads one window back");
    let asked = sandbox.exits(2, &["replay", "leads", "--from", "3 days"]);
    has(
        &asked.stdout,
        &[
            "leads: 2 rows were written from",
            "; 1 of them was mailed already and is left out",
            "\n1 row to mail to sales@",
        ],
    );
    assert!(asked.stderr.contains("pass --yes"), "{}", asked.stderr);
    assert_eq!(sandbox.texts().len(), 1);

    let daemon = sandbox.daemon();
    sandbox.exits(0, &["replay", "leads", "--from", "3 days", "--yes"]);
    assert_eq!(sandbox.texts(), ["new", "old"]);
    let nothing = sandbox.run(&["replay", "leads", "--from", "3 days", "--yes"]);
    assert!(nothing.stdout.contains("0 rows to mail"), "{}", nothing.stdout);
    let again = sandbox
        .json(&["replay", "leads", "--from", "4 days", "--to", "2 days", "--again", "--yes", "--json"]);
    assert_eq!((&again["cause"], &again["rows"]), (&json!("replay"), &json!(1)), "{again}");
    assert_eq!(sandbox.texts(), ["new", "old", "old"]);
    assert!(daemon.stop().success());
    for (arguments, words) in [
        (["--from", "tomorrow", "--to", "now"], "`tomorrow` is not a valid time"),
        (["--from", "2026-01-02", "--to", "2026-01-01"], "--from is not before --to"),
    ] {
        let wrong = sandbox.run(&[&["replay", "leads"][..], &arguments[..]].concat());
        assert_eq!((wrong.code, wrong.stderr.contains(words)), (2, true), "{}", wrong.stderr);
    }
}

#[test]
fn mails_of_the_outbox_are_shown_retried_and_dropped() {
    let (port, messages) = smtp(|count| Some(if count < 2 { "554 this is spam" } else { "250 queued" }));
    let sandbox = flow(FlowsToml::new().smtp("relay", port));
    assert_eq!(sandbox.run(&["outbox", "list"]).stdout, "no mail is waiting, held or uncertain\n");
    assert_eq!(sandbox.run(&["outbox", "retry"]).stdout, "no mail is waiting or held\n");
    insert(&sandbox, &["a"], 0);
    assert_eq!(sandbox.run(&["run", "--once"]).code, 1);
    let listed = sandbox.run(&["outbox", "list"]).stdout;
    assert!(listed.contains("held") && listed.contains("1 rows"), "{listed}");
    let shown = sandbox.run(&["outbox", "show", "1"]).stdout;
    has(
        &shown,
        &[
            "mail 1: 1 rows",
            "sales@contoso.example  held  554 this is spam",
            "run 1 of leads",
            "connections      relay",
            "Subject: 1 rows",
        ],
    );
    assert_eq!(sandbox.json(&["outbox", "show", "1", "--json"])["recipients"][0]["state"], "held");

    let daemon = sandbox.daemon();
    assert_eq!(sandbox.run(&["outbox", "retry", "1"]).code, 0);
    eventually("the second try", || (messages.lock().unwrap().len() == 2).then_some(()));
    eventually("held again", || {
        (sandbox.json(&["outbox", "list", "--json"])[0]["recipients"][0]["state"] == "held").then_some(())
    });
    sandbox.exits(0, &["outbox", "drop", "1"]);
    assert_eq!(sandbox.json(&["outbox", "list", "--json"]), json!([]));
    assert!(sandbox.run(&["health"]).stdout.contains("all is well"), "nobody hears of it any more");
    assert_eq!(sandbox.run(&["outbox", "drop", "1"]).code, 1);
    assert_eq!(sandbox.run(&["outbox", "retry", "1"]).code, 0);
    eventually("the third try", || (messages.lock().unwrap().len() == 3).then_some(()));
    eventually("sent", || (sandbox.shown(1)["outcome"] == "sent").then_some(()));
    let sent = sandbox.run(&["outbox", "retry", "1"]);
    assert!(sent.stderr.contains("mail 1 was sent to every recipient"), "{}", sent.stderr);
    assert!(daemon.stop().success());
    let none = sandbox.run(&["outbox", "show", "9"]);
    assert_eq!(
        (none.code, none.stderr.as_str()),
        (1, "error: there is no mail 9; `leadflow outbox list` shows the open mails\n")
    );
}

//! The end of a daemon and of commands that work on the state: what is under way ends in order, and is recorded so.

use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, mpsc};

use crate::support::embedded::rows;
use crate::support::eventually;
use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::scripted::smtp;
use crate::support::stuck::{begun, ended, hanging, signal};

#[test]
fn a_run_that_does_not_end_in_time_is_interrupted_when_the_daemon_stops() {
    let hangs = Arc::new(true.into());
    let (sandbox, service) = hanging(&hangs);
    let daemon = sandbox.daemon();
    eventually("a run that hangs", || (service.count() > 0).then_some(()));
    daemon.signal("TERM");
    daemon.wait_for_log("runs under way are interrupted");
    assert!(daemon.stop().success());
    assert_eq!(sandbox.runs()[0]["outcome"], "interrupted");
    let daemon = sandbox.daemon();
    let before = service.count();
    eventually("the run once more", || (service.count() > before).then_some(()));
    daemon.signal("TERM");
    // Two signals of a kind that nobody has taken yet are one.
    daemon.wait_for_log("stopping");
    daemon.signal("TERM");
    assert!(daemon.stop().success());
    assert!(sandbox.logs().contains("stopped at once"), "{}", sandbox.logs());
    assert_eq!(sandbox.runs()[0]["outcome"], "interrupted");
    hangs.store(false, Relaxed);
}

/// Its next line on standard error with these words.
fn says(child: &mut Child, words: &str) {
    let lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
    let mut seen = String::new();
    for line in lines.map_while(Result::ok) {
        if line.contains(words) {
            return;
        }
        seen += &line;
    }
    panic!("`{words}` is not in: {seen}");
}

#[test]
fn a_command_that_runs_flows_itself_ends_in_order_by_a_signal_and_at_once_by_a_second() {
    let (sandbox, service) = hanging(&Arc::new(true.into()));
    for (name, code, arguments) in [
        ("INT", 130, &["run", "--once"][..]),
        ("TERM", 143, &["run", "--once"]),
        ("INT", 130, &["trigger", "leads"]),
    ] {
        let before = service.count();
        let mut child = begun(&sandbox, arguments);
        eventually("a run that hangs", || (service.count() > before).then_some(()));
        signal(&child, name);
        says(&mut child, "stopping when what is under way has ended");
        let output = ended(child);
        assert_eq!(output.code, code, "{output:?}");
        assert!(output.stderr.contains("stopped: what was not done is done by the next run"), "{output:?}");
        assert_eq!(sandbox.runs()[0]["outcome"], "interrupted");
    }
    let before = service.count();
    let mut child = begun(&sandbox, &["run", "--once"]);
    eventually("a run that hangs", || (service.count() > before).then_some(()));
    signal(&child, "INT");
    says(&mut child, "once more stops at once");
    signal(&child, "INT");
    let output = ended(child);
    assert_eq!(output.code, 130, "{output:?}");
    assert!(output.stderr.contains("stopped at once"), "{output:?}");
}

#[test]
fn a_mail_that_is_being_sent_is_sent_when_run_once_is_stopped_and_no_other_is_begun() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let (port, messages) = smtp(move |_| {
        let _ = released.lock().unwrap().recv();
        Some("250 queued")
    });
    let flow = FlowsToml::new().embedded("demo").smtp("relay", port).flow("leads").filter(SINCE).body(KEYS);
    let sandbox = Sandbox::new(flow.to("sales@contoso.example").more("each = \"row\""));
    sandbox.table().insert(&rows(["a", "b"]));
    let mut child = begun(&sandbox, &["run", "--once"]);
    eventually("a mail under way", || (messages.lock().unwrap().len() == 1).then_some(()));
    signal(&child, "TERM");
    says(&mut child, "stopping");
    release.send(()).unwrap();
    let output = ended(child);
    assert_eq!(output.code, 143, "{output:?}");
    let mails = sandbox.shown(1)["mails"].clone();
    let states = [0, 1].map(|mail| mails[mail]["recipients"][0]["state"].clone());
    assert_eq!(states, ["sent", "waiting"], "{mails}");
    assert_eq!(messages.lock().unwrap().len(), 1);
}

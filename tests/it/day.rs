//! A person's day with the daemon, from the first edit to yesterday's rows; docs/operating.md describes it
//! in the same order.

use std::time::{Duration, Instant};

use jiff::SignedDuration;

use crate::support::daemon::Daemon;
use crate::support::embedded::row;
use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::mail::Mail;
use crate::support::{eventually, now};

fn flows() -> FlowsToml {
    let flows = FlowsToml::demo().failures("folder").flow("leads").interval(1).filter(SINCE);
    flows.subject("{{length}} rows").body(KEYS)
}

fn insert(sandbox: &Sandbox, key: &str, hours_ago: i64) {
    sandbox.table().insert_at(&[row(key)], now() - SignedDuration::from_hours(hours_ago));
}

/// Recipients and text of each mail in the folder, oldest first.
fn mails(sandbox: &Sandbox) -> Vec<(String, String)> {
    let read = |mail: Mail| (mail.addressees().join(" "), mail.text().trim().to_owned());
    sandbox.mails().into_iter().map(read).collect()
}

fn edit_is_taken(sandbox: &Sandbox, daemon: &Daemon, from: &str, to: &str, words: &str) {
    let edited = Instant::now();
    sandbox.edit(from, to);
    daemon.wait_for_log(words);
    assert!(edited.elapsed() < Duration::from_secs(2), "{words} took {:?}", edited.elapsed());
}

fn done(sandbox: &Sandbox, arguments: &[&str], words: &str) {
    let output = sandbox.exits(0, arguments);
    assert!(output.stdout.contains(words), "`{words}` is not in: {}", output.stdout);
}

#[test]
fn a_day_of_edits_looks_and_commands() {
    let sandbox = Sandbox::new(flows());
    insert(&sandbox, "yesterday", 30);
    insert(&sandbox, "first", 0);
    let daemon = sandbox.daemon();
    eventually("the first mail", || (mails(&sandbox).len() == 1).then_some(()));
    edits(&sandbox, &daemon);
    done(&sandbox, &["off", "leads"], "leads is off");
    assert!(daemon.stop().success());
    let daemon = sandbox.daemon();
    off_and_on(&sandbox, &daemon);
    a_failure(&sandbox);

    // Yesterday's rows; what was sent is not repeated.
    done(&sandbox, &["replay", "leads", "--from", "2 days", "--yes"], "1 new row in 1 mail");
    let texts: Vec<_> =
        mails(&sandbox).into_iter().filter(|(to, _)| to.contains("sales")).map(|(_, text)| text).collect();
    assert_eq!(texts, ["first", "second", "third", "fourth", "yesterday"], "each row once");
    done(&sandbox, &["health"], "all is well");
    assert!(daemon.stop().success());
}

/// Another interval and another recipient; a broken file, and its repair.
fn edits(sandbox: &Sandbox, daemon: &Daemon) {
    edit_is_taken(sandbox, daemon, "interval = 1", "interval = 2", "leads: every hour → every 2 hours");
    let two = "to = \"sales@contoso.example; new@contoso.example\"";
    edit_is_taken(sandbox, daemon, "to = \"sales@contoso.example\"", two, "leads: recipients +1");
    // Broken: the old one goes on, and somebody hears of it. Mended.
    edit_is_taken(
        sandbox,
        daemon,
        "frequency = \"hour\"",
        "frequency = \"our\"",
        "leadflow keeps running the previous flows",
    );
    eventually("the alarm", || {
        mails(sandbox)
            .iter()
            .find(|(to, text)| {
                to == "ops@contoso.example" && text.contains("`our` is not valid for `frequency`")
            })
            .map(drop)
    });
    edit_is_taken(
        sandbox,
        daemon,
        "frequency = \"our\"",
        "frequency = \"hour\"",
        "flows.toml is valid again",
    );
}

/// Off over a restart, and on again: one run for what was missed. Then a run by hand.
fn off_and_on(sandbox: &Sandbox, daemon: &Daemon) {
    daemon.wait_for_log("no flow is on");
    insert(sandbox, "second", 0);
    edit_is_taken(
        sandbox,
        daemon,
        "frequency = \"hour\"\ninterval = 2",
        "frequency = \"second\"",
        "→ every second",
    );
    done(sandbox, &["on", "leads"], "leads is on");
    eventually("the mail of the catch-up run", || {
        mails(sandbox).iter().find(|(_, text)| text == "second").map(drop)
    });
    edit_is_taken(sandbox, daemon, "frequency = \"second\"", "frequency = \"day\"", "→ every day");

    // Now, by hand; and a look at what would be mailed.
    insert(sandbox, "third", 0);
    done(sandbox, &["preview", "leads"], "third");
    done(sandbox, &["trigger", "leads"], "sent · 1 new row in 1 mail");
    assert_eq!(
        mails(sandbox).last().unwrap(),
        &("sales@contoso.example new@contoso.example".into(), "third".into())
    );
}

/// A run fails: a look at it, the cause fixed, the run done again.
fn a_failure(sandbox: &Sandbox) {
    let whole = sandbox.spoil_table();
    let failed = sandbox.json(&["trigger", "leads", "--json"]);
    let run = failed["run"].to_string();
    done(sandbox, &["history", "--status", "failed"], "failed");
    done(sandbox, &["history", "show", &run], "cannot use the embedded table");
    sandbox.mend_table(&whole);
    insert(sandbox, "fourth", 0);
    let nothing_read = sandbox.exits(1, &["resubmit", &run]);
    assert!(
        nothing_read.stderr.contains("`leadflow trigger leads` runs the flow now"),
        "{}",
        nothing_read.stderr
    );
    done(sandbox, &["trigger", "leads"], "sent · 1 new row in 1 mail");
}

/// Kilobytes of memory that the process holds now.
fn resident(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_thousand_reloads_miss_no_slot_make_no_run_and_hold_no_memory() {
    let sandbox = Sandbox::new(flows().every("second"));
    let daemon = sandbox.daemon();
    let count = || daemon.log().matches("flows.toml is reloaded").count();
    let mut early = 0;
    for number in 1..=1_000 {
        let edited = flows().every("second").of_flow(&format!("description = \"{number}\"")).to_string();
        let edited = sandbox.in_full(&edited);
        // As an editor that truncates: the file is there in pieces for a moment.
        if number % 50 == 0 {
            std::fs::write(sandbox.path("flows.toml"), &edited[..edited.len() / 2]).unwrap();
            daemon.signal("HUP");
        }
        std::fs::write(sandbox.path("flows.toml"), &edited).unwrap();
        let before = count();
        daemon.signal("HUP");
        eventually("the reload", || (count() > before).then_some(()));
        if number == 200 {
            early = resident(&daemon);
        }
    }
    let late = resident(&daemon);
    assert!(late < early + 4_096, "{early} kB after 200 reloads, {late} kB after 1,000");
    assert!(daemon.stop().success());
    let mut slots: Vec<i64> = sandbox
        .runs()
        .iter()
        .map(|run| run["due"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second())
        .collect();
    slots.reverse();
    let of_once = slots.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!(of_once, 0, "a slot that ran twice");
    let whole = usize::try_from(slots.last().unwrap() - slots[0] + 1).unwrap();
    // On a busy machine a tick comes late, and two slots are then one run, as they are to be.
    assert!(slots.len() * 10 >= whole * 9, "{} runs in {whole} seconds", slots.len());
}

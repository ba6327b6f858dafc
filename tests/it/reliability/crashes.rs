//! The process ends at the worst moments: fail points on a row's way, SIGTERM and SIGKILL in the
//! middle of a mail.

use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use super::{create_table, every_second, insert};
use crate::support::leadflow::Sandbox;
use crate::support::leads::keys;
use crate::support::mail_server::MailServer;
use crate::support::postgres::on_postgres;
use crate::support::{has, oracle};

/// What a crash at a point leaves in the history, and at the mail server, of its two recipients.
struct Point {
    name: &'static str,
    /// The point is passed after a start that follows a crash at another one.
    after: Option<&'static str>,
    marks: u64,
    repeats: usize,
}

const fn point(name: &'static str, marks: u64, repeats: usize) -> Point {
    Point { name, after: None, marks, repeats }
}

/// No mail had been begun, or its reply was recorded: nothing is doubted, nothing is sent twice.
const ON_THE_WAY: [Point; 8] = [
    point("state-opened", 0, 0),
    point("run-claimed", 0, 0),
    point("begin-recorded", 0, 0),
    point("page-read", 0, 0),
    point("before-commit", 0, 0),
    point("in-commit", 0, 0),
    point("after-commit", 0, 0),
    point("session-opened", 0, 0),
];

const IN_A_MAIL: [Point; 4] = [
    point("sending-recorded", 2, 0),
    point("before-dot", 2, 0),
    point("dot-answered", 2, 2),
    point("reply-recorded", 0, 0),
];

/// A crash while the last one is being made up for.
const AT_RESTART: [Point; 5] = [
    Point { name: "state-opened", after: Some("dot-answered"), marks: 2, repeats: 2 },
    Point { name: "runs-interrupted", after: Some("before-commit"), marks: 0, repeats: 0 },
    Point { name: "runs-interrupted", after: Some("dot-answered"), marks: 2, repeats: 2 },
    Point { name: "mails-doubted", after: Some("dot-answered"), marks: 2, repeats: 2 },
    Point { name: "dot-answered", after: Some("dot-answered"), marks: 4, repeats: 4 },
];

fn crash(sandbox: &Sandbox, point: &str) {
    let mut daemon = sandbox.daemon_with(&[("FAILPOINTS", &format!("{point}=return"))]);
    let status = daemon.wait();
    assert_eq!(status.signal(), Some(6), "at {point}: {status}\n{}", daemon.log());
}

fn crash_and_go_on(point: &Point) {
    let (table, server) = (create_table(), MailServer::start(&[]));
    let sandbox = every_second(&table, server.port);
    insert(&table, 0..3);
    for name in point.after.iter().chain([&point.name]) {
        crash(&sandbox, name);
    }
    insert(&table, 3..5);
    let daemon = sandbox.daemon();
    server.wait_for_keys(&keys(0..5));
    assert!(daemon.stop().success());
    let tally = oracle::check(&sandbox, &keys(0..5), &server.mails());
    let name = point.name;
    assert_eq!(
        (tally.uncertain, tally.repeats, tally.held),
        (point.marks, point.repeats, 0),
        "{name}: {tally:?}"
    );
}

fn each(points: &[Point]) {
    for some in points.chunks(4) {
        std::thread::scope(|scope| {
            let threads: Vec<_> = some.iter().map(|point| scope.spawn(|| crash_and_go_on(point))).collect();
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }
}

#[test]
fn case_01_a_crash_on_the_way_to_the_outbox() {
    each(&ON_THE_WAY);
}

#[test]
fn case_01_a_crash_in_the_middle_of_a_mail() {
    each(&IN_A_MAIL);
}

#[test]
fn case_01_a_crash_during_the_restart() {
    each(&AT_RESTART);
}

#[test]
fn case_01_a_crash_at_a_later_page_or_run() {
    let (table, server) = (create_table(), MailServer::start(&[]));
    let sandbox = every_second(&table, server.port);
    insert(&table, 0..1_100);
    let mut next = 1_100;
    // A page is read, a run is committed, a mail is sent; the next one is the end.
    for point in ["page-read", "in-commit", "session-opened"] {
        let mut daemon = sandbox.daemon_with(&[("FAILPOINTS", &format!("{point}=1*off->return"))]);
        while !daemon.has_ended() {
            assert!(next < 1_400, "{point} is passed only once\n{}", daemon.log());
            insert(&table, next..next + 1);
            next += 1;
            std::thread::sleep(Duration::from_millis(300));
        }
        assert_eq!(daemon.wait().signal(), Some(6), "{point}");
    }
    let daemon = sandbox.daemon();
    server.wait_for_keys(&keys(0..next));
    assert!(daemon.stop().success());
    oracle::check(&sandbox, &keys(0..next), &server.mails());
}

#[test]
fn case_01_a_crash_during_a_reload() {
    for point in ["before-swap", "swapped"] {
        let (table, server) = (create_table(), MailServer::start(&[]));
        let sandbox = every_second(&table, server.port);
        let mut daemon = sandbox.daemon_with(&[("FAILPOINTS", &format!("{point}=return"))]);
        daemon.wait_for_log("ready");
        insert(&table, 0..2);
        sandbox.edit(
            "interval = 1\n[flows.marketplace-leads.window]",
            "interval = 2\n[flows.marketplace-leads.window]",
        );
        assert_eq!(daemon.wait().signal(), Some(6), "{point}");
        insert(&table, 2..3);
        let daemon = sandbox.daemon();
        server.wait_for_keys(&keys(0..3));
        assert!(daemon.stop().success());
        let tally = oracle::check(&sandbox, &keys(0..3), &server.mails());
        assert_eq!(tally.repeats, 0);
    }
}

#[test]
fn case_01_kill_9_between_the_final_dot_and_its_reply() {
    let (table, server) = (create_table(), MailServer::start(&["--delay-data", "2000"]));
    let sandbox = every_second(&table, server.port);
    insert(&table, 0..3);
    let mut daemon = sandbox.daemon();
    server.wait_for(1);
    daemon.signal("KILL");
    daemon.wait();
    insert(&table, 3..5);

    let daemon = sandbox.daemon();
    daemon.wait_for_log("they are uncertain and are sent again");
    server.wait_for_keys(&keys(3..5));
    assert!(daemon.stop().success());
    let tally = oracle::check(&sandbox, &keys(0..5), &server.mails());
    assert_eq!((tally.uncertain, tally.repeats), (2, 2));
}

#[test]
fn case_10_sigterm_lets_the_mail_under_way_end() {
    let (table, server) = (create_table(), MailServer::start(&["--delay-data", "3000"]));
    let sandbox = every_second(&table, server.port);
    insert(&table, 0..3);
    let daemon = sandbox.daemon();
    server.wait_for(1);
    assert!(daemon.stop().success());
    let tally = oracle::check(&sandbox, &keys(0..3), &server.mails());
    assert_eq!((tally.taken, tally.uncertain), (1, 0));
    sandbox.run_once();
    assert_eq!(server.mails().len(), 1);
}

#[test]
fn case_10_sigterm_ends_in_bounded_time_and_what_is_doubled_is_marked() {
    let (table, server) = (create_table(), MailServer::start(&["--silent-after-data", "1"]));
    let sandbox = every_second(&table, server.port);
    insert(&table, 0..3);
    let daemon = sandbox.daemon();
    server.wait_for(1);
    let asked = Instant::now();
    assert!(daemon.stop().success());
    assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());

    sandbox.run_once();
    let tally = oracle::check(&sandbox, &keys(0..3), &server.mails());
    assert_eq!((tally.taken, tally.uncertain, tally.repeats), (2, 2, 2));
    let shown = sandbox.run(&["history", "show", "1"]).stdout;
    has(&shown, &["sales@contoso.example     sent", "uncertain: it may have arrived once more"]);
}

#[test]
fn a_crash_costs_nothing_in_a_database_either() {
    on_postgres(&[
        || crash_and_go_on(&point("in-commit", 0, 0)),
        || crash_and_go_on(&point("dot-answered", 2, 2)),
    ]);
}

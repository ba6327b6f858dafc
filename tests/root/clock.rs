//! The machine's clock is wrong, by Debian's package faketime; the table service's is right.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::support::azurite::Table;
use crate::support::flows_toml::guide;
use crate::support::leadflow::Sandbox;
use crate::support::leads::{keys, leads};
use crate::support::mail_server::MailServer;
use crate::support::{now, oracle};

const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// The environment of a clock that is off by what the file says, and that is looked up each time.
fn faked(file: &Path) -> Vec<(&'static str, String)> {
    let library = std::env::var("LIBFAKETIME").unwrap_or_else(|_| LIBRARY.to_owned());
    assert!(
        Path::new(&library).exists(),
        "install Debian's package libfaketime, or name its library in LIBFAKETIME"
    );
    vec![
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}

fn with<'a>(environment: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    environment.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// The watermark that was committed last, in microseconds; a run that leaves it has none.
fn watermark(sandbox: &Sandbox) -> i64 {
    let of = |run: &Value| sandbox.shown(&run["run"])["steps"].as_array().unwrap().last().cloned();
    let committed = sandbox
        .runs()
        .iter()
        .filter_map(of)
        .find_map(|step| step["outputs"]["watermark"].as_str().map(str::to_owned));
    committed.unwrap().parse::<Timestamp>().unwrap().as_microsecond()
}

#[tokio::test]
async fn case_14_a_clock_that_jumps_three_days_and_back() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    let flows = guide(&table.name, server.port).every("second").interval(2).more("per_hour = 1000");
    let sandbox = Sandbox::with_azurite(flows);
    let file = sandbox.path("offset");
    sandbox.write("offset", "+0");
    let environment = faked(&file);
    let daemon = sandbox.daemon_with(&with(&environment));
    table.insert(&leads(0..2)).await;
    server.wait_for_keys(&keys(0..2));
    let (mut next, mut before) = (2, sandbox.runs().len());
    for (offset, words) in [
        ("+3d", Some("s ahead of the table service's")),
        ("-3d", Some("s behind the table service's")),
        ("+0", None),
    ] {
        std::thread::sleep(Duration::from_millis(2_500));
        let still = watermark(&sandbox);
        let began = std::time::Instant::now();
        // In place: the file is read at each look at the clock.
        std::fs::write(&file, offset).unwrap();
        table.insert(&leads(next..next + 2)).await;
        server.wait_for_keys(&keys(next..next + 2));
        next += 2;
        if let Some(words) = words {
            daemon.wait_for_log(words);
            let moved = watermark(&sandbox) - still;
            assert!(
                moved < 3_000_000,
                "{offset}: the watermark moves with no clock but the service's, and by {moved} µs"
            );
        }
        std::thread::sleep(Duration::from_secs(5));
        let after = sandbox.runs().len();
        // A slot each two seconds, one for the jump, and one that was under way.
        let most = began.elapsed().as_secs() / 2 + 3;
        assert!(
            (after - before) as u64 <= most,
            "{offset}: {} runs in {:?}",
            after - before,
            began.elapsed()
        );
        before = after;
    }
    let now = now().as_microsecond();
    assert!((now - watermark(&sandbox)).abs() < 60_000_000, "with the right clock it moves again");
    assert!(daemon.stop().success());
    let tally = oracle::check(&sandbox, &keys(0..next), &server.mails());
    assert_eq!(tally.repeats, 0);
}

#[tokio::test]
async fn case_15_stopped_for_sixty_hours() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    let sandbox = Sandbox::with_azurite(guide(&table.name, server.port));
    let file = sandbox.path("offset");
    // The past is false, so that the present of the catch-up is the table service's.
    sandbox.write("offset", "-60h");
    let environment = faked(&file);
    let daemon = sandbox.daemon_with(&with(&environment));
    table.insert(&leads(0..3)).await;
    server.wait_for_keys(&keys(0..3));
    assert!(daemon.stop().success());
    assert_eq!(sandbox.runs().len(), 1);
    table.insert(&leads(3..6)).await;

    let daemon = sandbox.daemon();
    server.wait_for_keys(&keys(3..6));
    std::thread::sleep(Duration::from_secs(4));
    assert!(daemon.stop().success());
    assert_eq!(sandbox.runs().len(), 2, "sixty missed slots are one run");
    let tally = oracle::check(&sandbox, &keys(0..6), &server.mails());
    assert_eq!(tally.repeats, 0);
}

//! Many rows, and rows that appear behind a scan that is under way.

use std::process::Stdio;
use std::time::Duration;

use leadflow::platform::clock::Clock;

use super::{create_table, every_second, insert};
use crate::support::flows_toml::guide;
use crate::support::leadflow::Sandbox;
use crate::support::leads::{keys, lead, leads};
use crate::support::mail_server::MailServer;
use crate::support::scripted::{page, table_service};
use crate::support::{oracle, within};

#[test]
fn case_18_a_row_behind_the_scan_is_in_the_next_run() {
    let (table, server) = (create_table(), MailServer::start(&[]));
    insert(&table, 0..1_100);
    let sandbox = every_second(&table, server.port);
    // The first of its two pages is read, and then nothing happens for a while.
    let daemon = sandbox.daemon_with(&[("FAILPOINTS", "page-read=1*sleep(5000)")]);
    daemon.wait_for_log("the flow starts");
    std::thread::sleep(Duration::from_millis(2_500));
    let mut row = lead(1_100);
    row["PartitionKey"] = "00".into();
    table.insert_here(&[row]);
    server.wait_for_keys(&keys(0..1_101));
    assert!(daemon.stop().success());
    let rows: Vec<_> = sandbox.runs().iter().rev().map(|run| run["rows"].clone()).collect();
    assert_eq!((&rows[0], &rows[1]), (&1_100.into(), &1.into()), "it was behind the first run");
    let tally = oracle::check(&sandbox, &keys(0..1_101), &server.mails());
    assert_eq!(tally.repeats, 0);
}

/// Rows of 100,000, a thousand a page.
const ROWS: usize = 100_000;

#[test]
fn case_20_a_hundred_thousand_rows_are_all_mailed_in_bounded_memory() {
    let now = Clock::System.now().to_string();
    let service = table_service(move |_, target| {
        if target.contains("top=1") || target.contains("select=") {
            return Some(page(&[], &[]));
        }
        let token = target.split("NextPartitionKey=").nth(1).map(|rest| rest.split('&').next().unwrap());
        let from: usize = token.map_or(0, |token| token.parse().unwrap());
        let mut rows = leads(from..from + 1_000);
        for row in &mut rows {
            row["Timestamp"] = now.as_str().into();
        }
        let next = format!("x-ms-continuation-NextPartitionKey: {}", from + 1_000);
        let headers = [next.as_str()];
        Some(page(&rows, if from + 1_000 < ROWS { &headers } else { &[] }))
    });
    let server = MailServer::start(&[]);
    let flows = guide("leads", server.port).more("per_hour = 1000");
    let sandbox = Sandbox::with_storage(flows, service.storage());
    let mut command = sandbox.command(&["run", "--once"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    let status = within(Duration::from_mins(5), "the run to end", || {
        peak = peak.max(crate::support::daemon::peak_of(child.id()).unwrap_or(0));
        child.try_wait().unwrap()
    });
    assert!(status.success());
    eprintln!("peak: {peak} MiB for {ROWS} rows");
    assert!(peak < 150, "{peak} MiB");
    let mails = server.mails();
    let tally = oracle::check(&sandbox, &keys(0..ROWS), &mails);
    assert_eq!((tally.rows, tally.repeats), (ROWS, 0));
    assert!(mails.iter().all(|mail| mail.bytes.len() <= 8_000_000));
}

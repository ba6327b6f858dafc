//! Services without end: the daemon's memory stays under 64 MB, and nothing is recorded or mailed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::flows_toml::FlowsToml;
use crate::support::leadflow::Sandbox;
use crate::support::scripted::{Requests, page, response, serve, table_service};
use crate::support::{eventually, now, within};

/// MiB, of a program that is built for tests, which has more pages than the one that is released.
const MOST: u64 = 72;

fn sandbox(service: &Requests) -> Sandbox {
    let flows = FlowsToml::new().azure("marketplace").folder("relay").guide_flow("leads").every("second");
    Sandbox::with_storage(flows, service.storage())
}

fn is_scan(target: &str) -> bool {
    !target.contains("top=1&") && !target.ends_with("top=1") && !target.contains("select=")
}

fn is_small(daemon: &Daemon) {
    let peak = daemon.peak();
    assert!(peak < MOST, "{peak} MiB");
}

fn row(key: &str, more: &serde_json::Value) -> serde_json::Value {
    let mut row = json!({ "PartitionKey": "p", "RowKey": key, "Timestamp": now().to_string() });
    for (name, value) in more.as_object().into_iter().flatten() {
        row[name] = value.clone();
    }
    row
}

/// Pages without a row and ever new tokens of 16 kB: 4,000 of them take no more memory than one.
#[test]
fn ever_new_tokens_take_no_memory() {
    let service = table_service(|count, target| {
        let token = format!("x-ms-continuation-NextPartitionKey: {count}-{}", "x".repeat(16_000));
        let tokens = [token.as_str()];
        Some(page(&[], if is_scan(target) { &tokens } else { &[] }))
    });
    let sandbox = sandbox(&service);
    let daemon = sandbox.daemon();
    within(Duration::from_mins(3), "4,000 pages", || (service.count() > 4_000).then_some(()));
    is_small(&daemon);
    assert!(daemon.stop().success());
}

/// A page of 1,000 rows of 100 kB is asked for again in smaller ones, and each row is mailed.
#[test]
fn a_page_that_is_too_large_is_asked_for_in_smaller_ones() {
    let service = table_service(|_, target| {
        if !is_scan(target) {
            return Some(page(&[], &[]));
        }
        let top = target.split("top=").nth(1).and_then(|rest| rest.split('&').next()?.parse().ok());
        let from = target.split("NextRowKey=").nth(1).and_then(|rest| rest.split('&').next()?.parse().ok());
        let (from, most) = (from.unwrap_or(0_usize), top.unwrap_or(1_000_usize));
        let rows: Vec<_> = (from..200.min(from + most))
            .map(|number| row(&number.to_string(), &json!({ "A": "x".repeat(100_000) })))
            .collect();
        let (next, partition) = (from + rows.len(), "x-ms-continuation-NextPartitionKey: p");
        let token = format!("x-ms-continuation-NextRowKey: {next}");
        let tokens = [partition, token.as_str()];
        Some(page(&rows, if next < 200 { &tokens } else { &[] }))
    });
    let sandbox = sandbox(&service);
    let daemon = sandbox.daemon();
    daemon.wait_for_log("the mail is sent");
    is_small(&daemon);
    assert!(daemon.stop().success());
    assert_eq!(sandbox.shown(1)["rows"], 200);
}

/// Each row brings 250 columns that no other has: 400 rows of them are 2 MB.
#[test]
fn ever_new_columns_are_one_mail() {
    let service = table_service(|_, target| {
        let of_row = |number: usize| {
            (0..250).map(move |column| (format!("Column{}", number * 250 + column), json!(number)))
        };
        let rows = |numbers: std::ops::Range<usize>| -> Vec<_> {
            numbers.map(|number| row(&number.to_string(), &of_row(number).collect())).collect()
        };
        Some(page(&if is_scan(target) { rows(0..400) } else { vec![] }, &[]))
    });
    let sandbox = sandbox(&service);
    let daemon = sandbox.daemon();
    daemon.wait_for_log("the mail is sent");
    is_small(&daemon);
    assert!(daemon.stop().success());
    let run = sandbox.shown(1);
    let render = run["steps"].as_array().unwrap().iter().find(|step| step["step"] == "render").unwrap();
    assert!(render["outputs"]["bytes"].as_u64().unwrap() < 16_000_000, "{render}");
    assert!(render["outputs"]["notes"][0].as_str().unwrap().contains("more than 256 columns"), "{render}");
}

/// Refusals, heads and lists without end.
#[test]
fn errors_and_heads_without_end_take_no_memory() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let service = table_service(move |_, _| {
        Some(match count.fetch_add(1, Ordering::Relaxed) % 3 {
            0 => response("400 Bad Request", &["x-ms-error-code: InvalidInput"], &"x".repeat(100 << 20)),
            1 => page(&[], &[&format!("x: {}", "x".repeat(50 << 20))]),
            _ => response("200 OK", &[], &" ".repeat(100 << 20)),
        })
    });
    let sandbox = sandbox(&service);
    let daemon = sandbox.daemon();
    eventually("six answers", || (asked.load(Ordering::Relaxed) >= 6).then_some(()));
    is_small(&daemon);
    assert!(daemon.stop().success());
}

/// Answers of a token service that never end: a token, a refusal, a header.
#[test]
fn a_token_service_without_end_takes_no_memory() {
    let heads = [
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"access_token\":\"",
        "HTTP/1.1 400 Bad\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-long: ",
    ];
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let port = serve(move |mut stream| {
        let mut head = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        while head.read_line(&mut line).is_ok_and(|read| read > 2) {
            line.clear();
        }
        let number = count.fetch_add(1, Ordering::Relaxed);
        let mut is_open = stream.write_all(heads[number % heads.len()].as_bytes()).is_ok();
        let flood = vec![b'x'; 1 << 20];
        // Far more than any of them may take in.
        for _ in 0..200 {
            is_open = is_open && stream.write_all(&flood).is_ok();
        }
    });
    let identity = "account = \"contosoleads\"\nentra = { managed_identity = true }";
    let table = FlowsToml::new().table_connection("marketplace", "azure_table", identity);
    let sandbox = Sandbox::new(table.folder("relay").guide_flow("leads").every("second"));
    let daemon = sandbox.daemon_with(&[("LEADFLOW_TEST_IMDS", &format!("http://127.0.0.1:{port}"))]);
    within(Duration::from_mins(3), "nine answers", || (asked.load(Ordering::Relaxed) > 9).then_some(()));
    daemon.wait_for_log("the run failed");
    is_small(&daemon);
    assert!(daemon.stop().success());
}

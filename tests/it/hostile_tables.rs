//! Table services that answer anything: a run ends, and what has no clean end moves nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use leadflow::config;
use leadflow::engine::{RunContext, run};
use leadflow::history::{Cause, Outcome, RunOrder};
use leadflow::platform::clock::Clock;
use leadflow::store::Store;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;
use tokio::time::timeout;

use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::hostile::cases;
use crate::support::scripted::{closing_table_service, page, response};

/// An answer to one request.
#[derive(Debug, Clone)]
enum Answer {
    /// A page with this many rows, and whether another one follows.
    Page(usize, bool),
    /// Nothing that is a clean end: the run must fail if it is the last one.
    Broken(Vec<u8>),
    /// A page with some bytes changed: whatever comes of it, it ends.
    Spoilt(Vec<(Index, u8)>),
    /// A page that breaks off, in the head or the body.
    Cut(Index),
    Close,
    /// An empty page with a header of so many bytes.
    LargeHead(usize),
}

fn flow() -> FlowsToml {
    FlowsToml::new().azure_of("t", "storage").folder("folder").flow("leads").filter(SINCE).body(KEYS)
}

fn broken() -> impl Strategy<Value = Vec<u8>> {
    let whole = r#"{"odata.metadata":"x","value":[]}"#;
    let bodies = select(vec![
        "",
        "{",
        "[]",
        "null",
        "\"\"",
        "{}",
        r#"{"odata.metadata":"x"}"#,
        r#"{"value":[]}"#,
        r#"{"odata.metadata":"x","value":null}"#,
        r#"{"odata.metadata":"x","value":{}}"#,
        r#"{"odata.metadata":"x","value":[null]}"#,
        r#"{"odata.metadata":"x","value":[[]]}"#,
        r#"{"odata.metadata":"x","value":[{"PartitionKey":1,"RowKey":"r"}]}"#,
        r#"{"odata.metadata":"x","value":[{"PartitionKey":"p","PartitionKey":"p","RowKey":"r"}]}"#,
        r#"{"odata.metadata":"x","value":[]} x"#,
        r#"{"odata.metadata":"x","value":[],"value":[]}"#,
        r#"{"odata.metadata":"x","Value":[]}"#,
        "<html><body>200 OK</body></html>",
        "\u{feff}{}",
        "\u{0}",
    ]);
    let tokens = select(vec![
        "x-ms-continuation-NextPartitionKey: \u{1f600}",
        "x-ms-continuation-NextPartitionKey: a\u{e9}",
        "x-ms-continuation-NextRowKey: only",
        "x-ms-continuation-NextRowKey: \u{e9}\r\nx-ms-continuation-NextPartitionKey: a",
    ]);
    let heads = select(vec![
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 33\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        "HTTP/1.1 999 \r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "SSH-2.0-x\r\n\r\n",
        "\r\n\r\n",
        "HTTP/1.1 200\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n",
        "HTTP/1.1 400 \u{e9}\r\nx-ms-error-code: \u{1}\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 403 No\r\nRetry-After: 99999999999999999999\r\n\r\n",
        "220 smtp\r\n",
    ]);
    prop_oneof![
        3 => bodies.prop_map(|body| response("200 OK", &[], body)),
        2 => tokens.prop_map(move |token| response("200 OK", &[token], whole)),
        3 => heads.prop_map(move |head| format!("{head}{whole}").into_bytes()),
        1 => (1_usize..200_000).prop_map(move |size| response("403 Forbidden", &[], &"x".repeat(size))),
        1 => vec(any::<u8>(), 0..60),
    ]
}

fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        6 => (0_usize..4, any::<bool>()).prop_map(|(rows, goes_on)| Answer::Page(rows, goes_on)),
        3 => broken().prop_map(Answer::Broken),
        2 => vec((any::<Index>(), any::<u8>()), 1..4).prop_map(Answer::Spoilt),
        1 => any::<Index>().prop_map(Answer::Cut),
        1 => Just(Answer::Close),
        1 => (10_000_usize..500_000).prop_map(Answer::LargeHead),
    ]
}

/// The page's bytes; `count` makes rows and tokens differ.
fn bytes_of(count: usize, answer: &Answer) -> Option<Vec<u8>> {
    let now = Clock::System.now().to_string();
    let rows = |number: usize| -> Vec<_> {
        (0..number)
            .map(|row| json!({ "PartitionKey": "p", "RowKey": format!("key-{count}-{row}"), "Timestamp": now }))
            .collect()
    };
    let token = format!("x-ms-continuation-NextPartitionKey: {count}");
    Some(match answer {
        Answer::Page(number, true) => page(&rows(*number), &[&token]),
        Answer::Page(number, false) => page(&rows(*number), &[]),
        Answer::Broken(bytes) => bytes.clone(),
        Answer::Spoilt(changes) => {
            let mut bytes = page(&rows(2), &[&token]);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            bytes
        }
        Answer::Cut(at) => {
            let mut bytes = page(&rows(2), &[]);
            bytes.truncate(at.index(bytes.len()));
            bytes
        }
        Answer::LargeHead(size) => page(&[], &[&format!("x: {}", "x".repeat(*size))]),
        Answer::Close => return None,
    })
}

/// What was answered to a scan, in its order; after the script every request is refused.
async fn ends_as_it_should(script: Vec<Answer>) {
    let served: Arc<Mutex<Vec<Answer>>> = Arc::default();
    let (answers, noted) = (script.clone(), Arc::clone(&served));
    let service = closing_table_service(move |count, target| {
        // The question for the time and the scan for rows of before begin are answered well.
        if target.contains("top=1") || target.contains("select=") {
            return Some(page(&[], &[]));
        }
        let mut noted = noted.lock().unwrap();
        let Some(answer) = answers.get(noted.len()).cloned() else {
            noted.push(Answer::Broken(Vec::new()));
            return Some(response("400 Bad Request", &["x-ms-error-code: InvalidInput"], ""));
        };
        noted.push(answer.clone());
        bytes_of(count, &answer)
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("storage"), service.storage()).unwrap();
    let path = folder.path().join("flows.toml");
    std::fs::write(&path, flow().to_string()).unwrap();
    let config = config::load(&path).unwrap().config;
    let state = folder.path().join("state");
    let store = Store::open(&state).unwrap();
    let ctx = RunContext::online(store, Clock::System, state);
    ctx.store.take_over(ctx.node.clone(), Clock::System.now()).await.unwrap();
    let flow = &config.flows["leads"];
    let order = RunOrder::new(Cause::Schedule, None);
    let running = run::run(&ctx, &config, flow, &order);
    let ended = timeout(Duration::from_secs(50), running).await;
    let ended = ended.unwrap_or_else(|_| panic!("hangs: {script:?}")).unwrap();
    assert!(
        !ended.summary.is_empty() && !ended.summary.contains("did not end"),
        "{}: {script:?}",
        ended.summary
    );
    assert!(!ended.summary.contains("Y2FuYXJ5") && ended.summary.len() < 1_000, "{}", ended.summary);
    let read = ctx.store.sources("leads").await.unwrap()[0].progress.unwrap();
    let lanes = ctx.store.due_lanes(Clock::System.now()).await.unwrap();
    let served = served.lock().unwrap().clone();
    if ended.outcome == Outcome::Failed {
        assert!(read.watermark.is_none() && lanes.is_empty(), "{}: {served:?}", ended.summary);
    } else {
        let is_clean =
            !matches!(served.last(), Some(Answer::Page(_, true) | Answer::Broken(_) | Answer::Close));
        assert!(is_clean, "{}: {served:?}", ended.summary);
    }
}

#[tokio::test]
async fn what_has_no_clean_end_moves_nothing() {
    let scripts = cases(80, vec(answers(), 1..4));
    futures::stream::iter(scripts).map(ends_as_it_should).buffer_unordered(150).collect::<Vec<()>>().await;
}

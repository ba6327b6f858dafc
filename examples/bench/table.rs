//! A table service that does nothing but send bytes: its pages are rendered beforehand.
//!
//! Filters are not looked at, so a scan always reads all rows that are shown.
//! `POST /show?rows=N` sets how many are, and renders more of them where there are not enough;
//! `GET /count` answers how many queries there were.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use leadflow::platform::clock::Clock;

use crate::lead;

/// What the service sends, and how fast.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Rows that are shown at first.
    #[arg(long, default_value_t = 0)]
    rows: u64,
    /// Rows a page.
    #[arg(long, default_value_t = 1_000)]
    page: u64,
    /// Milliseconds before each answer.
    #[arg(long, default_value_t = 0)]
    latency: u64,
    /// Minutes that the rows shown at first are old.
    #[arg(long, default_value_t = 0)]
    age: i64,
}

/// All but the arguments, between the connections.
#[derive(Debug, Default)]
struct Shown {
    /// The number of rows of each page, and its bytes.
    pages: RwLock<Vec<(u64, Arc<[u8]>)>>,
    queries: AtomicU64,
}

pub(crate) fn serve(arguments: &Arguments) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let shown = Shown::default();
    let old = Clock::System.now().checked_sub(jiff::SignedDuration::from_mins(arguments.age))?;
    show(&shown, arguments, arguments.rows, old);
    println!("{}", listener.local_addr()?.port());
    thread::scope(|scope| {
        for stream in listener.incoming().flatten() {
            let shown = &shown;
            scope.spawn(move || answer_all(&stream, shown, arguments));
        }
    });
    Ok(())
}

/// Renders what is missing of `rows`; a page that was shown before stays as it was.
fn show(shown: &Shown, arguments: &Arguments, rows: u64, at: Timestamp) {
    let mut pages = shown.pages.write().unwrap_or_else(PoisonError::into_inner);
    let (full, rest) = (rows / arguments.page, rows % arguments.page);
    pages.retain(|(rows, _)| *rows == arguments.page);
    pages.truncate(usize::try_from(full).unwrap_or(usize::MAX));
    let timestamp = format!("{at:.7}");
    for number in pages.len() as u64..full {
        pages.push((arguments.page, page(number * arguments.page, arguments.page, &timestamp)));
    }
    if rest > 0 || rows == 0 {
        pages.push((rest, page(full * arguments.page, rest, &timestamp)));
    }
}

/// A page of these rows.
pub(crate) fn page(first: u64, rows: u64, timestamp: &str) -> Arc<[u8]> {
    let mut text = String::from(r#"{"odata.metadata":"http://127.0.0.1/$metadata#leads","value":["#);
    for number in first..first + rows {
        if number > first {
            text.push(',');
        }
        lead::write(&mut text, number, timestamp);
    }
    text.push_str("]}");
    text.into_bytes().into()
}

fn answer_all(stream: &TcpStream, shown: &Shown, arguments: &Arguments) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let (method, rest) = line.split_once(' ')?;
        let path = rest.split(' ').next()?.to_owned();
        let is_query = method == "GET" && path != "/count";
        skip_headers(&mut reader)?;
        thread::sleep(Duration::from_millis(arguments.latency));
        if is_query {
            shown.queries.fetch_add(1, Ordering::Relaxed);
            send_page(stream, shown, &path)?;
        } else if method == "POST" {
            show(shown, arguments, path.split_once("rows=")?.1.parse().ok()?, Clock::System.now());
            send(stream, "", b"")?;
        } else {
            send(stream, "", shown.queries.load(Ordering::Relaxed).to_string().as_bytes())?;
        }
    }
}

fn skip_headers(reader: &mut BufReader<&TcpStream>) -> Option<()> {
    let mut line = String::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if line == "\r\n" {
            return Some(());
        }
    }
}

/// The page that the query names by `NextPartitionKey`, which is its number.
fn send_page(stream: &TcpStream, shown: &Shown, path: &str) -> Option<()> {
    let named = path.split(['?', '&']).find_map(|pair| pair.strip_prefix("NextPartitionKey="));
    let number: usize = named.map_or(Some(0), |number| number.parse().ok())?;
    let (page, is_last) = {
        let pages = shown.pages.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&pages.get(number)?.1), number + 1 >= pages.len())
    };
    let next = if is_last {
        String::new()
    } else {
        format!("x-ms-continuation-NextPartitionKey: {}\r\n", number + 1)
    };
    send(stream, &next, &page)
}

fn send(mut stream: &TcpStream, headers: &str, body: &[u8]) -> Option<()> {
    let date = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&Clock::System.now()).ok()?;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json;odata=minimalmetadata\r\nContent-Length: {}\r\n\
         x-ms-request-id: 6c5d8a2e-0002-0071-2a00-5e3a54000000\r\nx-ms-version: 2019-02-02\r\nServer: canned\r\n\
         {headers}Date: {date}\r\n\r\n",
        body.len(),
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()
}

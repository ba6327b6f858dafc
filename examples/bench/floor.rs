//! The bare job, with nothing kept and nothing promised: fetch, decode eight fields and
//! `CustomerInfo`, one row of HTML each, quoted-printable, one mail. Below it nothing can go that
//! does the job at all.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use serde::Deserialize;

/// Where the rows come from and where the mail goes to.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Port of the table service.
    #[arg(long)]
    table: u16,
    /// Port of the mail server; without it the rows are fetched and decoded, and no more.
    #[arg(long)]
    mail: Option<u16>,
    /// How often, one after the other on one connection.
    #[arg(long, default_value_t = 1)]
    times: u32,
    /// Milliseconds between two of them.
    #[arg(long, default_value_t = 0)]
    pause: u64,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    value: Vec<Lead<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Lead<'a> {
    #[serde(borrow)]
    partition_key: Cow<'a, str>,
    #[serde(borrow)]
    row_key: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    action_code: Cow<'a, str>,
    #[serde(borrow)]
    created_time: Cow<'a, str>,
    #[serde(borrow)]
    customer_info: Cow<'a, str>,
    #[serde(borrow)]
    offer_display_name: Cow<'a, str>,
    #[serde(borrow)]
    #[serde(rename = "LeadSource")]
    source: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Customer {
    first_name: String,
    last_name: String,
    email: String,
    company: String,
}

/// The eight fields of each lead, and its customer.
pub(crate) fn decode(body: &[u8]) -> anyhow::Result<Vec<(Lead<'_>, Customer)>> {
    let page: Page<'_> = serde_json::from_slice(body)?;
    let mut leads = Vec::with_capacity(page.value.len());
    for lead in page.value {
        let customer = serde_json::from_str(&lead.customer_info)?;
        leads.push((lead, customer));
    }
    Ok(leads)
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut table = BufReader::with_capacity(1 << 18, TcpStream::connect(("127.0.0.1", arguments.table))?);
    let mut mail = arguments.mail.map(open_mail).transpose()?;
    let (mut html, mut body, mut rows) = (String::new(), Vec::new(), 0);
    let mut left = arguments.times;
    let mut next = Some(String::new());
    while let Some(query) = next {
        next = fetch(&mut table, &query, &mut body)?.map(|next| format!("?NextPartitionKey={next}"));
        let leads = decode(&body)?;
        rows += leads.len();
        if let Some(mail) = &mut mail {
            for (lead, customer) in &leads {
                write_row(&mut html, lead, customer);
            }
            mail.get_mut().write_all(quoted_printable::encode_to_str(&html).as_bytes())?;
        }
        html.clear();
        if next.is_none() && left > 1 {
            (left, next) = (left - 1, Some(String::new()));
            thread::sleep(Duration::from_millis(arguments.pause));
        }
    }
    if let Some(mail) = &mut mail {
        say(mail, "\r\n.")?;
    }
    println!("{rows}");
    Ok(())
}

fn write_row(html: &mut String, lead: &Lead<'_>, customer: &Customer) {
    html.push_str("<tr>");
    let cells: [&str; 8] = [
        &lead.offer_display_name,
        &customer.first_name,
        &customer.last_name,
        &customer.company,
        &customer.email,
        &lead.action_code,
        &lead.source,
        &lead.created_time,
    ];
    for cell in cells {
        let cell = cell.replace('&', "&amp;").replace('<', "&lt;");
        let _ = write!(html, "<td>{cell}</td>");
    }
    let _ = writeln!(html, "<!-- {} {} {} --></tr>", lead.partition_key, lead.row_key, lead.timestamp);
}

/// Puts the body of the answer into `body`; returns the name of the next page.
fn fetch(
    table: &mut BufReader<TcpStream>,
    query: &str,
    body: &mut Vec<u8>,
) -> anyhow::Result<Option<String>> {
    let request = format!("GET /account/leads(){query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    table.get_mut().write_all(request.as_bytes())?;
    let (mut line, mut length, mut next) = (String::new(), 0, None);
    while line != "\r\n" {
        line.clear();
        ensure!(table.read_line(&mut line)? > 0, "the table service closed");
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", value)) => length = value.parse()?,
            Some(("x-ms-continuation-NextPartitionKey", value)) => next = Some(value.to_owned()),
            _ => {}
        }
    }
    body.resize(length, 0);
    table.read_exact(body)?;
    Ok(next)
}

fn open_mail(port: u16) -> anyhow::Result<BufReader<TcpStream>> {
    let mut mail = BufReader::new(TcpStream::connect(("127.0.0.1", port))?);
    hear(&mut mail)?;
    for line in ["EHLO floor", "MAIL FROM:<leads@contoso.example>", "RCPT TO:<sales@contoso.example>", "DATA"]
    {
        say(&mut mail, line)?;
    }
    mail.get_mut().write_all(b"Subject: leads\r\nContent-Type: text/html; charset=utf-8\r\n")?;
    mail.get_mut().write_all(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n")?;
    Ok(mail)
}

fn say(mail: &mut BufReader<TcpStream>, line: &str) -> anyhow::Result<()> {
    mail.get_mut().write_all(format!("{line}\r\n").as_bytes())?;
    hear(mail)
}

/// Waits for a reply that is no refusal.
fn hear(mail: &mut BufReader<TcpStream>) -> anyhow::Result<()> {
    let mut line = String::new();
    loop {
        line.clear();
        ensure!(mail.read_line(&mut line)? > 0, "the mail server closed");
        ensure!(line.starts_with(['2', '3']), "the mail server said {line}");
        if line.as_bytes().get(3) == Some(&b' ') {
            return Ok(());
        }
    }
}

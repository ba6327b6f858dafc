//! A flow's mail from real rows, or from made-up ones, with nothing recorded.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::filter;
use crate::flow::{Config, Flow};
use crate::mail::compose::{Mails, Scene, compose};
use crate::row::Row;
use crate::run::RunError;
use crate::spool::Spool;
use crate::table::{Query, Table};
use crate::window::EVER;

/// Which rows a preview shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Those of the flow's window, by the table server's time.
    Window,
    /// Those written after this moment.
    Since(Timestamp),
    /// The newest ones.
    Last(usize),
}

/// The mail that a run would make.
#[derive(Debug)]
pub struct Preview {
    /// Rows it is made of.
    pub length: u64,
    /// They were written after this.
    pub past_time: Timestamp,
    /// The mails, as they would be sent; made also where the condition does not hold.
    pub mails: Mails,
}

/// Reads real rows and composes; nothing is sent or recorded.
///
/// # Errors
/// As a run.
pub async fn preview(
    config: &Config,
    flow: &Arc<Flow>,
    clock: &Clock,
    rows: Rows,
) -> Result<Preview, RunError> {
    let name = &flow.table.connection;
    let connection = config.tables.get(name).ok_or_else(|| RunError::NoConnection(name.clone()))?;
    let table = Table::open(connection, &flow.table.name, clock)?;
    let past_time = match rows {
        Rows::Since(at) => at,
        Rows::Last(_) => EVER,
        Rows::Window => {
            flow.window.length_before(table.ask_time().await?.date.unwrap_or_else(|| clock.now()))
        }
    };
    let text = flow.table.filter.as_ref().map(|text| filter::fill(text, past_time));
    let mut scan = table.scan(Query { filter: text, select: flow.table.select.clone() });
    let folder = tempfile::tempdir()?;
    let mut spool = Spool::new(folder.path()).knowing(flow.email.named_columns());
    let mut newest: Vec<Row> = Vec::new();
    while let Some(page) = scan.next().await? {
        // Without {{past_time}} the filter does not look at the time.
        let mut found = page.rows.into_iter().filter(|row| is_later(row, past_time));
        if let Rows::Last(count) = rows {
            newest.extend(found);
            newest.sort_by(|a, b| b.timestamp.cmp(&a.timestamp));
            newest.truncate(count);
        } else {
            found.try_for_each(|row| spool.push(&row))?;
        }
    }
    newest.iter().try_for_each(|row| spool.push(row))?;
    let length = spool.len();
    let mails = composed(config, flow, clock, (past_time, false), spool, folder).await?;
    Ok(Preview { length, past_time, mails })
}

/// The flow's mail with made-up rows, marked as a test.
///
/// # Errors
/// As a run.
pub async fn test_mail(
    config: &Config,
    flow: &Arc<Flow>,
    clock: &Clock,
    rows: Vec<Map<String, Value>>,
) -> Result<Mails, RunError> {
    let folder = tempfile::tempdir()?;
    let mut spool = Spool::new(folder.path()).knowing(flow.email.named_columns());
    for mut row in rows {
        for column in flow.email.templates.columns() {
            row.entry(column.name.clone()).or_insert_with(|| "example".into());
        }
        let row = Row::from_text(Value::Object(row).to_string()).map_err(std::io::Error::other)?;
        spool.push(&row)?;
    }
    composed(config, flow, clock, (clock.now(), true), spool, folder).await
}

fn is_later(row: &Row, past_time: Timestamp) -> bool {
    row.timestamp.parse().map_or(true, |at: Timestamp| at > past_time)
}

async fn composed(
    config: &Config,
    flow: &Arc<Flow>,
    clock: &Clock,
    (past_time, is_test): (Timestamp, bool),
    mut spool: Spool,
    folder: tempfile::TempDir,
) -> Result<Mails, RunError> {
    let name = flow.email.connections.first().cloned().unwrap_or_default();
    let connection = config.mails.get(&name).cloned().ok_or(RunError::NoConnection(name))?;
    let max_bytes = config.max_message_bytes(&flow.email.connections);
    let (flow, now) = (Arc::clone(flow), clock.now());
    let work = move || {
        let from = connection.from();
        let scene = Scene { flow: &flow, run: 0, past_time, now, from, max_bytes, is_test, hidden_tests: 0 };
        compose(&scene, &mut spool, folder.path())
    };
    Ok(tokio::task::spawn_blocking(work).await.map_err(|_| RunError::Stopped)??)
}

//! A flow's mail from real rows, or from made-up ones, with nothing recorded.

pub(crate) mod next_run;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use crate::compose::spool::Spool;
use crate::compose::{ComposeInput, ComposedMails, compose};
use crate::engine::run::RunError;
use crate::flow::{Config, Flow, NoConnection, TestLeads};
use crate::platform::clock::Clock;
use crate::rows::lead;
use crate::rows::newest::Newest;
use crate::rows::row::Row;
use crate::schedule::window::EVER;
use crate::services::OnlineServices;
use crate::services::table::Table;
use crate::store::Store;

use next_run::NextRun;

/// Which rows a preview shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Those that a run would mail now.
    New,
    /// Those written after this moment, mailed or not.
    Since(Timestamp),
    /// All that the filter matches, mailed or not.
    All,
    /// The newest of all.
    Last(usize),
}

/// The mail that a run would make.
#[derive(Debug)]
pub struct Preview {
    /// Rows it is made of.
    pub length: u64,
    /// They were written after this.
    pub past_time: Timestamp,
    /// The flow has not read this table yet: older rows will not be mailed.
    pub is_first: bool,
    /// Of [`Rows::New`], rows that the run would read, and that the flow has already processed.
    pub left_out: u64,
    /// Test leads among the rows that the flow does not mail.
    pub hidden_tests: u64,
    /// Test leads among those that it mails.
    pub tests: u64,
    /// The mails, as they would be sent; made also where the condition does not hold.
    pub mails: ComposedMails,
}

/// The rows that a preview shows, and how they were found.
struct PreviewRows {
    spool: Spool,
    past_time: Timestamp,
    is_first: bool,
    left_out: u64,
    hidden_tests: u64,
    tests: u64,
}

/// Reads real rows and composes; nothing is sent or recorded.
///
/// # Errors
/// As a run.
pub async fn preview(
    config: &Config,
    flow: &Arc<Flow>,
    clock: &Clock,
    store: Option<&Store>,
    rows: Rows,
) -> Result<Preview, RunError> {
    let table = OnlineServices::new(clock.clone()).open_table(config.table_of(flow)?).await?;
    let folder = tempfile::tempdir()?;
    let spool = Spool::new(folder.path()).knowing(flow.email.named_columns());
    let mut found =
        PreviewRows { spool, past_time: EVER, is_first: false, left_out: 0, hidden_tests: 0, tests: 0 };
    match rows {
        Rows::New => new_rows(flow, &table, clock, store, &mut found).await?,
        Rows::Since(since) => {
            found.past_time = since;
            all_rows(flow, &table, &mut found, None).await?;
        }
        Rows::All => all_rows(flow, &table, &mut found, None).await?,
        Rows::Last(count) => all_rows(flow, &table, &mut found, Some(count)).await?,
    }
    let PreviewRows { spool, past_time, is_first, left_out, hidden_tests, tests } = found;
    let length = spool.len();
    let facts = MailFacts { past_time, is_test: false, hidden_tests };
    let mails = composed(config, flow, clock, facts, spool, folder).await?;
    Ok(Preview { length, past_time, is_first, left_out, hidden_tests, tests, mails })
}

/// Those that a run would process now.
async fn new_rows(
    flow: &Flow,
    table: &Table,
    clock: &Clock,
    store: Option<&Store>,
    found: &mut PreviewRows,
) -> Result<(), RunError> {
    let mut next_run = NextRun::read(flow, table, clock, store).await?;
    (found.past_time, found.is_first) = (next_run.past_time, next_run.is_first);
    let mut scan = table.scan(flow.table.query(next_run.past_time));
    while let Some(page) = scan.next().await? {
        let new_rows = next_run.new_rows(flow, page.rows, store, &mut found.left_out).await?;
        found.keep(flow, &new_rows)?;
    }
    Ok(())
}

/// Those written after the past time, or the newest of them, whatever the flow has done with them.
async fn all_rows(
    flow: &Flow,
    table: &Table,
    found: &mut PreviewRows,
    newest: Option<usize>,
) -> Result<(), RunError> {
    let since = found.past_time;
    let mut oldest: Option<Timestamp> = None;
    let mut kept = newest.map(Newest::new);
    let mut scan = table.scan(flow.table.query(since));
    while let Some(page) = scan.next().await? {
        // Without {{past_time}} the filter ignores the time.
        let later = page.rows.into_iter().filter(|row| row.is_after(since));
        if let Some(kept) = &mut kept {
            kept.extend(later);
        } else {
            let rows: Vec<_> = later.collect();
            oldest = oldest.into_iter().chain(rows.iter().filter_map(Row::at)).min();
            found.keep(flow, &rows)?;
        }
    }
    if let Some(kept) = kept {
        let rows = kept.into_rows();
        oldest = rows.iter().filter_map(Row::at).min();
        found.keep(flow, &rows)?;
    }
    // The mail says since when its rows are, and 1601 is no answer.
    if let Some(oldest) = oldest.filter(|_| since == EVER) {
        found.past_time = oldest.checked_sub(SignedDuration::from_secs(1)).unwrap_or(oldest);
    }
    Ok(())
}

impl PreviewRows {
    fn keep(&mut self, flow: &Flow, rows: &[Row]) -> Result<(), RunError> {
        for row in rows {
            let is_test = lead::is_test(row);
            if is_test && flow.email.test_leads == TestLeads::Hide {
                self.hidden_tests += 1;
            } else {
                self.tests += u64::from(is_test);
                self.spool.push(row)?;
            }
        }
        Ok(())
    }
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
) -> Result<ComposedMails, RunError> {
    let folder = tempfile::tempdir()?;
    let mut spool = Spool::new(folder.path()).knowing(flow.email.named_columns());
    for mut row in rows {
        for column in flow.email.templates.columns() {
            row.entry(column.name.clone()).or_insert_with(|| "example".into());
        }
        let row = Row::from_text(Value::Object(row).to_string()).map_err(std::io::Error::other)?;
        spool.push(&row)?;
    }
    composed(
        config,
        flow,
        clock,
        MailFacts { past_time: clock.now(), is_test: true, hidden_tests: 0 },
        spool,
        folder,
    )
    .await
}

/// What a mail says apart from its rows.
struct MailFacts {
    past_time: Timestamp,
    is_test: bool,
    hidden_tests: u64,
}

async fn composed(
    config: &Config,
    flow: &Arc<Flow>,
    clock: &Clock,
    MailFacts { past_time, is_test, hidden_tests }: MailFacts,
    mut spool: Spool,
    folder: tempfile::TempDir,
) -> Result<ComposedMails, RunError> {
    let name = flow.email.connections.first().cloned().unwrap_or_default();
    let connection = config.mails.get(&name).cloned().ok_or(NoConnection(name))?;
    let max_bytes = config.max_message_bytes(&flow.email.connections);
    let flow = Arc::clone(flow);
    let now = clock.now();
    let work = move || {
        let from = connection.from();
        let input =
            ComposeInput { flow: &flow, run: 0, past_time, now, from, max_bytes, is_test, hidden_tests };
        compose(&input, &mut spool, folder.path())
    };
    Ok(tokio::task::spawn_blocking(work).await.map_err(|_| RunError::Stopped)??)
}

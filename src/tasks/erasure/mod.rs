//! Erases a person from the state, its history, the kept mails and, if wanted, the tables; then searches
//! them again and reports what is left.

mod databases;
mod escapes;
mod kept;
mod names;
mod person;
mod tables;
mod target;

use std::time::{Duration, Instant};

use crate::flow::Config;
use crate::history::Outcome;
use crate::platform::clock::Clock;
use crate::rows::row::{RowId, RowMark};
use crate::services::OnlineServices;
use crate::store::state;
use crate::store::{Lock, RunFilter, Store, StoreError};

pub use kept::{Erased, Searched};
pub use person::Person;
pub use tables::{FoundRow, TableName, TableSearch};
pub use target::ErasureTarget;

/// Something of the person that is left, or that could not be searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// What, where and why.
    pub what: String,
    /// What to do about it.
    pub help: String,
}

/// What is known of the person before anything is erased.
#[derive(Debug, Clone)]
pub struct ErasureScope {
    /// Who.
    pub person: Person,
    /// The person's rows.
    pub tables: TableSearch,
}

/// What was done, and what was seen afterwards.
#[derive(Debug, Clone, Default)]
pub struct ErasureReport {
    /// What is gone from the state and the mail folders.
    pub erased: Erased,
    /// The person's rows that were found at first.
    pub found: usize,
    /// Rows that are gone from the tables.
    pub rows: usize,
    /// What was searched afterwards.
    pub searched: Searched,
    /// The last search of the tables.
    pub tables: TableSearch,
    /// What is left, or could not be searched.
    pub left: Vec<Leftover>,
    /// What was searched for: the address, and a name that differs from other words.
    pub looked_for: LookedFor,
}

/// What is known of the person, and so was searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LookedFor {
    /// The address.
    pub address: bool,
    /// The name.
    pub name: bool,
}

impl ErasureReport {
    /// Nothing of the person was found anywhere: it may be spelled in another way.
    pub fn is_nothing(&self) -> bool {
        let Erased { mails, waiting, texts, files, .. } = &self.erased;
        mails.is_empty() && waiting.is_empty() && *texts == 0 && files.is_empty() && self.found == 0
    }
}

/// How long runs that are under way may take to end, so that what they have read can be erased.
const FOR_RUNS: Duration = Duration::from_secs(10);
/// Between two queries whether they have.
const PAUSE: Duration = Duration::from_millis(200);

/// Searches the tables of all flows.
///
/// # Errors
/// With the rows, where the key names several that may belong to different people.
pub async fn find(config: &Config, target: &ErasureTarget) -> Result<ErasureScope, Vec<String>> {
    let services = OnlineServices::new(Clock::System);
    let mut person = Person::new(target);
    let mut search = tables::search(&services, config, &person).await;
    if let ErasureTarget::Key(..) = target {
        tables::check_one(&search)?;
    }
    search.rows.iter().for_each(|found| person.learn(&found.row));
    if matches!(target, ErasureTarget::Key(..)) && person.has_address() {
        // The person's other leads.
        search = tables::search(&services, config, &person).await;
        search.rows.iter().for_each(|found| person.learn(&found.row));
    }
    Ok(ErasureScope { person, tables: search })
}

/// Erases the person; `from_tables` deletes the rows, too. What is in the way of one thing keeps no
/// other from being done.
pub async fn erase(config: &Config, scope: ErasureScope, from_tables: bool) -> ErasureReport {
    let ErasureScope { mut person, tables: search } = scope;
    let mut report = ErasureReport { found: search.rows.len(), ..ErasureReport::default() };
    let mut ids: Vec<RowId> = search.rows.iter().map(|found| RowMark::new(&found.row).id).collect();
    let names: Vec<TableName> = search.rows.iter().map(|found| found.table.clone()).collect();
    let unread: Vec<TableName> = search.unread.iter().map(|(name, _)| name.clone()).collect();
    // First what the ids of the rows lead to: once the rows are gone nothing else names them.
    report.erased = erase_kept(config, &person, &ids, &mut Vec::new()).await;
    if from_tables {
        let deleted = tables::delete(&OnlineServices::new(Clock::System), config, &person, search).await;
        report.rows = deleted.rows;
        report.left.extend(deleted.left);
        report.tables = deleted.tables;
    } else {
        report.tables = search;
    }
    // Rows that appeared meanwhile.
    report.tables.rows.iter().for_each(|found| person.learn(&found.row));
    ids.extend(report.tables.rows.iter().map(|found| RowMark::new(&found.row).id));
    report.left.extend(report.tables.unread.iter().map(|(_, left)| left.clone()));
    report.left.extend(tables::named(&report.tables));
    report.left.extend(tables::partly_seen(config));
    let flows = flows_of(config, names.iter().chain(&unread));
    report.left.extend(wait_for_runs(config, &flows).await);
    if from_tables && let Some(store) = open_state(config, &mut Vec::new()).await {
        match tables::earlier(config, &store).await {
            Ok(left) => report.left.extend(left),
            Err(error) => failed(&error, &mut report.left),
        }
    }
    let mut left = Vec::new();
    let again = erase_kept(config, &person, &ids, &mut left).await;
    report.erased = std::mem::take(&mut report.erased).and(again);
    report.left.extend(left);
    verify(config, &person, from_tables, &mut report).await;
    report.looked_for = LookedFor { address: person.has_address(), name: person.has_name() };
    report
}

/// What names the person goes from the state and the mail folders, as far as it can.
async fn erase_kept(config: &Config, person: &Person, ids: &[RowId], left: &mut Vec<Leftover>) -> Erased {
    let mut erased = Erased::default();
    if let Some(store) = open_state(config, left).await {
        match kept::erase_state(&store, person, ids).await {
            Ok(of_state) => erased = of_state,
            Err(error) => failed(&error, left),
        }
    }
    erased.files = kept::erase_folders(config, person, left);
    erased
}

/// Searches all that was kept.
async fn verify(config: &Config, person: &Person, with_tables: bool, report: &mut ErasureReport) {
    let mut of_state = Searched::default();
    if let Some(store) = open_state(config, &mut Vec::new()).await {
        for mail in &report.erased.waiting {
            report.left.push(Leftover {
                what: format!("mail {mail} is still to be sent"),
                help: format!(
                    "`leadflow outbox drop {mail}`, or wait until it is sent, then run the command again"
                ),
            });
        }
        match kept::search_state(&store, person, &report.erased.waiting, &mut report.left).await {
            Ok(searched) => of_state = searched,
            Err(error) => failed(&error, &mut report.left),
        }
        if !report.erased.is_log_empty {
            report.left.push(Leftover {
                what: "the state's write-ahead log could not be emptied, because another process is \
                       reading the state"
                    .to_owned(),
                help: "run the command again, or stop leadflow first".to_owned(),
            });
        }
    }
    let of_files = kept::search_files(config, person, with_tables, &mut report.left);
    report.searched = Searched {
        files: of_files.files + of_state.files,
        bytes: of_files.bytes + of_state.bytes,
        ..of_state
    };
}

async fn open_state(config: &Config, left: &mut Vec<Leftover>) -> Option<Store> {
    match state::open_to_change(config).await {
        Ok(Some(store)) => return Some(store),
        Ok(None) => left.push(Leftover {
            what: format!(
                "there is no state in {}: leadflow has never run with this flows.toml",
                config.settings.state_in_words()
            ),
            help: "if it was, check `settings.state` and `settings.postgres`".to_owned(),
        }),
        Err(error) => failed(&error, left),
    }
    None
}

fn failed(error: &StoreError, left: &mut Vec<Leftover>) {
    left.push(Leftover {
        what: format!("cannot search the state: {error}"),
        help: "run the command again once it can be read and written".to_owned(),
    });
}

fn flows_of<'a>(config: &Config, names: impl Iterator<Item = &'a TableName>) -> Vec<String> {
    let names: Vec<_> = names.collect();
    let reads = |flow: &crate::flow::Flow| {
        names.iter().any(|name| (&name.connection, &name.table) == (&flow.table.connection, &flow.table.name))
    };
    config.flows.values().filter(|flow| reads(flow)).map(|flow| flow.name.clone()).collect()
}

/// Runs that may have read a row before it was deleted are to end first: what they have made of it can then
/// be erased. Those that do not end are reported.
async fn wait_for_runs(config: &Config, flows: &[String]) -> Vec<Leftover> {
    let may_anybody_run =
        config.settings.postgres.is_some() || matches!(Lock::owner(&config.settings.state), Ok(Some(_)));
    if flows.is_empty() || !may_anybody_run {
        return Vec::new();
    }
    let Ok(Some(store)) = state::open_to_read(config).await else { return Vec::new() };
    let under_way = async || {
        let filter = RunFilter { outcomes: vec![Outcome::Running], ..RunFilter::default() };
        let mut runs = store.find_runs(filter).await.unwrap_or_default();
        runs.retain(|run| flows.contains(&run.flow));
        runs
    };
    let began = Instant::now();
    let first = under_way().await;
    loop {
        let mut runs = under_way().await;
        runs.retain(|run| first.iter().any(|known| known.id == run.id));
        if runs.is_empty() || began.elapsed() >= FOR_RUNS {
            let left = |run: crate::history::Run| Leftover {
                what: format!(
                    "run {} of {} is under way and may have read a row of this person",
                    run.id, run.flow
                ),
                help: format!("run the command again when it has ended: `leadflow history show {}`", run.id),
            };
            return runs.into_iter().map(left).collect();
        }
        tokio::time::sleep(PAUSE).await;
    }
}

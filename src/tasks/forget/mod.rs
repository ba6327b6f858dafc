//! Erases a person from the state, its history, the kept mails and, if wanted, the tables; then looks
//! again and tells what it has seen.

mod asked;
mod databases;
mod escapes;
mod kept;
mod names;
mod person;
mod tables;

use std::time::{Duration, Instant};

use crate::flow::Config;
use crate::history::Outcome;
use crate::platform::clock::Clock;
use crate::rows::row::{RowId, RowMark};
use crate::services::Online;
use crate::store::state;
use crate::store::{Lock, RunFilter, Store, StoreError};

pub use asked::Asked;
pub use kept::{Erased, Searched};
pub use person::Person;
pub use tables::{Found, Look, Place};

/// Something of the person that is left, or that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// What, where and why.
    pub what: String,
    /// What to do about it.
    pub help: String,
}

/// What is known of the person before anything is erased.
#[derive(Debug, Clone)]
pub struct Known {
    /// Who.
    pub person: Person,
    /// The person's rows.
    pub look: Look,
}

/// What was done, and what was seen afterwards.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// What is gone from the state and the mail folders.
    pub erased: Erased,
    /// The person's rows that were found at first.
    pub found: usize,
    /// Rows that are gone from the tables.
    pub rows: usize,
    /// What was looked through.
    pub searched: Searched,
    /// The last look at the tables.
    pub look: Look,
    /// What is left, or could not be looked at.
    pub left: Vec<Left>,
    /// What was looked for: the address, and a name that can be told from other words.
    pub looked_for: LookedFor,
}

/// What is known of the person, and so was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LookedFor {
    /// The address.
    pub address: bool,
    /// The name.
    pub name: bool,
}

impl Told {
    /// Nothing of the person was found anywhere: it may be spelled in another way.
    pub fn is_nothing(&self) -> bool {
        let Erased { mails, waiting, texts, files, .. } = &self.erased;
        mails.is_empty() && waiting.is_empty() && *texts == 0 && files.is_empty() && self.found == 0
    }
}

/// How long runs that are under way may take to end, so that what they have read can be erased.
const FOR_RUNS: Duration = Duration::from_secs(10);
/// Between two looks whether they have.
const PAUSE: Duration = Duration::from_millis(200);

/// Looks for the person in the tables of all flows.
///
/// # Errors
/// With the rows, where the key names several that may belong to different people.
pub async fn find(config: &Config, asked: &Asked) -> Result<Known, Vec<String>> {
    let services = Online::new(Clock::System);
    let mut person = Person::of(asked);
    let mut look = tables::look(&services, config, &person).await;
    if let Asked::Key(..) = asked {
        tables::check_one(&look)?;
    }
    look.rows.iter().for_each(|found| person.learn(&found.row));
    if matches!(asked, Asked::Key(..)) && person.has_address() {
        // The person's other leads.
        look = tables::look(&services, config, &person).await;
        look.rows.iter().for_each(|found| person.learn(&found.row));
    }
    Ok(Known { person, look })
}

/// Erases the person; `from_tables` deletes the rows, too. What stands in the way of one thing keeps no
/// other from being done.
pub async fn forget(config: &Config, known: Known, from_tables: bool) -> Told {
    let Known { mut person, look } = known;
    let mut told = Told { found: look.rows.len(), ..Told::default() };
    let mut ids: Vec<RowId> = look.rows.iter().map(|found| RowMark::new(&found.row).id).collect();
    let places: Vec<Place> = look.rows.iter().map(|found| found.place.clone()).collect();
    let unread: Vec<Place> = look.unread.iter().map(|(place, _)| place.clone()).collect();
    // First what the ids of the rows lead to: once the rows are gone nothing else names them.
    told.erased = erase(config, &person, &ids, &mut Vec::new()).await;
    if from_tables {
        let deleted = tables::delete(&Online::new(Clock::System), config, &person, look).await;
        told.rows = deleted.rows;
        told.left.extend(deleted.left);
        told.look = deleted.look;
    } else {
        told.look = look;
    }
    // Rows that appeared meanwhile.
    told.look.rows.iter().for_each(|found| person.learn(&found.row));
    ids.extend(told.look.rows.iter().map(|found| RowMark::new(&found.row).id));
    told.left.extend(told.look.unread.iter().map(|(_, left)| left.clone()));
    told.left.extend(tables::named(&told.look));
    told.left.extend(tables::partly_seen(config));
    let flows = flows_of(config, places.iter().chain(&unread));
    told.left.extend(wait_for_runs(config, &flows).await);
    if from_tables && let Some(store) = open_state(config, &mut Vec::new()).await {
        match tables::earlier(config, &store).await {
            Ok(left) => told.left.extend(left),
            Err(error) => failed(&error, &mut told.left),
        }
    }
    let mut left = Vec::new();
    let again = erase(config, &person, &ids, &mut left).await;
    told.erased = std::mem::take(&mut told.erased).and(again);
    told.left.extend(left);
    search(config, &person, from_tables, &mut told).await;
    told.looked_for = LookedFor { address: person.has_address(), name: person.has_name() };
    told
}

/// What names the person goes from the state and the mail folders, as far as it can.
async fn erase(config: &Config, person: &Person, ids: &[RowId], left: &mut Vec<Left>) -> Erased {
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

/// Looks through all that was kept.
async fn search(config: &Config, person: &Person, with_tables: bool, told: &mut Told) {
    let mut of_state = Searched::default();
    if let Some(store) = open_state(config, &mut Vec::new()).await {
        for mail in &told.erased.waiting {
            told.left.push(Left {
                what: format!("mail {mail} is still to be sent"),
                help: format!(
                    "`leadflow outbox drop {mail}`, or wait until it is sent, then run the command again"
                ),
            });
        }
        match kept::search_state(&store, person, &told.erased.waiting, &mut told.left).await {
            Ok(searched) => of_state = searched,
            Err(error) => failed(&error, &mut told.left),
        }
        if !told.erased.is_log_empty {
            told.left.push(Left {
                what: "the state's write-ahead log could not be emptied, because another process is \
                 reading the state"
                    .to_owned(),
                help: "run the command again, or stop leadflow first".to_owned(),
            });
        }
    }
    let of_files = kept::search_files(config, person, with_tables, &mut told.left);
    told.searched = Searched {
        files: of_files.files + of_state.files,
        bytes: of_files.bytes + of_state.bytes,
        mails: of_state.mails,
    };
}

async fn open_state(config: &Config, left: &mut Vec<Left>) -> Option<Store> {
    match state::open_to_change(config).await {
        Ok(Some(store)) => return Some(store),
        Ok(None) => left.push(Left {
            what: format!(
                "there is no state in {}: leadflow has never run with this flows.toml",
                config.settings.state.display()
            ),
            help: "if it was, check settings.state".to_owned(),
        }),
        Err(error) => failed(&error, left),
    }
    None
}

fn failed(error: &StoreError, left: &mut Vec<Left>) {
    left.push(Left {
        what: format!("cannot search the state: {error}"),
        help: "run the command again once it can be read and written".to_owned(),
    });
}

fn flows_of<'a>(config: &Config, places: impl Iterator<Item = &'a Place>) -> Vec<String> {
    let places: Vec<_> = places.collect();
    let reads = |flow: &crate::flow::Flow| {
        places
            .iter()
            .any(|place| (&place.connection, &place.table) == (&flow.table.connection, &flow.table.name))
    };
    config.flows.values().filter(|flow| reads(flow)).map(|flow| flow.name.clone()).collect()
}

/// Runs that may have read a row before it was deleted are to end first: what they have made of it can then
/// be erased. Those that do not end are told.
async fn wait_for_runs(config: &Config, flows: &[String]) -> Vec<Left> {
    if flows.is_empty() || !matches!(Lock::owner(&config.settings.state), Ok(Some(_))) {
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
            let left = |run: crate::history::Run| Left {
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

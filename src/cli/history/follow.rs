//! `leadflow history --follow`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use leadflow::config::Loaded;
use leadflow::history::{Outcome, Run};
use leadflow::store::{RunFilter, Store, StoreError};
use leadflow::views::runs::RunView;
use tokio::time::sleep;

use super::{RunFormat, columns};
use crate::cli::columns::Layout;
use crate::cli::output;

/// Between two queries.
const PAUSE: Duration = Duration::from_millis(200);
/// A mail that leaves within this time makes no second line.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a daemon may take to open the state.
const FOR_A_START: Duration = Duration::from_secs(10);

/// Runs that are not over, or whose mail waits.
#[derive(Debug, Default)]
struct Followed {
    /// The newest run that was read.
    newest: i64,
    open: BTreeMap<i64, FollowedRun>,
}

#[derive(Debug, Clone, Copy)]
struct FollowedRun {
    /// What the last line said.
    shown: Option<Outcome>,
    /// Since when its mail waits.
    waits_since: Option<Instant>,
}

pub(super) async fn follow(loaded: &Loaded, asked: &RunFilter, as_json: bool) -> anyhow::Result<ExitCode> {
    if let Some(flow) = &asked.flow {
        let is_known = match crate::cli::state_of(loaded).await? {
            Some(store) => store.seen(flow).await?.is_some(),
            None => false,
        };
        if !is_known {
            crate::cli::is_on_in_file(loaded, flow).await?;
        }
    }
    let format = RunFormat::new(loaded);
    let mut store = opened(loaded).await?;
    let identity = store.identity().await?;
    let mut followed = Followed::default();
    let first = followed.first(&store, asked).await?;
    let rows: Vec<_> = first.iter().map(|run| format.cells(run)).collect();
    let layout = Layout::fit(&columns_for_more(loaded), &rows, format.width);
    let lines_of = |runs: &[Run]| -> anyhow::Result<String> {
        let line = |run: &Run| {
            if as_json { output::json_line(&RunView::from(run)) } else { Ok(layout.line(&format.cells(run))) }
        };
        Ok(runs.iter().map(line).collect::<anyhow::Result<Vec<_>>>()?.join("\n"))
    };
    if !as_json && !output::print_while_read(&layout.head())? {
        return Ok(ExitCode::SUCCESS);
    }
    let mut lines = lines_of(&first)?;
    loop {
        if !output::print_while_read(&lines)? {
            return Ok(ExitCode::SUCCESS);
        }
        sleep(PAUSE).await;
        lines = match followed.next(&store, asked, Instant::now()).await {
            Err(StoreError::Replaced(_)) => {
                store = opened_again(loaded, &identity).await?;
                String::new()
            }
            next => lines_of(&next?)?,
        };
    }
}

/// The state, which is waited for where there was no run yet.
async fn opened(loaded: &Loaded) -> anyhow::Result<Store> {
    let mut store = crate::cli::state_of(loaded).await?;
    if store.is_none() {
        output::eprint("no run yet; waiting for `leadflow run`");
    }
    loop {
        if let Some(store) = store {
            return Ok(store);
        }
        sleep(PAUSE).await;
        store = crate::cli::state_of(loaded).await?;
    }
}

/// The same state once more: who may not write it has opened it without the files that a daemon makes beside it.
async fn opened_again(loaded: &Loaded, known: &str) -> anyhow::Result<Store> {
    let began = Instant::now();
    loop {
        match with_identity(loaded).await {
            Ok(Some((store, identity))) if identity == known => return Ok(store),
            Ok(_) => return Err(StoreError::Replaced(loaded.config.settings.state.clone()).into()),
            // A daemon is making its files at this moment.
            Err(_) if began.elapsed() < FOR_A_START => sleep(PAUSE).await,
            Err(error) => return Err(error),
        }
    }
}

async fn with_identity(loaded: &Loaded) -> anyhow::Result<Option<(Store, String)>> {
    let Some(store) = crate::cli::state_of(loaded).await? else { return Ok(None) };
    let identity = store.identity().await?;
    Ok(Some((store, identity)))
}

/// The columns, wide enough for what may come.
fn columns_for_more(loaded: &Loaded) -> Vec<super::Column> {
    let longest = loaded.config.flows.keys().map(String::len).max().unwrap_or_default();
    let least = [0, longest, 0, 0, 8, 11, 4, 5, 30];
    columns().into_iter().zip(least).map(|(column, least)| column.at_least(least)).collect()
}

impl Followed {
    /// The last runs that are over, oldest first; every other is followed from now on.
    async fn first(&mut self, store: &Store, asked: &RunFilter) -> Result<Vec<Run>, StoreError> {
        let any = RunFilter { flow: asked.flow.clone(), limit: Some(1), ..RunFilter::default() };
        self.newest = store.find_runs(any).await?.first().map_or(0, |run| run.id);
        let unfinished = RunFilter {
            flow: asked.flow.clone(),
            outcomes: vec![Outcome::Running, Outcome::Waiting],
            ..RunFilter::default()
        };
        for run in store.find_runs(unfinished).await? {
            let shown = (run.outcome == Outcome::Waiting).then_some(run.outcome);
            self.open.insert(run.id, FollowedRun { shown, waits_since: None });
        }
        let mut runs = store.find_runs(asked.clone()).await?;
        runs.retain(|run| run.outcome != Outcome::Running);
        runs.reverse();
        Ok(runs)
    }

    /// The runs that have ended since the last query, and those whose mail does not wait any more.
    async fn next(&mut self, store: &Store, asked: &RunFilter, now: Instant) -> Result<Vec<Run>, StoreError> {
        let newer = RunFilter {
            flow: asked.flow.clone(),
            since: asked.since,
            after: Some(self.newest),
            ..RunFilter::default()
        };
        for run in store.find_runs(newer).await? {
            self.newest = self.newest.max(run.id);
            self.open.insert(run.id, FollowedRun { shown: None, waits_since: None });
        }
        let mut news = Vec::new();
        let mut still_open = BTreeMap::new();
        // A query that fails is made again.
        for (id, mut open) in self.open.clone() {
            let Some(run) = store.run(id).await? else { continue };
            let is_shown = match run.outcome {
                Outcome::Running => false,
                Outcome::Waiting => now.duration_since(*open.waits_since.get_or_insert(now)) >= PATIENCE,
                _ => true,
            };
            let outcome = run.outcome;
            if is_shown && open.shown != Some(outcome) {
                open.shown = Some(outcome);
                if asked.outcomes.is_empty() || asked.outcomes.contains(&outcome) {
                    news.push(run);
                }
            }
            if matches!(outcome, Outcome::Running | Outcome::Waiting) {
                still_open.insert(id, open);
            }
        }
        self.open = still_open;
        Ok(news)
    }
}

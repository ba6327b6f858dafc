//! The flows of a file with what the state knows of each.

use std::sync::Arc;

use jiff::Timestamp;

use crate::config::Loaded;
use crate::flow::Flow;
use crate::planner;
use crate::store::{FlowOverview, Store, StoreError};

/// A flow of the file.
#[derive(Debug, Clone)]
pub enum ListedFlow {
    /// It can be used.
    Whole(Arc<Flow>),
    /// Of a file with mistakes.
    Broken {
        /// The key in flows.toml.
        name: String,
        /// `enabled` of it, as far as that can be read.
        is_on: bool,
    },
}

/// Shown in place of a recurrence that cannot be read.
const UNREADABLE: &str = "(not valid in flows.toml)";

impl ListedFlow {
    /// The key in flows.toml.
    pub fn name(&self) -> &str {
        match self {
            Self::Whole(flow) => &flow.name,
            Self::Broken { name, .. } => name,
        }
    }

    /// Whether the file has it on.
    pub fn is_on(&self) -> bool {
        match self {
            Self::Whole(flow) => flow.enabled,
            Self::Broken { is_on, .. } => *is_on,
        }
    }

    /// The line for people.
    pub fn description(&self) -> Option<&String> {
        match self {
            Self::Whole(flow) => flow.description.as_ref(),
            Self::Broken { .. } => None,
        }
    }

    /// When it runs, in words.
    pub fn recurrence(&self) -> String {
        match self {
            Self::Whole(flow) => flow.recurrence.to_string(),
            Self::Broken { .. } => UNREADABLE.to_owned(),
        }
    }

    /// Its next slot; `None` while it is off or was never seen.
    pub fn next_run(&self, known: &FlowOverview, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Whole(flow) => {
                known.schedule.as_ref().and_then(|state| planner::next_run(flow, state, now))
            }
            Self::Broken { .. } => None,
        }
    }
}

/// The flows by name, each with what the state knows of it. Where the file has no flow that can be read, those that the
/// state knows.
///
/// # Errors
/// When the state fails.
pub async fn flow_list(
    loaded: &Loaded,
    store: Option<&Store>,
) -> Result<Vec<(ListedFlow, FlowOverview)>, StoreError> {
    let flows = flows(loaded, store).await?;
    let mut known = match store {
        Some(store) => store.overview(flows.iter().map(|flow| flow.name().to_owned()).collect()).await?,
        None => Vec::new(),
    };
    known.resize_with(flows.len(), FlowOverview::default);
    Ok(flows.into_iter().zip(known).collect())
}

async fn flows(loaded: &Loaded, store: Option<&Store>) -> Result<Vec<ListedFlow>, StoreError> {
    let mut all: Vec<ListedFlow> = loaded.config.flows.values().cloned().map(ListedFlow::Whole).collect();
    let Some(invalid) = &loaded.invalid else { return Ok(all) };
    let broken = |(name, is_on): (&String, &bool)| ListedFlow::Broken { name: name.clone(), is_on: *is_on };
    all.extend(invalid.flows.iter().map(broken));
    if let Some(store) = store.filter(|_| all.is_empty()) {
        let known = store.flow_names().await?;
        all.extend(known.into_iter().map(|name| ListedFlow::Broken { name, is_on: true }));
    }
    all.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(all)
}

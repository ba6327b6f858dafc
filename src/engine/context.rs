//! What runs and deliveries work with.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::Meters;
use crate::platform::blocking::Runner;
use crate::platform::clock::Clock;
use crate::platform::lease::Lease;
use crate::services::{OnlineServices, Services};
use crate::store::{NewNode, Store};

/// What every run and every delivery works with.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// The state.
    pub store: Store,
    /// The wall clock.
    pub clock: Clock,
    /// This process, as it tells the others that work on the state.
    pub node: NewNode,
    /// While it does not hold nothing is sent.
    pub lease: Lease,
    /// The state folder, where a large spool lies.
    pub folder: PathBuf,
    /// Tables and mail servers.
    pub services: Arc<dyn Services>,
    /// What they count, of this process alone.
    pub meters: Meters,
    /// Where work that may block is done.
    pub(crate) runner: Runner,
    /// Of those who compose mails, which takes memory and no service.
    pub(super) compose_permits: Arc<Semaphore>,
}

/// Runs that compose at the same time.
const MAX_COMPOSING: usize = 4;

impl RunContext {
    /// One whose blocking work is done where that of the store is.
    pub fn new(store: Store, clock: Clock, folder: PathBuf, services: Arc<dyn Services>) -> Self {
        let runner = store.runner().clone();
        let lease =
            if store.has_leases() { Lease::ended(clock.clone()) } else { Lease::endless(clock.clone()) };
        Self {
            store,
            clock,
            node: NewNode::default(),
            lease,
            folder,
            services,
            meters: Meters::new(),
            runner,
            compose_permits: Arc::new(Semaphore::new(MAX_COMPOSING)),
        }
    }

    /// As this node, where several share the state.
    #[must_use]
    pub fn as_node(self, node: NewNode) -> Self {
        Self { node, ..self }
    }

    /// One over the network.
    pub fn online(store: Store, clock: Clock, folder: PathBuf) -> Self {
        let services = Arc::new(OnlineServices::new(clock.clone()));
        Self::new(store, clock, folder, services)
    }
}

//! When the signatures of tables end, read where a disk that hangs holds up nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinHandle;

use crate::flow::{Config, TableConnection};
use crate::platform::blocking::Runner;
use crate::services::table::Signature;

/// When the signatures of table connections end, and where each lies.
pub(crate) type SignatureEnds = BTreeMap<String, (Timestamp, String)>;

/// What was last read, and the reading under way.
#[derive(Debug, Default)]
pub(in crate::engine) struct SignatureEndReader {
    last: SignatureEnds,
    under_way: Option<JoinHandle<Option<SignatureEnds>>>,
}

/// How long a check of the alarms waits for the files.
const PATIENCE: Duration = Duration::from_secs(3);

impl SignatureEndReader {
    /// What the files say now; what they said last, while they cannot be read.
    pub(in crate::engine) async fn now(&mut self, config: &Arc<Config>, runner: &Runner) -> SignatureEnds {
        if self.under_way.is_none() && !has_signatures(config) {
            return SignatureEnds::new();
        }
        // One at a time: each that hangs keeps a thread.
        let mut reading = self.under_way.take().unwrap_or_else(|| {
            let config = Arc::clone(config);
            let runner = runner.clone();
            tokio::spawn(async move { runner.run(move || read(&config)).await })
        });
        match tokio::time::timeout(PATIENCE, &mut reading).await {
            Ok(read) => self.last = read.ok().flatten().unwrap_or_default(),
            Err(_) => self.under_way = Some(reading),
        }
        self.last.clone()
    }
}

/// Whether flows use a signature, so that its end is to be read.
fn has_signatures(config: &Config) -> bool {
    let mut tables = config.tables.values();
    tables.any(|table| matches!(table, TableConnection::Azure(azure) if azure.login.secret().is_some()))
}

/// When the signatures of the tables that flows use end. Reads files.
pub(super) fn read(config: &Config) -> SignatureEnds {
    let used: BTreeSet<&String> =
        config.flows.values().filter(|flow| flow.enabled).map(|flow| &flow.table.connection).collect();
    let end = |(name, connection): (&String, &TableConnection)| {
        let signature = Signature::from_connection(connection).filter(|_| used.contains(name))?;
        Some((name.clone(), (signature.ends?, signature.place)))
    };
    config.tables.iter().filter_map(end).collect()
}

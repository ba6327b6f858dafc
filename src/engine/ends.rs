//! When the signatures of tables end, read where a disk that hangs holds up nothing else.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::alarms::{self, SignatureEnds};
use crate::flow::Config;

/// What was last read, and the reading under way.
#[derive(Debug, Default)]
pub(super) struct Ends {
    last: SignatureEnds,
    under_way: Option<JoinHandle<SignatureEnds>>,
}

/// How long a look waits for the files.
const PATIENCE: Duration = Duration::from_secs(3);

impl Ends {
    /// What the files say now; what they said last, while they cannot be read.
    pub(super) async fn now(&mut self, config: &Arc<Config>) -> SignatureEnds {
        if self.under_way.is_none() && !alarms::has_signatures(config) {
            return SignatureEnds::new();
        }
        // One at a time: each that hangs keeps a thread.
        let reading = self.under_way.take().unwrap_or_else(|| {
            let config = Arc::clone(config);
            tokio::task::spawn_blocking(move || alarms::ends(&config))
        });
        let mut reading = reading;
        match tokio::time::timeout(PATIENCE, &mut reading).await {
            Ok(read) => self.last = read.unwrap_or_default(),
            Err(_) => self.under_way = Some(reading),
        }
        self.last.clone()
    }
}

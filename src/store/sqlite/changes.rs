//! Whether somebody has written to the database, without a look into it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// Watches the write-ahead log, which every write of whatever process makes longer or younger.
#[derive(Debug)]
pub struct LogChanges {
    log: PathBuf,
    seen: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    length: u64,
    written: SystemTime,
    first: Instant,
    /// It was the same for long enough when the caller looked last.
    is_settled: bool,
}

/// Two writes within the clock tick of a file system have the same time; they are not so far apart.
const SETTLED: Duration = Duration::from_secs(1);

impl LogChanges {
    /// Of the database of a state folder; all of it counts as unseen.
    pub(crate) fn of(folder: &Path) -> Self {
        Self { log: folder.join("leadflow.db-wal"), seen: None }
    }

    /// Whether there may be something that the caller has not seen yet, who looks now if so.
    pub fn any(&mut self) -> bool {
        let found = fs::metadata(&self.log).and_then(|log| Ok((log.len(), log.modified()?)));
        let Ok((length, written)) = found else {
            self.forget();
            return true;
        };
        match &mut self.seen {
            Some(seen) if (seen.length, seen.written) == (length, written) => {
                let was_settled = seen.is_settled;
                seen.is_settled |= seen.first.elapsed() >= SETTLED;
                !was_settled
            }
            _ => {
                self.seen = Some(Seen { length, written, first: Instant::now(), is_settled: false });
                true
            }
        }
    }

    /// The caller could not look, or not do all that it found.
    pub fn forget(&mut self) {
        self.seen = None;
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::store::Request;
    use crate::store::sqlite::Database;

    #[test]
    fn a_write_is_seen_once_it_has_settled_and_never_missed() {
        let folder = tempfile::tempdir().unwrap();
        let mut changes = LogChanges::of(folder.path());
        assert!(changes.any() && changes.any(), "nothing can show a change");
        let mut store = Database::open(folder.path()).unwrap();
        let off = Request::Off("leads".to_owned());
        let mut leave = || drop(store.add_request(&off, "anna", Timestamp::UNIX_EPOCH));
        leave();
        assert!(changes.any() && changes.any(), "another write may have the same time");
        changes.seen.as_mut().unwrap().first -= SETTLED;
        assert!(changes.any(), "the look that sees whatever had the same time");
        assert!(!changes.any() && !changes.any());
        leave();
        assert!(changes.any());
        changes.seen.as_mut().unwrap().first -= SETTLED;
        assert!(changes.any() && !changes.any());
        changes.forget();
        assert!(changes.any());
    }
}

//! Machines that share a state: one that is gone, and one that has other files or another version.

use jiff::{SignedDuration, Timestamp};

use super::{Alarm, AlarmKind};

/// How long machines may differ: an edit and an upgrade come to them one after the other.
const DIFFER: SignedDuration = SignedDuration::from_mins(5);

/// A node whose lease ended at some time after `seen`, and that did not leave.
pub(super) fn gone(name: &str, seen: Timestamp) -> Alarm {
    Alarm {
        kind: AlarmKind::NodeGone,
        about: name.to_owned(),
        since: seen,
        times: 1,
        what: "it no longer renews its lease; a node that does takes over what it had under way".to_owned(),
        help: format!(
            "check that machine, and its network to the database: systemctl status leadflow; if it does not come back, \
             `leadflow nodes --forget {name}`"
        ),
        look: "leadflow nodes".to_owned(),
    }
}

/// A node that differs for too long.
pub(super) fn differs(name: &str, since: Timestamp, what: &str, now: Timestamp) -> Option<Alarm> {
    (now.duration_since(since) >= DIFFER).then(|| Alarm {
        kind: AlarmKind::NodeDiffers,
        about: name.to_owned(),
        since,
        times: 1,
        what: what.to_owned(),
        help: "put the same flows.toml, templates and version of leadflow on every machine; until then, the machine that runs a \
               flow decides what is mailed"
            .to_owned(),
        look: "leadflow nodes".to_owned(),
    })
}

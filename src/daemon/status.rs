//! What is going on, in one line: `systemctl status` shows it.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::engine::Snapshot;

/// The flows that are on, the one that runs next, and whether something is wrong.
pub(super) fn text(snapshot: Snapshot, now: Timestamp, time_zone: &TimeZone) -> String {
    let Snapshot { on, off, next, under_way, is_well } = snapshot;
    let mut parts =
        vec![if off > 0 { format!("flows on: {on}, off: {off}") } else { format!("flows on: {on}") }];
    parts.push(match next {
        Some((flow, next)) => {
            let next = next.max(now).to_zoned(time_zone.clone());
            format!("{flow} runs next, {}", next.strftime("%Y-%m-%d %H:%M:%S %Z"))
        }
        None => "no flow is on".to_owned(),
    });
    if under_way > 0 {
        parts.push(format!("under way: {under_way}"));
    }
    if is_well == Some(false) {
        parts.push("there are problems: leadflow health".to_owned());
    }
    parts.join("; ")
}

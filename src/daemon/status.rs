//! What goes on, on one line: `systemctl status` shows it.

use super::Daemon;

impl Daemon {
    /// The flows that are on, the one that runs next, and whether something is wrong.
    pub(super) fn status(&self) -> String {
        let (on, off) = self.agenda.on_and_off();
        let mut parts =
            vec![if off > 0 { format!("flows on: {on}, off: {off}") } else { format!("flows on: {on}") }];
        parts.push(match self.agenda.next() {
            Some((flow, next)) => {
                let next = next.max(self.place.clock.now()).to_zoned(self.config.settings.time_zone.clone());
                format!("{flow} runs next, {}", next.strftime("%Y-%m-%d %H:%M:%S %Z"))
            }
            None => "no flow is on".to_owned(),
        });
        if self.runs.count() > 0 {
            parts.push(format!("under way: {}", self.runs.count()));
        }
        if self.is_well == Some(false) {
            parts.push("something is wrong: leadflow health".to_owned());
        }
        parts.join("; ")
    }
}

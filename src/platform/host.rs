//! What this machine is called.

use std::fs;

/// As the system has it; `None` where it has no name, or does not tell it.
pub(crate) fn name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim().trim_end_matches('.');
    (!name.is_empty() && name != "(none)").then(|| name.to_owned())
}

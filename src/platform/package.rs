//! Where the Debian package keeps what is the service's.

use std::path::Path;

/// The folder of the packaged flows.toml.
const CONFIG: &str = "/etc/leadflow";
/// The state folder of the packaged service.
pub(crate) const STATE: &str = "/var/lib/leadflow";

/// Whether a flows.toml is the packaged service's.
pub(crate) fn is_of_package(file: &Path) -> bool {
    file.parent() == Some(Path::new(CONFIG))
}

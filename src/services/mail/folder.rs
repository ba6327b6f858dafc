//! A mail folder: one `.eml` a mail, for demos, tests and pick-up by other programs.

use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::{ConnectError, OutgoingMail, Receipt};
use crate::flow::FolderConnection;
use crate::platform::ownership::{self, Use};

/// A folder that takes mails.
#[derive(Debug)]
pub struct Folder {
    connection: FolderConnection,
}

impl Folder {
    /// Makes the folder if need be.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn open(connection: &FolderConnection) -> Result<Self, ConnectError> {
        let path = connection.path.display();
        ownership::Folder::make(&connection.path, 0o755, Use::Shared).map_err(|error| {
            let why = ownership::explained(&connection.path, &error);
            let help = "make it writable for this user, or name another `path`";
            ConnectError::new(format!("cannot make the mail folder {path}: {why}"), Some(help))
        })?;
        Ok(Self { connection: connection.clone() })
    }

    /// Writes the mail; it is on the disk, and complete, before it has its name. The name is
    /// the same for another try, and no other mail's.
    pub(super) async fn send(&self, mail: &OutgoingMail<'_>) -> Vec<Receipt> {
        let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(mail.bytes).into();
        let hash = u32::from_be_bytes([a, b, c, d]);
        let name = format!("{:06}-{hash:08x}.eml", mail.id);
        let path = self.connection.path.join(&name);
        let folder = self.connection.path.clone();
        let bytes = mail.bytes.to_vec();
        let writing = tokio::task::spawn_blocking(move || write(&folder, &name, &bytes)).await;
        let receipt = match writing.unwrap_or_else(|fault| Err(io::Error::other(fault))) {
            Ok(()) => Receipt::Accepted(format!("written to {}", path.display())),
            Err(error) => Receipt::Later(format!("cannot write {}: {error}", path.display())),
        };
        vec![receipt; mail.recipients.len()]
    }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    ownership::Folder::open(folder, Use::Shared)?.write(name, 0o600, bytes)
}

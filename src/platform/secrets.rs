//! Secrets come from the environment, a file or a systemd credential, never from flows.toml.

use std::path::{Path, PathBuf};
use std::{env, io};

use secrecy::{ExposeSecret as _, SecretString};

use crate::flow::SecretSource;
use crate::platform::blocking::blocking;
use crate::text::advice::Advice;
use crate::text::foreign;

/// Why a secret could not be read. The secret itself is never in it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is not set, or empty.
    #[error("the environment variable {0} is not set; export it, or set it in the service's environment")]
    NoVariable(String),
    /// The file cannot be read.
    #[error("cannot read the secret from {path}: {why}", path = .path.display(), why = crate::platform::ownership::explained(.path, .source))]
    NoFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The credential is not there.
    #[error(
        "the systemd credential `{0}` does not exist; add `LoadCredential={0}:/path/of/the/secret` to the unit, \
         or {put}", put = put(.0)
    )]
    NoCredential(String),
    /// The reading broke off.
    #[error("reading the secret did not finish; leadflow tries again")]
    Unread,
    /// It is there and empty.
    #[error("the secret from {0} is empty")]
    Empty(String),
}

/// What a command beside the service can find out about a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPresence {
    /// It is there.
    There,
    /// The service has it elsewhere, or only the service may read it.
    NotSeen,
    /// It is not there, and that may be as it should: a service that does not run has its encrypted credentials
    /// nowhere, and another machine has other folders.
    NotYet(MissingSecret),
    /// The service cannot have it.
    Missing(MissingSecret),
}

/// A secret that is not where it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingSecret {
    /// What is not there, and what to do.
    pub advice: Advice,
    /// The help is a line to type.
    pub is_typed: bool,
}

impl SecretPresence {
    fn missing(is_seen: bool, missing: MissingSecret) -> Self {
        if is_seen { Self::Missing(missing) } else { Self::NotYet(missing) }
    }
}

/// Where systemd keeps the credentials of the running service, for commands typed beside it.
const UNIT_CREDENTIALS: &str = "/run/credentials/leadflow.service";
/// Where the packaged unit takes its credentials from.
pub(crate) const OF_PACKAGE: &str = "/etc/leadflow/secrets";
/// What systemd sets before the names of the files that `LoadCredential=secrets:FOLDER` of the packaged unit
/// loads.
const OF_FOLDER: &str = "secrets_";

/// Whether a shell takes the name as it is.
fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// How a secret gets to where the packaged unit takes it from: a line to type where the name is plain. What runs
/// already takes it by itself.
fn put(name: &str) -> String {
    if is_plain(name) {
        format!("type: sudo sh -c 'umask 077; cat > {OF_PACKAGE}/{name}'  # paste the secret, Enter, Ctrl-D")
    } else {
        format!("put it into {OF_PACKAGE}/{name}")
    }
}

/// Checks for the secret as a user who need not be the service.
pub fn check(source: &SecretSource) -> SecretPresence {
    let Err(error) = read(source) else { return SecretPresence::There };
    let (help, is_typed) = match source {
        SecretSource::Env(_) => return SecretPresence::NotSeen,
        SecretSource::File(_) => {
            ("put the secret into it, or correct its path in flows.toml".to_owned(), false)
        }
        SecretSource::Credential(name) => (put(name), is_plain(name)),
    };
    let missing = |message: String| MissingSecret { advice: Advice::new(message).with_help(help), is_typed };
    match error {
        SecretError::NoFile { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            SecretPresence::NotSeen
        }
        SecretError::NoFile { path, source } if source.kind() == io::ErrorKind::NotFound => {
            let message = format!("the secret's file {} does not exist", path.display());
            // Without its folder this may be another machine than the service's.
            let is_seen = path.parent().is_some_and(Path::exists);
            SecretPresence::missing(is_seen, missing(message))
        }
        SecretError::NoCredential(name) => {
            let message = format!("the systemd credential `{name}` does not exist");
            let is_seen =
                env::var_os("CREDENTIALS_DIRECTORY").is_some() || Path::new(UNIT_CREDENTIALS).exists();
            SecretPresence::missing(is_seen, missing(message))
        }
        error => SecretPresence::Missing(missing(error.to_string())),
    }
}

/// Reads the secret, which no text of others repeats from then on.
///
/// # Errors
/// When it is not there, cannot be read, or is empty.
pub fn read(source: &SecretSource) -> Result<SecretString, SecretError> {
    let secret = read_unknown(source)?;
    foreign::know(&secret, foreign::Kind::Kept);
    Ok(secret)
}

fn read_unknown(source: &SecretSource) -> Result<SecretString, SecretError> {
    let text = match source {
        SecretSource::Env(name) => env::var(name).map_err(|_| SecretError::NoVariable(name.clone()))?,
        SecretSource::File(path) => {
            read_file(path).map_err(|source| SecretError::NoFile { path: path.clone(), source })?
        }
        SecretSource::Credential(name) => read_credential(name)?,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let text = text.strip_suffix('\n').map_or(text, |line| line.trim_end_matches('\r'));
    if text.is_empty() {
        return Err(SecretError::Empty(source.place()));
    }
    Ok(SecretString::from(text.to_owned()))
}

/// As [`read`], where a disk that hangs holds up nothing but who needs the secret.
///
/// # Errors
/// As [`read`].
pub(crate) async fn read_aside(source: &SecretSource) -> Result<SecretString, SecretError> {
    let source = source.clone();
    blocking(move || read(&source)).await.unwrap_or(Err(SecretError::Unread))
}

/// As [`read_aside`], of an address with a secret in it: nothing repeats the whole, and which part of it is secret says the
/// caller.
///
/// # Errors
/// As [`read`].
pub(crate) async fn read_address_aside(source: &SecretSource) -> Result<SecretString, SecretError> {
    let source = source.clone();
    let read = blocking(move || read_unknown(&source)).await.unwrap_or(Err(SecretError::Unread))?;
    foreign::know_whole(read.expose_secret(), foreign::Kind::Kept);
    Ok(read)
}

/// The files that it may be read from, the first one that is there.
pub(crate) fn files(source: &SecretSource) -> Vec<PathBuf> {
    match source {
        SecretSource::Env(_) => Vec::new(),
        SecretSource::File(path) => vec![path.clone()],
        SecretSource::Credential(name) => credential_files(name),
    }
}

/// More than any secret has.
const LARGEST: u64 = 1 << 20;

fn read_file(path: &Path) -> io::Result<String> {
    let bytes = crate::platform::ownership::read_plain(path, LARGEST)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// In the folder that systemd names, or, of a command beside the service, in the running unit's and where the packaged
/// unit takes them from.
fn credential_files(name: &str) -> Vec<PathBuf> {
    let given = env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let of_package = given.is_none().then(|| Path::new(OF_PACKAGE).join(name));
    let folders = given.into_iter().chain([PathBuf::from(UNIT_CREDENTIALS)]);
    let files = folders.flat_map(|folder| [folder.join(name), folder.join(format!("{OF_FOLDER}{name}"))]);
    files.chain(of_package).collect()
}

fn read_credential(name: &str) -> Result<String, SecretError> {
    for path in credential_files(name) {
        match read_file(&path) {
            Ok(text) => return Ok(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(SecretError::NoFile { path, source }),
        }
    }
    Err(SecretError::NoCredential(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;
    use std::fs;

    #[test]
    fn a_file_may_end_with_a_line_break_and_begin_with_a_mark() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, "s3cret \r\n").unwrap();
        let secret = read(&SecretSource::File(path.clone())).unwrap();
        assert_eq!(secret.expose_secret(), "s3cret ");
        // As Notepad writes it.
        fs::write(&path, "\u{feff}s3cret\r\n").unwrap();
        assert_eq!(read(&SecretSource::File(path.clone())).unwrap().expose_secret(), "s3cret");
        fs::write(&path, "\n").unwrap();
        assert!(matches!(read(&SecretSource::File(path)), Err(SecretError::Empty(_))));
    }

    #[test]
    fn says_where_it_looked() {
        let error = read(&SecretSource::Env("LEADFLOW_TEST_UNSET".into())).unwrap_err().to_string();
        assert!(error.contains("LEADFLOW_TEST_UNSET is not set"), "{error}");
        let error = read(&SecretSource::Credential("nowhere".into())).unwrap_err().to_string();
        assert!(error.contains("LoadCredential=nowhere:"), "{error}");
    }

    #[test]
    fn a_missing_credential_is_put_in_without_a_restart() {
        let error = SecretError::NoCredential("leads-storage".into()).to_string();
        let typed =
            "type: sudo sh -c 'umask 077; cat > /etc/leadflow/secrets/leads-storage'  # paste the secret";
        assert!(error.contains(typed), "{error}");
        assert!(!error.contains("restart"), "{error}");
        let odd = SecretError::NoCredential("a'; b".into()).to_string();
        assert!(!odd.contains("sudo"), "{odd}");
    }
}

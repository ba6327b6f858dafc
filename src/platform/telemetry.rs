//! The log: for people on a terminal, for the journal otherwise, or as JSON lines.

mod clean;

use std::io::{self, IsTerminal as _};

use tracing::{Level, warn};
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use clean::Clean;

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// With time and colours on a terminal; without either where the journal adds its own.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts the log on standard error. `level` is what `settings.log` says; `RUST_LOG` comes first.
///
/// # Errors
/// When there is a log already.
pub fn start(level: &str, format: Format) -> Result<(), TryInitError> {
    let asked = std::env::var("RUST_LOG").unwrap_or_default();
    let of_settings = || filter_of(level).unwrap_or_default();
    let (filter, wrong) = match asked.parse::<Targets>() {
        _ if asked.is_empty() => (of_settings(), None),
        Ok(filter) => (filter, None),
        Err(error) => (of_settings(), Some(error)),
    };
    // systemd says so where standard error goes to the journal, which has the time.
    let has_time = std::env::var_os("JOURNAL_STREAM").is_none();
    let has_color = has_time && format == Format::Text && io::stderr().is_terminal();
    // A log that nobody reads any more must not end the daemon, as its own complaint would.
    let builder = fmt().with_max_level(Level::TRACE).with_target(false);
    let builder = builder.with_writer(Clean { format, has_color });
    let builder = builder.log_internal_errors(false);
    match (format, has_time) {
        (Format::Json, _) => builder.json().flatten_event(true).finish().with(filter).try_init(),
        (Format::Text, true) => builder
            .compact()
            .fmt_fields(clean::fields())
            .with_ansi(has_color)
            .finish()
            .with(filter)
            .try_init(),
        (Format::Text, false) => builder
            .compact()
            .fmt_fields(clean::fields())
            .with_ansi(false)
            .without_time()
            .finish()
            .with(filter)
            .try_init(),
    }?;
    if let Some(error) = wrong {
        warn!("RUST_LOG is ignored: {error}; write it as `info` or `warn,leadflow=debug`");
    }
    Ok(())
}

/// The text without mail addresses: servers repeat them in their replies, and the log has no
/// personal data.
pub fn without_addresses(text: &str) -> String {
    let words = text.split(' ').map(|word| if word.contains('@') { "<…>" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// What `settings.log` asks for. A bare level is leadflow's own; the libraries below log their warnings
/// only.
///
/// # Errors
/// When a part is neither a level nor `TARGET=LEVEL`.
pub(crate) fn filter_of(level: &str) -> Result<Targets, ParseError> {
    let is_bare = !level.contains(['=', ',']);
    // Of a certificate that is not trusted leadflow logs itself, with what to do about it.
    let bare = || format!("warn,rustls_platform_verifier=off,leadflow={level}");
    let directives = if is_bare { bare() } else { level.to_owned() };
    directives.parse()
}

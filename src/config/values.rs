//! Values that several tables of flows.toml have: durations, zones, secrets, files.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use toml::Spanned;

use super::reader::Section;
use crate::secret::SecretSource;
use crate::time_zone;

/// Where relative paths lead.
pub(super) struct Folders {
    /// The folder of flows.toml.
    pub(super) config: PathBuf,
    /// The state folder: what is written lies here.
    pub(super) state: PathBuf,
}

impl Section<'_> {
    /// `"15 minutes"`, `"7 days"`.
    pub(super) fn duration(&self, key: &'static str) -> Option<SignedDuration> {
        let text = self.text(key)?;
        let span: Option<Span> = text.get_ref().parse().ok();
        let length = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
        let length = length.filter(|length| !length.is_negative());
        if length.is_none() {
            let message = format!("`{}` is no duration", text.get_ref());
            self.problems.error(
                text.span(),
                message,
                "write \"90 seconds\", \"15 minutes\", \"2 hours\" or \"7 days\"",
            );
        }
        length
    }

    pub(super) fn time_zone(&self, key: &'static str) -> Option<TimeZone> {
        let name = self.text(key)?;
        if let Ok(zone) = TimeZone::get(name.get_ref()) {
            if let Some((message, help)) = time_zone::surprise(name.get_ref()) {
                self.problems.note(name.span(), message, help);
            }
            return Some(zone);
        }
        let message = format!("`{}` is not a time zone", name.get_ref());
        self.problems.error(name.span(), message, time_zone::instead_of(name.get_ref()));
        None
    }

    /// `{ env = "…" }`, `{ file = "…" }` or `{ credential = "…" }`; a literal is refused.
    pub(super) fn secret(&self, key: &'static str, folders: &Folders) -> Option<SecretSource> {
        const HELP: &str =
            "write { env = \"NAME\" }, { file = \"/path\" } or { credential = \"name\" } (systemd)";
        if self.is_text(key) {
            let span = self.text(key)?.span();
            self.problems.error(span, format!("a secret must not stand in flows.toml: {key}"), HELP);
            return None;
        }
        let section = self.section(key)?;
        let sources: Vec<_> = [
            section.text("env").map(|name| SecretSource::Env(name.into_inner())),
            section.text("file").map(|path| SecretSource::File(folders.config.join(path.get_ref()))),
            section.text("credential").map(|name| SecretSource::Credential(name.into_inner())),
        ]
        .into_iter()
        .flatten()
        .collect();
        if sources.len() != 1 {
            section.problems.error(
                section.span(),
                format!("{key} needs exactly one place to read it from"),
                HELP,
            );
        }
        section.finish();
        sources.into_iter().next()
    }

    /// A file to read, beside flows.toml unless absolute.
    pub(super) fn file(&self, key: &'static str, folder: &Path) -> Option<PathBuf> {
        self.text(key).map(|path: Spanned<String>| folder.join(path.get_ref()))
    }
}

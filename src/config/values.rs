//! Values that several tables of flows.toml have: durations, zones, secrets, files.

use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use toml::Spanned;

use super::reader::Section;
use crate::flow::SecretSource;
use crate::platform::authorities;
use crate::platform::ownership::{Reader, Refusal};
use crate::platform::package;
use crate::platform::secrets;
use crate::schedule::time_zone;
use crate::text::advice::Advice;

/// Where relative paths lead.
pub(super) struct Folders {
    /// The folder of flows.toml.
    pub(super) config: PathBuf,
    /// The state folder: what is written lies here.
    pub(super) state: PathBuf,
    /// Who is to read the files that are named, where that is another who asks.
    pub(super) service: Option<Reader>,
    /// Files that runs read later are checked.
    pub(super) is_check: bool,
}

impl Folders {
    /// How a secret gets to the service where it cannot read it.
    fn instead_of_secret(&self, path: &Path, _: &Refusal) -> String {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let there = path.display();
        let place = Path::new(secrets::OF_PACKAGE).join(&*name);
        if !self.service.as_ref().is_some_and(Reader::is_of_package) {
            return format!(
                "write {{ credential = \"{name}\" }}, and add LoadCredential={name}:{there} to the \
                 service's unit"
            );
        }
        if path == place {
            return format!("write {{ credential = \"{name}\" }}: the service gets a copy when it starts");
        }
        format!(
            "type: sudo install -m 600 {there} {}, and write {{ credential = \"{name}\" }}",
            place.display()
        )
    }

    fn instead_of_authority(&self, path: &Path, refusal: &Refusal) -> String {
        self.instead_of_public("ca_file", path, refusal)
    }

    fn instead_of_certificate(&self, path: &Path, refusal: &Refusal) -> String {
        self.instead_of_public("certificate", path, refusal)
    }

    /// How a file that is not a secret gets to the service where it cannot read it.
    fn instead_of_public(&self, key: &str, path: &Path, refusal: &Refusal) -> String {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let place = self.config.join(&*name);
        if let Some(shut) = refusal.shut.as_ref().filter(|_| path == place) {
            return format!("it is not a secret: type sudo chmod a+rX {}", shut.display());
        }
        format!(
            "it is not a secret: type sudo install -m 644 {} {}, and write {key} = \"{name}\"",
            path.display(),
            place.display()
        )
    }
}

/// How a secret that is written in the packaged service's file gets out of it, under the name that the guides use.
fn of_package(section: &str, key: &str, folders: &Folders) -> Option<String> {
    let name = match key {
        "password" if section == "settings.postgres" => "postgres-password",
        "key" => "page-key",
        "url" => "postgres-url",
        "password" => "smtp-password",
        "client_secret" => "entra-secret",
        "sas" => "leads-sas",
        _ => "leads-storage",
    };
    let place = Path::new(secrets::OF_PACKAGE).join(name);
    package::is_of_package(&folders.config.join("flows.toml"))
        .then(|| format!("write {{ credential = \"{name}\" }} and put the text into {}", place.display()))
}

impl Section<'_> {
    /// `"15 minutes"`, `"7 days"`.
    pub(super) fn duration(&self, key: &'static str) -> Option<SignedDuration> {
        let text = self.text(key)?;
        let span: Option<Span> = text.get_ref().parse().ok();
        let length = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
        let length = length.filter(|length| !length.is_negative());
        if length.is_none() {
            let message = format!("`{}` is not a valid duration", text.get_ref());
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
        let message = format!("`{}` is not a valid time zone", name.get_ref());
        self.problems.error(name.span(), message, time_zone::instead_of(name.get_ref()));
        None
    }

    /// `{ env = "…" }`, `{ file = "…" }` or `{ credential = "…" }`; a literal is refused.
    pub(super) fn secret(&self, key: &'static str, folders: &Folders) -> Option<SecretSource> {
        const HELP: &str =
            "write { env = \"NAME\" }, { file = \"/path\" } or { credential = \"name\" } (systemd)";
        if self.is_text(key) {
            let span = self.text(key)?.span();
            let help = of_package(&self.name, key, folders).unwrap_or_else(|| HELP.to_owned());
            self.problems.error(span, format!("a secret must not be in flows.toml: `{key}`"), help);
            return None;
        }
        let section = self.section(key)?;
        let env = section.text("env").map(|name| SecretSource::Env(name.into_inner()));
        let file = section.text("file").map(|path| (path.span(), folders.config.join(path.get_ref())));
        if let Some((span, path)) = &file {
            section.readable(span.clone(), path, folders, &Folders::instead_of_secret);
        }
        let sources: Vec<_> = [
            env,
            file.map(|(_, path)| SecretSource::File(path)),
            section.text("credential").map(|name| SecretSource::Credential(name.into_inner())),
        ]
        .into_iter()
        .flatten()
        .collect();
        if sources.len() != 1 {
            section.problems.error(
                section.span(),
                format!("`{key}` needs exactly one place to read it from"),
                HELP,
            );
        }
        section.finish();
        sources.into_iter().next()
    }

    /// The certificates of one's own authorities.
    pub(super) fn ca_file(&self, folders: &Folders) -> Option<PathBuf> {
        let path = self.file("ca_file", &folders.config)?;
        let span = self.span_of("ca_file")?;
        let is_readable = self.readable(span.clone(), &path, folders, &Folders::instead_of_authority);
        if folders.is_check
            && is_readable
            && let Err(Advice { message, help }) = authorities::read(&path)
        {
            self.problems.error(span, message, help.unwrap_or_default());
        }
        Some(path)
    }

    /// A certificate of one's own, with its chain.
    pub(super) fn certificate(&self, key: &'static str, folders: &Folders) -> Option<PathBuf> {
        let path = self.file(key, &folders.config)?;
        let span = self.span_of(key)?;
        self.readable(span, &path, folders, &Folders::instead_of_certificate);
        Some(path)
    }

    /// Says so when the service cannot read a file; returns whether it can, as far as is known.
    fn readable(
        &self,
        span: Range<usize>,
        path: &Path,
        folders: &Folders,
        instead: &dyn Fn(&Folders, &Path, &Refusal) -> String,
    ) -> bool {
        let refusal = folders.service.as_ref().and_then(|service| service.refusal(path));
        if let Some(refusal) = &refusal {
            let message = format!("the service cannot read {}: {}", path.display(), refusal.why);
            self.problems.error(span, message, instead(folders, path, refusal));
        }
        refusal.is_none()
    }

    /// A file to read, beside flows.toml unless absolute.
    pub(super) fn file(&self, key: &'static str, folder: &Path) -> Option<PathBuf> {
        self.text(key).map(|path: Spanned<String>| folder.join(path.get_ref()))
    }
}

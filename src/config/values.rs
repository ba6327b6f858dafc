//! Values that several tables of flows.toml have: durations, zones, addresses, secrets, files.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use lettre::message::Mailbox;
use toml::Spanned;
use windows_timezones::WindowsTimezone;

use super::reader::{Section, did_you_mean};
use crate::secret::SecretSource;

/// Characters of a name before an address: with it, the address stays on one line of a mail.
const LONGEST_NAME: usize = 200;

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
            return Some(zone);
        }
        let help = if let Ok(windows) = name.get_ref().parse::<WindowsTimezone>() {
            format!("this is Windows' name; write the IANA name \"{}\"", windows.tzdb_id())
        } else {
            let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            format!(
                "{}write an IANA name as \"Europe/Paris\" or \"Asia/Seoul\"",
                did_you_mean(name.get_ref(), &names)
            )
        };
        self.problems.error(name.span(), format!("`{}` is no time zone", name.get_ref()), help);
        None
    }

    /// Addresses: a list of texts, or one text with `;` between them.
    pub(super) fn addresses(&self, key: &'static str) -> Vec<Mailbox> {
        let mut found: Vec<Mailbox> = Vec::new();
        let texts = self.texts(key);
        // A quoted name may hold a `;`, and in a list nothing needs to be parted.
        let separator = if self.is_list(key) { '\n' } else { ';' };
        let parts = |text: &str| text.split(separator).map(str::trim).filter(|part| !part.is_empty()).count();
        if !texts.is_empty() && texts.iter().all(|text| parts(text.get_ref()) == 0) {
            self.problems.error(
                texts[0].span(),
                format!("{key} names nobody"),
                "write an address, or leave it out",
            );
        }
        for text in texts {
            for part in text.get_ref().split(separator).map(str::trim).filter(|part| !part.is_empty()) {
                let Some(mailbox) = self.mailbox(part, text.span()) else { continue };
                if found.iter().any(|other| other.email == mailbox.email) {
                    let message = format!("{} stands twice in {key}", mailbox.email);
                    self.problems.warn(text.span(), message, "one copy is sent");
                } else {
                    found.push(mailbox);
                }
            }
        }
        found
    }

    /// One address.
    pub(super) fn address(&self, key: &'static str) -> Option<Mailbox> {
        let text = self.text(key)?;
        self.mailbox(text.get_ref().trim(), text.span())
    }

    fn mailbox(&self, text: &str, span: std::ops::Range<usize>) -> Option<Mailbox> {
        let wrong = |message: String, help: &str| {
            self.problems.error(span.clone(), message, help);
            None
        };
        // The mail builder panics on line breaks in a name.
        if text.chars().any(char::is_control) {
            return wrong("an address holds a control character".to_owned(), "take it out");
        }
        let Some(mailbox) = in_ascii(text).parse::<Mailbox>().ok() else {
            let help = "write \"sales@contoso.example\" or \"Sales <sales@contoso.example>\"; several in a list, or with ; between them";
            return wrong(format!("`{text}` is no mail address"), help);
        };
        if !mailbox.email.to_string().is_ascii() {
            return wrong(
                format!("`{text}` has letters before the @ that not every mail server takes"),
                "use an address in ASCII",
            );
        }
        if let Some(length) =
            mailbox.name.as_ref().map(|name| name.chars().count()).filter(|length| *length > LONGEST_NAME)
        {
            let message = format!("the name before {} has {length} characters", mailbox.email);
            return wrong(message, &format!("write at most {LONGEST_NAME}"));
        }
        Some(mailbox)
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

/// The address of one recipient as a person types it, alone or with a name before it.
pub fn address_of(text: &str) -> Option<String> {
    let is_clean = !text.chars().any(char::is_control);
    let mailbox = in_ascii(text.trim()).parse::<Mailbox>().ok().filter(|_| is_clean)?;
    Some(mailbox.email.to_string()).filter(|address| address.is_ascii())
}

/// A domain in other letters becomes punycode.
fn in_ascii(text: &str) -> String {
    let Some((before, domain)) = text.rsplit_once('@') else { return text.to_owned() };
    let (domain, after) = domain.split_at(domain.find('>').unwrap_or(domain.len()));
    match url::Host::parse(domain) {
        Ok(host) if !domain.is_ascii() => format!("{before}@{host}{after}"),
        _ => text.to_owned(),
    }
}

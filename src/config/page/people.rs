//! `[settings.page.users.NAME]` and `[settings.page.tokens.NAME]`.

use std::collections::BTreeMap;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use toml::Spanned;

use super::ROLES;
use crate::config::reader::Section;
use crate::config::values::Folders;
use crate::flow::{PageToken, PageUser, PasswordHash, Role};
use crate::platform::clock::Clock;
use crate::platform::passwords;

/// Those of a file by their names.
pub(super) struct People<T> {
    /// Those without a mistake.
    pub(super) whole: BTreeMap<String, T>,
    /// There are some, maybe with mistakes.
    pub(super) is_written: bool,
}

/// Who signs in. The proxy may name them; without it each has a password.
pub(super) fn users(section: &Section<'_>, folders: &Folders, is_named_by_proxy: bool) -> People<PageUser> {
    read(section, "users", |_, section| {
        let password = password(&section, folders);
        let role = role(&section);
        if !section.has("password") && !is_named_by_proxy {
            section.missing("password", "type `leadflow page password`, and write the line that it prints");
        }
        let is_whole = password.is_some() || !section.has("password");
        section.finish();
        Some(PageUser { password, role: role? }).filter(|_| is_whole)
    })
}

/// Which programs may use the API.
pub(super) fn tokens(section: &Section<'_>, zone: &TimeZone) -> People<PageToken> {
    read(section, "tokens", |name, section| {
        let hash = hash(&section, name);
        let role = role(&section);
        let until = section.written_moment("until").map(|written| until(&section, name, &written, zone));
        section.finish();
        Some(PageToken {
            hash: hash?,
            role: role?,
            until: match until {
                Some(until) => Some(until?),
                None => None,
            },
        })
    })
}

fn read<T>(
    section: &Section<'_>,
    key: &'static str,
    one: impl Fn(&str, Section<'_>) -> Option<T>,
) -> People<T> {
    let sections = section.sections(key);
    let is_written = !sections.is_empty();
    let mut whole = BTreeMap::new();
    for (name, inner) in sections {
        if !passwords::is_name(name.get_ref()) {
            let message = format!("`{}` is not a valid name in [settings.page.{key}]", name.get_ref());
            section.problems.error(name.span(), message, passwords::NAMES);
        }
        if let Some(found) = one(name.get_ref(), inner) {
            whole.insert(name.into_inner(), found);
        }
    }
    People { whole, is_written }
}

fn role(section: &Section<'_>) -> Option<Role> {
    if !section.has("role") {
        section.missing(
            "role",
            "write role = \"view\", or role = \"operate\" for who may run flows and turn them off",
        );
    }
    section.choice("role", &ROLES)
}

/// The hash, or where it is. What is not a hash may be the password itself, and is not repeated.
fn password(section: &Section<'_>, folders: &Folders) -> Option<PasswordHash> {
    if !section.is_text("password") {
        return section.secret("password", folders).map(PasswordHash::At);
    }
    let written = section.text("password")?;
    if let Err(reason) = passwords::is_hash(written.get_ref()) {
        let help = "type `leadflow page password`, and write the line that it prints; a password itself must not be in flows.toml";
        section.problems.error(
            written.span(),
            format!("`password` is not a hash that can be used: {reason}"),
            help,
        );
        return None;
    }
    Some(PasswordHash::Here(written.into_inner()))
}

/// The hash of a token. What is not a hash may be the token itself, and is not repeated.
fn hash(section: &Section<'_>, name: &str) -> Option<[u8; 32]> {
    let command = format!("leadflow page token {name} --role view");
    let Some(written) = section.text("hash") else {
        if !section.has("hash") {
            section.missing("hash", &format!("type `{command}`, and write the lines that it prints"));
        }
        return None;
    };
    let found = passwords::parse_token_hash(written.get_ref());
    if found.is_none() && written.get_ref().starts_with(passwords::TOKEN_START) {
        let help = format!(
            "everybody who has read the file has it: make another one, {command}, and write the hash that it prints"
        );
        section.problems.error(written.span(), "`hash` has the token itself", help);
    } else if found.is_none() {
        let help = format!("write \"sha256:\" and 64 hexadecimal digits, as `{command}` prints them");
        section.problems.error(written.span(), "`hash` is not the hash of a token", help);
    }
    found
}

fn until(section: &Section<'_>, name: &str, written: &Spanned<String>, zone: &TimeZone) -> Option<Timestamp> {
    let text = written.get_ref();
    let in_zone = |at: DateTime| at.to_zoned(zone.clone()).ok().map(|at: Zoned| at.timestamp());
    let day = || text.parse::<Date>().ok().and_then(|day| in_zone(day.to_datetime(Time::midnight())));
    let local = || text.parse::<DateTime>().ok().and_then(in_zone);
    let found = text.parse::<Timestamp>().ok().or_else(local).or_else(day);
    match found {
        None => {
            let help =
                "write until = \"2027-06-01\", in `time_zone` of [settings], or \"2027-06-01T08:00:00Z\"";
            section.problems.error(written.span(), format!("`{text}` is not a valid date or time"), help);
        }
        Some(until) if until <= Clock::System.now() => {
            let help = format!("remove it, or make another one: leadflow page token {name} --role view");
            section.problems.warn(written.span(), format!("the token `{name}` has expired"), help);
        }
        Some(_) => {}
    }
    found
}

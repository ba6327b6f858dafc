//! `leadflow page token`.

use std::process::ExitCode;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use leadflow::flow::Role;
use leadflow::platform::clock::Clock;
use leadflow::platform::passwords;
use leadflow::views::page::NewTokenView;

use super::RoleArgument;
use crate::cli::{Usage, moment, output};

/// How long a token is good unless said.
const DAYS: u32 = 365;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which program uses it: its name in flows.toml
    #[arg(value_parser = super::name)]
    name: String,
    /// What the program may
    #[arg(long)]
    role: RoleArgument,
    /// When it ends: a date in `time_zone` of flows.toml, or a time such as 2027-06-01T08:00:00Z
    /// [default: in a year]
    #[arg(long, value_name = "DATE", conflicts_with = "days")]
    until: Option<String>,
    /// After how many days it ends
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3_650))]
    days: Option<u32>,
    /// Print JSON, token included
    #[arg(long)]
    json: bool,
}

pub(super) fn token(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let until = until(arguments, Clock::System.now())?;
    let (token, hash) = passwords::new_token()?;
    let hash = passwords::token_hash_text(&hash);
    let role = Role::from(arguments.role).as_str();
    if arguments.json {
        let (name, role) = (arguments.name.clone(), role.to_owned());
        output::print_json(&NewTokenView { name, token, hash, role, until })?;
        return Ok(ExitCode::SUCCESS);
    }
    let table = super::table("tokens", &arguments.name);
    output::eprint(&format!(
        "for flows.toml:\n\n{table}\nhash = \"{hash}\"\nrole = \"{role}\"\nuntil = \"{until}\"\n\nfor the program, shown this \
         once (Authorization: Bearer …):\n"
    ));
    output::print(&token)?;
    Ok(ExitCode::SUCCESS)
}

/// As it is written in flows.toml.
fn until(arguments: &Arguments, now: Timestamp) -> Result<String, Usage> {
    let Some(text) = &arguments.until else {
        let days = i64::from(arguments.days.unwrap_or(DAYS));
        let ends = now.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MAX);
        return Ok(in_seconds(ends));
    };
    let ends = moment::parse(text, &TimeZone::UTC, now)?;
    if ends <= now {
        return Err(Usage(format!("`{text}` is not in the future")));
    }
    let is_date = text.trim().parse::<Date>().is_ok() && !text.contains(':');
    Ok(if is_date { text.trim().to_owned() } else { in_seconds(ends) })
}

fn in_seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_stays_one_and_a_time_gets_its_offset() {
        let now = "2026-11-24T03:00:00.5Z".parse().unwrap();
        let asked = |until: Option<&str>, days| {
            let until = until.map(str::to_owned);
            let arguments =
                Arguments { name: "ci".to_owned(), role: RoleArgument::View, until, days, json: false };
            super::until(&arguments, now).ok()
        };
        for (until, days, expected) in [
            (None, None, Some("2027-11-24T03:00:00Z")),
            (None, Some(30), Some("2026-12-24T03:00:00Z")),
            (Some("2027-06-01"), None, Some("2027-06-01")),
            (Some("2027-06-01T08:00+02:00"), None, Some("2027-06-01T06:00:00Z")),
            (Some("2026-11-24"), None, None),
            (Some("3 days"), None, None),
            (Some("soon"), None, None),
        ] {
            assert_eq!(asked(until, days).as_deref(), expected, "{until:?} {days:?}");
        }
    }
}

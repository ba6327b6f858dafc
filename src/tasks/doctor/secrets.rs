//! Whether the secrets of the connections that are used are there, as far as the one who asks can see.

use std::collections::BTreeSet;

use super::{Finding, Verdict, Visit, used_mails};
use crate::flow::{Config, PageSettings, SecretSource};
use crate::platform::secrets;
use crate::platform::secrets::{MissingSecret, SecretPresence};

/// Adds what is not there. What only the service can see is one line.
pub(super) fn check(config: &Config, found: &mut Vec<Finding>) {
    let tables: BTreeSet<&String> = config.flows.values().map(|flow| &flow.table.connection).collect();
    let tables = config.tables.iter().filter(|(name, _)| tables.contains(name));
    let of = |name: &String| format!("connection {name}");
    let of_tables = tables.filter_map(|(name, table)| Some((of(name), table.secret()?)));
    let of_mails = used_mails(config).filter_map(|(name, mail)| Some((of(name), mail.secret()?)));
    let state = config.settings.postgres.iter();
    let of_state = state.filter_map(|state| Some(("settings.postgres".to_owned(), state.secret()?)));
    report(of_tables.chain(of_mails).chain(of_state).chain(of_page(config)), found);
}

/// As [`check`], of the secrets of the page alone.
pub(super) fn check_page(config: &Config, found: &mut Vec<Finding>) {
    report(of_page(config), found);
}

fn of_page(config: &Config) -> impl Iterator<Item = (String, &SecretSource)> {
    let secrets = config.settings.page.iter().flat_map(PageSettings::secrets);
    secrets.map(|source| ("settings.page".to_owned(), source))
}

fn report<'a>(sources: impl Iterator<Item = (String, &'a SecretSource)>, found: &mut Vec<Finding>) {
    let mut not_seen = BTreeSet::new();
    for (about, source) in sources {
        let (verdict, missing) = match secrets::check(source) {
            SecretPresence::There => continue,
            SecretPresence::NotSeen => {
                not_seen.insert(source.place());
                continue;
            }
            SecretPresence::NotYet(missing) => (Verdict::Open, missing),
            SecretPresence::Missing(missing) => (Verdict::Wrong, missing),
        };
        let MissingSecret { advice, is_typed } = missing;
        found.push(Finding { about, verdict, advice, is_typed });
    }
    if !not_seen.is_empty() {
        let places: Vec<String> = not_seen.into_iter().collect();
        let mut visit = Visit { about: "secrets".to_owned(), found };
        let help = "run `leadflow check --online` where they can be read to sign in with them".to_owned();
        visit.add(Verdict::Open, format!("not checked: {}", places.join(", ")), Some(help));
    }
}

use std::fmt::Write as _;
use std::path::Path;

use super::*;

/// A whole file with one flow, to be spoilt.
pub(super) const WHOLE: &str = r#"
[settings]
time_zone = "Asia/Seoul"

[connections.marketplace.azure_table]
connection_string = { env = "LEADS_STORAGE" }

[connections.relay.smtp]
host = "smtp.contoso.example"
from = "Leads <leads@contoso.example>"
login = { username = "leads", password = { file = "password" } }

[flows.leads.recurrence]
frequency = "hour"

[flows.leads.table]
connection = "marketplace"
name = "marketplaceleads"
filter = "Timestamp gt datetime'{{past_time}}'"

[flows.leads.email]
connection = "relay"
to = "sales@contoso.example; Partners <partners@contoso.example>"
template = "marketplace-leads"
"#;

fn parsed(text: &str) -> Result<Loaded, Report> {
    parse(Path::new("/etc/leadflow/flows.toml"), "flows.toml", text)
}

/// The problems of the file after a replacement, as `line:column message | help`.
fn problems(from: &str, to: &str) -> String {
    assert!(WHOLE.contains(from), "{from}");
    let found = match parsed(&WHOLE.replacen(from, to, 1)) {
        Ok(loaded) => loaded.warnings,
        Err(report) => report.problems,
    };
    let mut text = String::new();
    for problem in found {
        let (line, column) = problem.place().1.unwrap_or_default();
        let _ = writeln!(text, "{line}:{column} {} | {}", problem.message, problem.help.unwrap_or_default());
    }
    text
}

#[test]
fn a_whole_file_becomes_values_with_defaults() {
    use crate::flow::SecretSource;
    use crate::flow::{AzureLogin, MailConnection, Security, TableConnection};

    let loaded = parsed(WHOLE).unwrap();
    assert!(loaded.warnings.iter().all(|problem| problem.level == Level::Note), "{:?}", loaded.warnings);
    let config = loaded.config;
    assert_eq!(config.settings.state, Path::new("/etc/leadflow/state"));
    let TableConnection::Azure(azure) = &config.tables["marketplace"] else { panic!("no Azure table") };
    assert_eq!(azure.login, AzureLogin::ConnectionString(SecretSource::Env("LEADS_STORAGE".into())));
    let MailConnection::Smtp(smtp) = &config.mails["relay"] else { panic!("no SMTP server") };
    assert_eq!((smtp.port, smtp.security, smtp.per_minute), (587, Security::StartTls, 30));
    let crate::flow::SmtpCredential::Password(password) = &smtp.login.as_ref().unwrap().credential else {
        panic!("no password")
    };
    assert_eq!(password, &SecretSource::File("/etc/leadflow/password".into()));
    let flow = &config.flows["leads"];
    assert_eq!((flow.recurrence.to_string().as_str(), flow.window.length.as_hours()), ("every hour", 1));
    assert_eq!(flow.email.to.len(), 2);
    assert!(flow.enabled && flow.catch_up && flow.table.covering);
}

#[test]
fn the_file_of_the_repository_is_whole() {
    let loaded = load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/flows.toml"))).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn every_problem_has_its_place_and_remedy() {
    let mut all = String::new();
    for (from, to) in [
        ("frequency =", "frequenzy ="),
        ("\"hour\"", "\"hours\""),
        ("Asia/Seoul", "Korea Standard Time"),
        ("Asia/Seoul", "Asia/Soul"),
        ("connection = \"relay\"", "connection = \"rely\""),
        ("connection = \"marketplace\"", "connection = \"relay\""),
        ("gt datetime", "> datetime"),
        ("Timestamp gt", "Seen gt"),
        ("sales@contoso.example;", "sales@;"),
        ("Partners <partners@contoso.example>", "sales@contoso.example"),
        ("marketplace-leads\"", "market-leads\""),
        ("frequency = \"hour\"", "cron = \"0 25 * * *\""),
        ("host =", "security = \"none\"\nhost ="),
        ("[connections.relay.smtp]", "[connections.relay.graph]"),
        ("[flows.leads.email]", "[flows.leads.mail]"),
        ("frequency = \"hour\"", "frequency = "),
        ("to = \"sales@contoso.example", "to = \"sales@contoso.example\"\ntemplat = \"x"),
        ("template =", "csv = {}\ntemplate ="),
        (
            "[flows.leads.table]",
            "hours = [8]\nstart_time = \"2026-01-05T08:00:00Z\"\n[flows.leads.window]\nunit = \"minute\"\ninterval = \
             5\nmode = \"fixed\"\n[flows.leads.table]",
        ),
        (
            "template = \"marketplace-leads\"",
            "subject = \"{{lenght}}\"\nbody = \"{{shout length}}{{> footer}}\"",
        ),
        ("[flows.leads.recurrence]", "[flows.\"a b\"]\n[flows.leads.recurrence]"),
        (
            "[connections.relay.smtp]",
            "[connections.other.azure_table]\naccount = \"contoso\"\n[connections.relay.smtp]",
        ),
    ] {
        let _ = writeln!(all, "{from} → {to}\n{}", problems(from, to));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_name_before_an_address_has_its_bound() {
    let named = |length: usize| problems("Partners <", &format!("{} <", "n".repeat(length)));
    assert!(!named(200).contains("characters"), "{}", named(200));
    let expected = "the name before partners@contoso.example has 201 characters | use at most 200";
    assert!(named(201).contains(expected), "{}", named(201));
}

#[test]
fn a_literal_secret_is_refused_and_not_shown() {
    let text = WHOLE.replace("{ file = \"password\" }", "\"canary-password\"");
    let text = text.replace("{ env = \"LEADS_STORAGE\" }", "\"AccountName=contoso;AccountKey=canary-key==\"");
    let report = parsed(&text).unwrap_err();
    let shown = report.shown(false, 100);
    assert_eq!(report.problems.len(), 2, "{shown}");
    assert!(shown.contains("a secret must not be in flows.toml: `password`"), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");
    let helps: Vec<_> = report.problems.iter().filter_map(|problem| problem.help.as_deref()).collect();
    let way = |name: &str| {
        format!("write {{ credential = \"{name}\" }} and put the text into /etc/leadflow/secrets/{name}")
    };
    assert_eq!(helps, [way("leads-storage"), way("smtp-password")]);
    let elsewhere = parse(Path::new("/srv/flows.toml"), "flows.toml", &text).unwrap_err();
    let help = elsewhere.problems[0].help.as_deref().unwrap();
    assert!(help.starts_with("write { env = \"NAME\" }"), "{help}");
}

#[test]
fn a_database_is_named_by_a_url_or_by_its_parts() {
    use crate::flow::{PostgresCredential, PostgresServer, SecretSource};

    let database = |lines: &str| {
        let text = WHOLE.replacen("[connections", &format!("[settings.postgres]\n{lines}\n[connections"), 1);
        parsed(&text).unwrap().config.settings.postgres.clone().unwrap()
    };
    let by_url = database("url = { file = \"url\" }\nnode = \"vm-1\"");
    assert_eq!(by_url.server, PostgresServer::Url(SecretSource::File("/etc/leadflow/url".into())));
    assert_eq!(by_url.node, "vm-1");
    let by_parts = database("host = \"/run/postgresql\"\ndatabase = \"d\"\nuser = \"u\"");
    let PostgresServer::Named { port, credential, .. } = by_parts.server else { panic!("{by_parts:?}") };
    assert_eq!((port, credential), (5432, PostgresCredential::None));
    assert!(!by_parts.node.is_empty(), "the machine's name");
    let entra = "host = \"db.example\"\nport = 6432\ndatabase = \"d\"\nuser = \"u\"\nentra = { managed_identity = true }";
    let PostgresServer::Named { host, port, credential, .. } = database(entra).server else { panic!() };
    assert_eq!((host.as_str(), port), ("db.example", 6432));
    assert!(matches!(credential, PostgresCredential::Entra(_)));
}

#[test]
fn the_digest_tells_files_apart_but_not_machines() {
    let digest = |text: &str| parsed(text).unwrap().config.digest.clone();
    let of_machine = |lines: &str| {
        digest(&WHOLE.replacen("[connections", &format!("[settings.postgres]\n{lines}\n[connections"), 1))
    };
    let by_url = of_machine("url = { file = \"url\" }\nnode = \"vm-1\" # the first");
    assert_eq!(by_url, of_machine("url = { file = \"url\" }\nnode = \"another\""));
    let signs_in =
        "host = \"db.example\"\ndatabase = \"d\"\nuser = \"vm-2\"\nentra = { managed_identity = true }";
    assert_eq!(by_url, of_machine(signs_in));
    let with_page = WHOLE.replacen("[connections", "[settings.page]\nlisten = \"[::1]:80\"\n[connections", 1);
    assert_eq!(digest(WHOLE), digest(&with_page));
    assert_eq!(digest(WHOLE), digest(&format!("# By Ana.\n{WHOLE}")));
    assert_ne!(digest(WHOLE), digest(&WHOLE.replacen("hour", "day", 1)));
    assert_eq!(digest(WHOLE).len(), 16);
}

#[test]
fn a_file_whose_database_is_not_named_whole_names_no_folder_instead() {
    let text = WHOLE.replacen("[connections", "[settings.postgres]\nhost = \"db.example\"\n[connections", 1);
    let place =
        |text: &str| parse_anyway(Path::new("/etc/leadflow/flows.toml"), "flows.toml", text, Purpose::Use).1;
    assert_eq!(place(&text), StatePlace::Unreadable);
    assert_eq!(place(WHOLE), StatePlace::Named);
    assert_eq!(place(&format!("{WHOLE}\nx = ")), StatePlace::Unsure);
}

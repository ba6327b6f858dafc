use std::path::PathBuf;

use super::*;
use crate::rows::row::RowVersion;
use crate::schedule::recurrence::Frequency;
use crate::template::{Source, Sources};
use crate::testing::{self, FlowBuilder, every};

fn env(name: &str) -> SecretSource {
    SecretSource::Env(name.to_owned())
}

fn application() -> Entra {
    let identity = Identity::Application {
        tenant_id: "contoso.example".to_owned(),
        client_id: "4711".to_owned(),
        secret: env("APPLICATION"),
    };
    Entra::new(identity, Cloud::Public)
}

fn managed() -> Entra {
    Entra::new(Identity::Managed { client_id: None }, Cloud::Public)
}

fn azure(login: AzureLogin) -> TableConnection {
    TableConnection::Azure(AzureConnection {
        login,
        ca_file: Some("/etc/table.pem".into()),
        cloud: Cloud::Public,
    })
}

fn smtp(credential: Option<SmtpCredential>) -> SmtpConnection {
    SmtpConnection {
        host: "mail.example".to_owned(),
        port: 587,
        security: Security::StartTls,
        from: Mailbox::bare("leads@contoso.example"),
        login: credential.map(|credential| Login { username: "leads".to_owned(), credential }),
        ca_file: Some("/etc/mail.pem".into()),
        per_minute: 30,
        helo: None,
    }
}

fn graph(entra: Entra) -> MailConnection {
    MailConnection::Graph(GraphConnection {
        mailbox: Mailbox::bare("g@contoso.example"),
        entra,
        per_minute: 20,
    })
}

#[test]
fn a_connection_to_a_table_has_the_secret_of_its_login() {
    let account = String::new;
    let of = |login| azure(login).secret().map(SecretSource::place);
    let named = |name: &str| Some(format!("the environment variable {name}"));
    assert_eq!(of(AzureLogin::ConnectionString(env("STRING"))), named("STRING"));
    assert_eq!(of(AzureLogin::SharedKey { account: account(), key: env("KEY") }), named("KEY"));
    assert_eq!(of(AzureLogin::Sas { account: account(), sas: env("SAS") }), named("SAS"));
    let by_entra = |entra| AzureLogin::Entra { account: account(), entra };
    assert_eq!(of(by_entra(application())), named("APPLICATION"));
    assert_eq!(of(by_entra(managed())), None);
    assert_eq!(TableConnection::Embedded { file: "/t.db".into() }.secret(), None);
    assert_eq!(by_entra(managed()).entra(), Some(&managed()));
    assert_eq!(AzureLogin::ConnectionString(env("STRING")).entra(), None);
}

#[test]
fn a_mail_connection_has_its_own_secret_identity_and_pace() {
    let by_smtp = |credential| MailConnection::Smtp(smtp(credential));
    let folder = FolderConnection { path: "/mail".into(), from: Mailbox::bare("f@contoso.example") };
    let password = env("PASSWORD");
    let of_application = Some(env("APPLICATION"));
    for (connection, secret, entra, per_minute) in [
        (by_smtp(None), None, None, Some(30)),
        (by_smtp(Some(SmtpCredential::Password(password.clone()))), Some(password), None, Some(30)),
        (
            by_smtp(Some(SmtpCredential::OAuth(application()))),
            of_application.clone(),
            Some(application()),
            Some(30),
        ),
        (graph(application()), of_application, Some(application()), Some(20)),
        (graph(managed()), None, Some(managed()), Some(20)),
        (MailConnection::Folder(folder), None, None, None),
    ] {
        let found = (connection.secret(), connection.entra(), connection.per_minute());
        assert_eq!(found, (secret.as_ref(), entra.as_ref(), per_minute), "{connection:?}");
    }
}

#[test]
fn the_secrets_and_authorities_of_a_file_are_those_of_all_its_connections() {
    let mut config = testing::config([]);
    config.tables.insert("azure".to_owned(), azure(AzureLogin::ConnectionString(env("STRING"))));
    config.mails.insert("graph".to_owned(), graph(application()));
    let password = SmtpCredential::Password(env("PASSWORD"));
    config.mails.insert("smtp".to_owned(), MailConnection::Smtp(smtp(Some(password))));
    let secrets: Vec<_> = config.secrets().cloned().collect();
    assert_eq!(secrets, [env("STRING"), env("APPLICATION"), env("PASSWORD")]);
    let authorities: Vec<_> = config.authorities().cloned().collect();
    assert_eq!(authorities, ["/etc/table.pem", "/etc/mail.pem"].map(PathBuf::from));
    // A mail is made for whichever connection takes it: by Graph it is 2.5 MB.
    for (connections, bytes) in
        [(&["m", "smtp"][..], 8_000_000), (&["m", "graph"], 2_500_000), (&[], 8_000_000)]
    {
        let connections: Vec<_> = connections.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(config.max_message_bytes(&connections), bytes, "{connections:?}");
    }
}

#[test]
fn each_cloud_has_its_own_addresses() {
    let addresses = |cloud: Cloud| {
        let scopes = [Audience::Storage, Audience::Graph, Audience::Smtp, Audience::Postgres]
            .map(|audience| format!("{}: {}", audience.name(), cloud.scope(audience)));
        let hosts = [cloud.storage_suffix(), cloud.graph(), cloud.sign_in_host()].join("\n");
        format!("{cloud:?}\n{hosts}\n{}\n", scopes.join("\n"))
    };
    insta::assert_snapshot!([Cloud::Public, Cloud::China, Cloud::UsGovernment].map(addresses).join("\n"));
}

#[test]
fn an_identity_says_who_signs_in_and_where_its_secret_is() {
    let by_id = Entra::new(Identity::Managed { client_id: Some("17".to_owned()) }, Cloud::Public);
    let who = [managed(), by_id, application()].map(|entra| entra.who());
    assert_eq!(who, ["this machine's managed identity", "the managed identity 17", "the application 4711"]);
    let places = [SecretSource::File("/run/key".into()), SecretSource::Credential("key".to_owned())];
    assert_eq!(places.map(|source| source.place()), ["/run/key", "the systemd credential key"]);
}

#[test]
fn servers_and_machines_are_written_as_the_network_does() {
    for (host, place) in [("mail.example", "mail.example:587"), ("::1", "[::1]:587")] {
        assert_eq!(SmtpConnection { host: host.to_owned(), ..smtp(None) }.place(), place);
    }
    for (address, literal) in
        [("10.0.0.1", "[10.0.0.1]"), ("::ffff:10.0.0.1", "[10.0.0.1]"), ("2001:db8::1", "[IPv6:2001:db8::1]")]
    {
        assert_eq!(address_literal(address.parse().unwrap()), literal);
    }
    assert_eq!(Mailbox::named("Leads", "leads@contoso.example").domain(), "contoso.example");
}

#[test]
fn a_recipient_of_several_lists_is_one() {
    let mut flow = FlowBuilder::new("leads", every(Frequency::Hour, 1)).build();
    let email = &mut Arc::get_mut(&mut flow).unwrap().email;
    email.cc = vec![Mailbox::bare("c@b.example"), Mailbox::named("A", "a@b.example")];
    email.bcc = vec![Mailbox::bare("d@b.example")];
    assert_eq!(email.recipients(), ["a@b.example", "c@b.example", "d@b.example"]);
}

#[test]
fn columns_that_templates_and_sheets_name_are_asked_for_beside_those_of_a_lead() {
    let mut flow = FlowBuilder::new("leads", every(Frequency::Hour, 1)).build();
    let email = &mut Arc::get_mut(&mut flow).unwrap().email;
    let compiled = |column: &str| {
        let subject = Source { text: format!("{{{{rows.0.{column}}}}}"), ..Source::default() };
        Templates::compile(Sources { subject, ..Sources::default() }).unwrap()
    };
    email.templates = Arc::new(compiled("City").with_digest(Some(compiled("Region"))));
    let column = |value| SheetColumn { name: "x".to_owned(), value };
    email.csv = Some(vec![column(SheetValue::Lead(0)), column(SheetValue::Column("Zip".to_owned()))]);
    let named: Vec<_> = email.named_columns().collect();
    assert_eq!(named, [&["City", "Region", "Zip"][..], &crate::rows::lead::COLUMNS].concat());
}

#[test]
fn a_csv_is_separated_by_what_spreadsheets_take() {
    for (text, byte) in
        [(",", Some(b',')), (";", Some(b';')), ("\t", Some(b'\t')), ("tab", Some(b'\t')), ("|", None)]
    {
        assert_eq!(Separator::parse(text).map(Separator::byte), byte, "{text:?}");
    }
}

#[test]
fn a_table_is_asked_for_the_past_time_and_the_columns_that_are_selected() {
    let mut flow = FlowBuilder::new("leads", every(Frequency::Hour, 1)).build();
    let table = &mut Arc::get_mut(&mut flow).unwrap().table;
    table.columns = vec!["Region".to_owned()];
    let declared =
        |table: &FlowTable| ["RowKey", "Email", "Region", "CustomerInfo"].map(|name| table.declares(name));
    assert_eq!(declared(table), [true, false, true, true], "what a lead has, and what flows.toml adds to it");
    table.select = Some(vec!["Email".to_owned()]);
    assert_eq!(declared(table), [true, true, false, false], "what is asked for, and the keys");
    table.filter = Some("Timestamp gt datetime'{{past_time}}'".to_owned());
    let query = table.query("2026-03-01T08:00:00Z".parse().unwrap());
    assert_eq!(query.filter.as_deref(), Some("Timestamp gt datetime'2026-03-01T08:00:00Z'"));
    assert_eq!(query.select, table.select);
}

#[test]
fn a_row_that_was_written_again_is_new_to_a_flow_that_asks_for_changes() {
    for (seen, is_known_as_new, is_known_as_change) in
        [(None, false, false), (Some(RowVersion(1)), true, false), (Some(RowVersion(2)), true, true)]
    {
        assert_eq!(NotifyOn::New.is_seen(RowVersion(2), seen), is_known_as_new, "{seen:?}");
        assert_eq!(NotifyOn::Change.is_seen(RowVersion(2), seen), is_known_as_change, "{seen:?}");
    }
}

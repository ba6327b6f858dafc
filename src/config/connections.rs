//! `[connections.NAME.KIND]`.

use std::collections::BTreeMap;

use super::reader::Section;
use super::values::Folders;
use super::{entra, smtp};
use crate::flow::{
    AzureConnection, AzureLogin, FolderConnection, GraphConnection, MailConnection, Mailbox, TableConnection,
};
use crate::text::near::did_you_mean;

/// The connections by name.
#[derive(Default)]
pub(super) struct Connections {
    pub(super) tables: BTreeMap<String, TableConnection>,
    pub(super) mails: BTreeMap<String, MailConnection>,
    /// Every name in the file, whether its connection is whole or not.
    names: Vec<String>,
}

const KINDS: [&str; 5] = ["azure_table", "embedded_table", "graph", "smtp", "mail_folder"];
/// Mails a minute when nothing is said; Exchange Online takes 30 from a mailbox.
pub(super) const PER_MINUTE: u32 = 30;

pub(super) fn read(root: &Section<'_>, folders: &Folders) -> Connections {
    let mut connections = Connections::default();
    for (name, section) in root.sections("connections") {
        connections.names.push(name.get_ref().clone());
        let azure = section
            .section("azure_table")
            .and_then(|table| azure(table, folders))
            .map(TableConnection::Azure);
        let embedded = section.section("embedded_table").and_then(|table| embedded(table, folders));
        let graph = section.section("graph").and_then(|mail| graph(mail, folders));
        let smtp =
            section.section("smtp").and_then(|mail| smtp::read(mail, folders)).map(MailConnection::Smtp);
        let folder = section.section("mail_folder").map(|mail| folder(mail, folders));
        let count = KINDS.iter().filter(|kind| section.has(kind)).count();
        if count != 1 {
            let name = name.get_ref();
            let kinds = KINDS.join(", ");
            section.not_one("kind", &format!("write [connections.{name}.KIND] with one of {kinds}"));
        }
        section.finish();
        if let Some(table) = azure.or(embedded) {
            connections.tables.insert(name.get_ref().clone(), table);
        }
        if let Some(mail) = smtp.or(graph).or(folder) {
            connections.mails.insert(name.get_ref().clone(), mail);
        }
    }
    connections
}

impl Connections {
    /// The table connection of that name under the key.
    pub(super) fn table_named(&self, section: &Section<'_>, key: &'static str) -> Option<String> {
        let Some(name) = section.text(key) else {
            if !section.has(key) {
                section.missing(key, "write the name of one of [connections.…]");
            }
            return None;
        };
        self.check(section, &name, self.tables.contains_key(name.get_ref()), "table", &self.tables_list());
        Some(name.into_inner())
    }

    /// The mail connections of these names under the key.
    pub(super) fn mails_named(&self, section: &Section<'_>, key: &'static str) -> Vec<String> {
        let names = section.texts(key);
        if names.is_empty() {
            section.missing(
                key,
                "write the name of one of [connections.…], or a list: leadflow uses the next one when the first fails",
            );
        }
        let list: Vec<&str> = self.mails.keys().map(String::as_str).collect();
        for name in &names {
            self.check(section, name, self.mails.contains_key(name.get_ref()), "mail", &list);
        }
        names.into_iter().map(toml::Spanned::into_inner).collect()
    }

    fn tables_list(&self) -> Vec<&str> {
        self.tables.keys().map(String::as_str).collect()
    }

    fn check(
        &self,
        section: &Section<'_>,
        name: &toml::Spanned<String>,
        found: bool,
        kind: &str,
        list: &[&str],
    ) {
        // A connection that is there and has a problem of its own is not reported a second time.
        let is_other_kind =
            self.tables.contains_key(name.get_ref()) || self.mails.contains_key(name.get_ref());
        if found || (self.names.contains(name.get_ref()) && !is_other_kind) {
            return;
        }
        let message = if is_other_kind {
            format!("the connection `{}` is not a {kind} connection", name.get_ref())
        } else {
            format!("there is no connection `{}`", name.get_ref())
        };
        let known = match list {
            [] => format!("there is no {kind} connection yet"),
            [one] => format!("the only {kind} connection is {one}"),
            _ => format!("{kind} connections are {}", list.join(", ")),
        };
        let help = format!("{}{known}", did_you_mean(name.get_ref(), list));
        section.problems.error(name.span(), message, help);
    }
}

fn azure(section: Section<'_>, folders: &Folders) -> Option<AzureConnection> {
    const LOGINS: [&str; 4] = ["connection_string", "shared_key", "sas", "entra"];
    let given: Vec<_> = LOGINS.into_iter().filter(|key| section.has(key)).collect();
    let connection_string = section.secret("connection_string", folders);
    let account = section.text("account");
    let key = section.secret("shared_key", folders);
    let sas = section.secret("sas", folders);
    let cloud = entra::cloud(&section);
    let entra = entra::read(&section, "entra", cloud, folders);
    if given.len() != 1 {
        section.not_one(
            "way to sign in",
            "write connection_string = { env = \"…\" }, or `account` with `entra`, `shared_key` or `sas`",
        );
    }
    if account.is_none() && !section.has("account") && given.iter().any(|key| *key != "connection_string") {
        section.missing("account", "write the name of the storage account: account = \"contosoleads\"");
    }
    for (key, what) in [("account", "names the account"), ("cloud", "names the cloud")] {
        if let Some(span) = section.span_of(key).filter(|_| given == ["connection_string"]) {
            let message = format!("`{key}` cannot be combined with `connection_string`");
            section.problems.error(span, message, format!("remove it: the connection string already {what}"));
        }
    }
    let ca_file = section.ca_file(folders);
    section.finish();
    let account = account.map(toml::Spanned::into_inner);
    let login = match (connection_string, account) {
        (Some(source), _) => AzureLogin::ConnectionString(source),
        (None, Some(account)) => match (key, sas, entra) {
            (Some(key), ..) => AzureLogin::SharedKey { account, key },
            (None, Some(sas), _) => AzureLogin::Sas { account, sas },
            (None, None, Some(entra)) => AzureLogin::Entra { account, entra },
            (None, None, None) => return None,
        },
        (None, None) => return None,
    };
    Some(AzureConnection { login, ca_file, cloud })
}

fn graph(section: Section<'_>, folders: &Folders) -> Option<MailConnection> {
    let mailbox = section.address("mailbox");
    if !section.has("mailbox") {
        section.missing("mailbox", "write mailbox = \"leads@contoso.example\", the mailbox that sends");
    }
    let cloud = entra::cloud(&section);
    let entra = entra::read(&section, "entra", cloud, folders);
    if !section.has("entra") {
        section.missing("entra", entra::HELP_WHOLE);
    }
    let per_minute = section.integer("per_minute", 1..=10_000).unwrap_or(PER_MINUTE);
    section.finish();
    Some(MailConnection::Graph(GraphConnection { mailbox: mailbox?, entra: entra?, per_minute }))
}

fn embedded(section: Section<'_>, folders: &Folders) -> Option<TableConnection> {
    let file = section.file("file", &folders.state);
    if !section.has("file") {
        section.missing("file", "write file = \"demo.db\"");
    }
    section.finish();
    Some(TableConnection::Embedded { file: file? })
}

fn folder(section: Section<'_>, folders: &Folders) -> MailConnection {
    let path = section.file("path", &folders.state).unwrap_or_else(|| folders.state.join("mail"));
    let from = section.address("from").unwrap_or_else(|| Mailbox::named("leadflow", "leadflow@localhost"));
    section.finish();
    MailConnection::Folder(FolderConnection { path, from })
}

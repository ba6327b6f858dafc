//! What flows.toml says, checked and complete: the values that the rest of the program works on.

pub mod condition;
mod connection;
mod identity;
mod mailbox;
mod page;
mod postgres;
mod secret;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::SignedDuration;

use crate::flow::condition::Condition;
use crate::schedule::recurrence::Recurrence;
use crate::schedule::window::Window;
use crate::template::Templates;
use connection::LARGEST_MESSAGE;

pub use connection::{
    AzureConnection, AzureLogin, FolderConnection, GraphConnection, Login, MailConnection, Security,
    SmtpConnection, SmtpCredential, TableConnection, address_literal,
};

pub use identity::{Audience, Cloud, Entra, Identity};
pub use mailbox::Mailbox;
pub use page::{Listen, PageProxy, PageSettings, PageTls, PageToken, PageUser, PasswordHash, Role};
pub use postgres::{PostgresConnection, PostgresCredential, PostgresServer};
pub use secret::SecretSource;
pub use table::{FlowTable, KEYS, NoConnection, NotifyOn, TableRef};

/// A whole, valid flows.toml with its templates.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from, absolute.
    pub path: PathBuf,
    /// `[settings]`.
    pub settings: Settings,
    /// `[connections.NAME.azure_table]` and `[connections.NAME.embedded_table]`.
    pub tables: BTreeMap<String, TableConnection>,
    /// `[connections.NAME.graph]`, `[connections.NAME.smtp]` and `[connections.NAME.mail_folder]`.
    pub mails: BTreeMap<String, MailConnection>,
    /// `[flows.NAME]`.
    pub flows: BTreeMap<String, Arc<Flow>>,
    /// Of the values of the file and of its templates, without how this machine signs in to the database of the state.
    pub digest: String,
}

impl Config {
    /// Where the secrets of the connections, of the database and of the page lie.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretSource> {
        let of_tables = self.tables.values().filter_map(TableConnection::secret);
        let of_mails = self.mails.values().filter_map(MailConnection::secret);
        let of_state = self.settings.postgres.iter().filter_map(PostgresConnection::secret);
        let of_page = self.settings.page.iter().flat_map(PageSettings::secrets);
        of_tables.chain(of_mails).chain(of_state).chain(of_page)
    }

    /// The files with the certificates of one's own authorities.
    pub fn authorities(&self) -> impl Iterator<Item = &PathBuf> {
        let of_tables = self.tables.values().filter_map(|table| match table {
            TableConnection::Azure(azure) => azure.ca_file.as_ref(),
            TableConnection::Embedded { .. } => None,
        });
        let of_mails = self.mails.values().filter_map(|mail| match mail {
            MailConnection::Smtp(smtp) => smtp.ca_file.as_ref(),
            _ => None,
        });
        let of_state = self.settings.postgres.iter().filter_map(|postgres| postgres.ca_file.as_ref());
        of_tables.chain(of_mails).chain(of_state)
    }

    /// The largest message that each of these mail connections takes in one piece: a mail is made
    /// once, and goes by whichever of them works.
    pub fn max_message_bytes(&self, connections: &[String]) -> usize {
        let known = connections.iter().filter_map(|name| self.mails.get(name));
        known.map(MailConnection::max_message_bytes).min().unwrap_or(LARGEST_MESSAGE)
    }
}

/// `[settings]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// IANA name of the zone that dates are shown in and recurrences count in; `UTC` unless said.
    pub time_zone: jiff::tz::TimeZone,
    /// The state folder, absolute.
    pub state: PathBuf,
    /// `[settings.postgres]`: the state lies in this database, and the state folder has the files of this machine alone.
    pub postgres: Option<PostgresConnection>,
    /// How long ended runs are kept.
    pub history: SignedDuration,
    /// A filter for the log as `RUST_LOG` takes it: `info`, `leadflow=debug`.
    pub log: String,
    /// `[settings.failures]`.
    pub failures: Option<Failures>,
    /// Asked each minute while all is well.
    pub heartbeat_url: Option<url::Url>,
    /// `[settings.page]`.
    pub page: Option<PageSettings>,
}

impl Settings {
    /// Where the state lies, in words.
    pub fn state_in_words(&self) -> String {
        match &self.postgres {
            Some(postgres) => format!("the database {}", postgres.in_words()),
            None => self.state.display().to_string(),
        }
    }
}

/// `[settings.failures]`: who hears when a flow fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failures {
    /// Mail connections, tried in this order.
    pub connections: Vec<String>,
    /// Recipients.
    pub to: Vec<Mailbox>,
    /// Consecutive failed runs before the first mail.
    pub after: u32,
    /// Time between two mails about the same failure.
    pub repeat: SignedDuration,
}

/// `[flows.NAME]`.
#[derive(Debug)]
pub struct Flow {
    /// The key in flows.toml.
    pub name: String,
    /// A line for people.
    pub description: Option<String>,
    /// `enabled` in the file; what `leadflow off` does is in the state.
    pub enabled: bool,
    /// When rows make a mail.
    pub condition: Condition,
    /// When the flow runs.
    pub recurrence: Arc<Recurrence>,
    /// A missed slot is made up for at once (`true`) or waits for the next.
    pub catch_up: bool,
    /// How far back a run reads.
    pub window: Window,
    /// What it reads.
    pub table: FlowTable,
    /// What it mails.
    pub email: Email,
    /// The zone of the recurrence, in which the mail shows dates.
    pub time_zone: jiff::tz::TimeZone,
}

/// `[flows.NAME.email]`.
#[derive(Debug)]
pub struct Email {
    /// Mail connections; the next one when the first fails.
    pub connections: Vec<String>,
    /// Recipients, at least one over the three lists.
    pub to: Vec<Mailbox>,
    /// Copies.
    pub cc: Vec<Mailbox>,
    /// Hidden copies.
    pub bcc: Vec<Mailbox>,
    /// Where answers go.
    pub reply_to: Option<Mailbox>,
    /// The `Importance` header.
    pub importance: Option<Importance>,
    /// Subject, HTML and text, compiled.
    pub templates: Arc<Templates>,
    /// One mail a run or one a row.
    pub each: Each,
    /// Rows that the body shows at most.
    pub max_rows: usize,
    /// Attach the CSV even when the body shows all rows.
    pub attach_csv: bool,
    /// Mails in an hour at most; the others wait.
    pub per_hour: u32,
    /// What becomes of test leads.
    pub test_leads: TestLeads,
    /// The columns of the CSV: their names and where their values come from; all without it.
    pub csv: Option<Vec<SheetColumn>>,
    /// What is between the cells of the CSV.
    pub csv_separator: Separator,
}

impl Email {
    /// The columns that templates and CSV name, and those that a lead is read from.
    pub fn named_columns(&self) -> impl Iterator<Item = String> {
        let digest = self.templates.digest().into_iter().flat_map(Templates::columns);
        let of_templates = self.templates.columns().iter().chain(digest).map(|column| column.name.clone());
        let of_csv = self.csv.iter().flatten().filter_map(|column| match &column.value {
            SheetValue::Column(name) => Some(name.clone()),
            SheetValue::Lead(_) => None,
        });
        of_templates.chain(of_csv).chain(crate::rows::lead::COLUMNS.map(str::to_owned))
    }

    /// The addresses of all recipients, each once.
    pub fn recipients(&self) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for mailbox in self.to.iter().chain(&self.cc).chain(&self.bcc) {
            let address = mailbox.address.clone();
            if !found.contains(&address) {
                found.push(address);
            }
        }
        found
    }
}

/// `test_leads`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestLeads {
    /// They are mailed, with a mark.
    Mark,
    /// They are mailed as any other.
    Include,
    /// They are not mailed; the mail says how many there were.
    Hide,
}

/// A column of a CSV.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SheetColumn {
    /// Its name in the first line.
    pub name: String,
    /// Where its value comes from.
    pub value: SheetValue,
}

/// Where a value of a CSV comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SheetValue {
    /// A field of the lead: which of [`crate::rows::lead::FIELDS`].
    Lead(usize),
    /// A column of the table.
    Column(String),
}

/// `csv_separator`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Separator {
    /// What RFC 4180 has.
    #[default]
    Comma,
    /// What spreadsheets want where a comma precedes the decimals.
    Semicolon,
    /// What every spreadsheet takes apart.
    Tab,
}

impl Separator {
    /// The separator that is written so; `None` of what no spreadsheet takes for one.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "," => Some(Self::Comma),
            ";" => Some(Self::Semicolon),
            "\t" | "tab" => Some(Self::Tab),
            _ => None,
        }
    }

    /// As it is in the file.
    pub fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
        }
    }
}

/// `importance`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    /// `high`.
    High,
    /// `normal`.
    Normal,
    /// `low`.
    Low,
}

/// `each`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Each {
    /// One mail for all rows of a run.
    Run,
    /// One mail a row.
    Row,
}

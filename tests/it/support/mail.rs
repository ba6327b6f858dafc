//! A mail that has arrived.

use std::path::Path;

use mail_parser::{Message, MessageParser, MimeHeaders as _};

/// A mail, and what its server has noted of its envelope.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub(crate) to: Vec<String>,
    pub(crate) secure: bool,
    pub(crate) user: Option<String>,
    pub(crate) sha256: String,
    pub(crate) bytes: Vec<u8>,
}

impl Mail {
    /// A mail whose envelope nobody has seen.
    pub(crate) fn of_bytes(bytes: Vec<u8>) -> Self {
        Self { to: Vec::new(), secure: false, user: None, sha256: String::new(), bytes }
    }

    /// The mails in a mail folder, oldest first.
    pub(crate) fn in_folder(folder: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "eml"));
        paths.sort();
        paths.into_iter().map(|path| Self::of_bytes(std::fs::read(path).unwrap())).collect()
    }

    pub(crate) fn message(&self) -> Message<'_> {
        MessageParser::default().parse(&self.bytes).unwrap()
    }

    pub(crate) fn subject(&self) -> String {
        self.message().subject().unwrap().to_owned()
    }

    /// The addresses that it is written to.
    pub(crate) fn addressees(&self) -> Vec<String> {
        let message = self.message();
        message.to().unwrap().iter().filter_map(|to| to.address()).map(str::to_owned).collect()
    }

    pub(crate) fn text(&self) -> String {
        self.message().body_text(0).unwrap().into_owned()
    }

    pub(crate) fn html(&self) -> String {
        self.message().body_html(0).unwrap().into_owned()
    }

    /// The attached CSV as records, its names first.
    pub(crate) fn csv(&self) -> Option<Vec<Vec<String>>> {
        let message = self.message();
        let part = message
            .attachments()
            .find(|part| part.content_type().is_some_and(|kind| kind.subtype() == Some("csv")))?;
        let bytes = part.contents().strip_prefix("\u{feff}".as_bytes()).expect("a byte order mark");
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
        let record =
            |record: csv::Result<csv::StringRecord>| record.unwrap().iter().map(str::to_owned).collect();
        Some(reader.records().map(record).collect())
    }

    /// The `RowKey`s that the mail carries: in its CSV, else in its text (`lead-NNNNN` or the
    /// customer's number in the address).
    pub(crate) fn row_keys(&self) -> Vec<String> {
        if let Some(records) = self.csv() {
            let column = records[0].iter().position(|name| name == "RowKey").unwrap();
            return records[1..].iter().map(|record| record[column].clone()).collect();
        }
        keys_in(&self.text())
    }
}

/// The `RowKey`s of the customers whose address is in a text.
pub(crate) fn keys_in(text: &str) -> Vec<String> {
    let of_address = |word: &str| {
        let number: usize = word.strip_prefix("customer")?.split('@').next()?.parse().ok()?;
        Some(format!("lead-{number:05}"))
    };
    text.split_whitespace().filter_map(of_address).collect()
}

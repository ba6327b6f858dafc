//! What every backend keeps: its tables, and the texts that may name a person.

/// The tables of a state; the rest of a schema hangs on them.
pub(super) const TABLES: [&str; 15] = [
    "alarms",
    "connections",
    "earlier",
    "flows",
    "keys",
    "mails",
    "meta",
    "nodes",
    "recipients",
    "requests",
    "runs",
    "sends",
    "sources",
    "steps",
    "texts",
];

/// What stands in the place of a text that was erased.
pub(super) const FORGOTTEN: &str = "(forgotten)";
/// The same where a JSON object is expected.
pub(super) const FORGOTTEN_JSON: &str = "{\"forgotten\":true}";

/// A column whose texts may name a person.
pub(super) struct Text {
    pub(super) table: &'static str,
    /// The columns that name the row.
    pub(super) keys: &'static [&'static str],
    pub(super) column: &'static str,
    /// Which rows, as a condition that every backend understands: not those that are still needed as they are.
    pub(super) only: &'static str,
    pub(super) instead: &'static str,
}

const fn text(
    table: &'static str,
    keys: &'static [&'static str],
    column: &'static str,
    instead: &'static str,
) -> Text {
    Text { table, keys, column, only: "true", instead }
}

/// All of them, those of a table together; the bytes of mails are erased with their mail.
pub(super) const TEXTS: [Text; 15] = [
    text("flows", &["id"], "off_by", FORGOTTEN),
    Text { only: "next_try IS NULL AND NOT sending", ..text("mails", &["id"], "subject", FORGOTTEN) },
    text("mails", &["id"], "asked_by", FORGOTTEN),
    text("recipients", &["mail", "position"], "reply", FORGOTTEN),
    text("runs", &["id"], "summary", FORGOTTEN),
    text("runs", &["id"], "help", FORGOTTEN),
    text("runs", &["id"], "asked_by", FORGOTTEN),
    text("steps", &["run", "position"], "inputs", FORGOTTEN_JSON),
    text("steps", &["run", "position"], "outputs", FORGOTTEN_JSON),
    text("connections", &["name"], "what", FORGOTTEN),
    text("connections", &["name"], "help", FORGOTTEN),
    text("alarms", &["kind", "about"], "what", FORGOTTEN),
    text("requests", &["id"], "answer", FORGOTTEN),
    text("requests", &["id"], "asked_by", FORGOTTEN),
    // Addresses that a mail was to be sent to.
    Text {
        only: "run IS NOT NULL OR answer IS NOT NULL",
        ..text("requests", &["id"], "about", FORGOTTEN_JSON)
    },
];

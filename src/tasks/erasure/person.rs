//! The person to erase, and whether a text names the person.

use std::borrow::Cow;

use mail_parser::decoders::html::html_to_text;
use mail_parser::{Message, MessageParser, PartType};
use serde_json::Value;

use super::escapes::unescaped;
use super::names::Names;
use super::target::{self, ErasureTarget};
use crate::rows::lead::Lead;
use crate::rows::row::Row;

/// What a person is known by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// In lower case, as written and with its domain as DNS has it.
    addresses: Vec<String>,
    names: Names,
    key: Option<(Option<String>, String)>,
}

/// What a row has to do with the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// It is the person's lead.
    Own,
    /// It names the person, and is the lead of another one.
    Named,
    /// Nothing.
    None,
}

/// Escapes within escapes, and JSON within texts of JSON, that are searched.
const DEEPEST: usize = 4;

impl Person {
    /// By what was asked for; the rest is learnt from the person's rows.
    pub fn new(target: &ErasureTarget) -> Self {
        match target {
            ErasureTarget::Email(address) => Self { addresses: target::forms_of(address), ..Self::default() },
            ErasureTarget::Key(partition, row) => {
                Self { key: Some((partition.clone(), row.clone())), ..Self::default() }
            }
        }
    }

    /// Takes the name, and the address where none is known, from a lead of the person.
    pub(super) fn learn(&mut self, row: &Row) {
        let columns = row.columns();
        let lead = Lead::new(&columns);
        if let Some(address) = address_of(row).filter(|_| self.addresses.is_empty()) {
            self.addresses = target::forms_of(&address);
        }
        let [first, last] = ["first_name", "last_name"].map(|field| lead.text(field).unwrap_or_default());
        self.names.learn(first, last);
    }

    /// Whether there is anything to search for in a text.
    pub fn is_known(&self) -> bool {
        !self.addresses.is_empty() || !self.names.is_empty()
    }

    /// Whether a name of the person is known that differs from other words.
    pub fn has_name(&self) -> bool {
        !self.names.is_empty()
    }

    /// Whether the person's address is known.
    pub fn has_address(&self) -> bool {
        !self.addresses.is_empty()
    }

    pub(super) fn relation_of(&self, row: &Row) -> Relation {
        if self.key.as_ref().is_some_and(|key| is_of_key(row, key)) {
            return Relation::Own;
        }
        let own = Lead::new(&row.columns()).text("email").map(str::to_owned);
        match own {
            Some(own) if own.contains('@') && !self.is_addressed_in(&own) => {
                if self.is_addressed_in_row(row) { Relation::Named } else { Relation::None }
            }
            _ if self.is_addressed_in_row(row) => Relation::Own,
            _ => Relation::None,
        }
    }

    fn is_addressed_in_row(&self, row: &Row) -> bool {
        let mut columns = row.properties();
        columns.retain(|name| !name.starts_with("odata."));
        // A name of a column is a text as any other.
        let mut cells = columns.into_map().into_iter();
        cells.any(|(name, value)| self.is_addressed_in(&name) || self.is_in_value(&value, DEEPEST))
    }

    fn is_in_value(&self, value: &Value, depth: usize) -> bool {
        match value {
            Value::String(text) => {
                let inner = || serde_json::from_str::<Value>(text).ok().filter(|inner| !inner.is_number());
                self.is_addressed_in(text)
                    || decoded(text).is_some_and(|text| self.is_addressed_in(&text))
                    || depth > 0 && inner().is_some_and(|inner| self.is_in_value(&inner, depth - 1))
            }
            Value::Array(values) => values.iter().any(|value| self.is_in_value(value, depth)),
            Value::Object(fields) => fields
                .iter()
                .any(|(name, value)| self.is_addressed_in(name) || self.is_in_value(value, depth)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// Whether the address is in the text, however it is escaped, and not as a piece of another one.
    fn is_addressed_in(&self, text: &str) -> bool {
        views_of(text).iter().any(|view| {
            let view = view.to_lowercase();
            self.addresses.iter().any(|address| has_address(&view, address))
        })
    }

    /// Whether the name or the address is in the text.
    pub(super) fn is_in_text(&self, text: &str) -> bool {
        views_of(text).iter().any(|view| {
            let view = view.to_lowercase();
            self.addresses.iter().any(|address| has_address(&view, address)) || self.names.stand_in(&view)
        })
    }

    /// Whether one of them is in the mail: in a header, a body or an attachment, decoded. One that
    /// cannot be read may hold anything.
    pub(super) fn is_in_mail(&self, bytes: &[u8]) -> bool {
        MessageParser::default().parse(bytes).is_none_or(|mail| self.is_in_message(&mail, DEEPEST))
    }

    fn is_in_message(&self, mail: &Message<'_>, depth: usize) -> bool {
        let mut headers = mail.parts.iter().flat_map(|part| &part.headers);
        // Each kind of header has a form of its own; this one has the texts of all.
        headers.any(|header| self.is_in_text(&format!("{:?}", header.value)))
            || mail.headers_raw().any(|(_, raw)| self.is_in_text(raw))
            || mail.parts.iter().any(|part| match &part.body {
                PartType::Text(text) => self.is_in_text(text),
                PartType::Html(html) => self.is_in_text(html) || self.is_in_text(&html_to_text(html)),
                PartType::Binary(bytes) | PartType::InlineBinary(bytes) => {
                    self.is_in_text(&String::from_utf8_lossy(bytes))
                }
                PartType::Message(inner) => depth == 0 || self.is_in_message(inner, depth - 1),
                PartType::Multipart(_) => false,
            })
    }
}

/// The one address of a lead, in lower case.
pub(super) fn address_of(row: &Row) -> Option<String> {
    let columns = row.columns();
    let lead = Lead::new(&columns);
    lead.text("email").filter(|text| text.contains('@')).map(str::to_lowercase)
}

/// What the lead is called.
pub(super) fn name_of(row: &Row) -> Option<String> {
    Lead::new(&row.columns()).text("name").filter(|name| !name.trim().is_empty()).map(str::to_owned)
}

fn is_of_key(row: &Row, (partition, key): &(Option<String>, String)) -> bool {
    row.row_key == *key && partition.as_ref().is_none_or(|partition| row.partition_key == *partition)
}

/// The text, and what it is without its escapes, those within others too.
fn views_of(text: &str) -> Vec<Cow<'_, str>> {
    let mut views = vec![Cow::Borrowed(text)];
    for _ in 0..DEEPEST {
        let last = views.last().map_or("", AsRef::as_ref);
        let Some(next) = unescaped(last) else { break };
        views.push(Cow::Owned(next));
    }
    views
}

/// What base64 of a column of bytes says, where it is text.
fn decoded(text: &str) -> Option<String> {
    use base64::Engine as _;
    let bytes = base64::prelude::BASE64_STANDARD.decode(text.trim()).ok()?;
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether the address is in the text, both in lower case, and is not a piece of a longer one:
/// `a@b.example` is neither `aa@b.example` nor `x+a@b.example` nor `a@b.example.org`.
fn has_address(text: &str, address: &str) -> bool {
    text.match_indices(address).any(|(at, _)| {
        let before = text[..at].chars().rev();
        let after = text[at + address.len()..].chars();
        !goes_on(before, "+-.'_~") && !goes_on(after, "-._")
    })
}

/// Whether a letter or digit comes next, or one after marks that join it.
fn goes_on(mut letters: impl Iterator<Item = char>, joining: &str) -> bool {
    letters.find(|letter| !joining.contains(*letter)).is_some_and(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn person(address: &str) -> Person {
        Person::new(&ErasureTarget::parse(address))
    }

    fn row(columns: &Value) -> Row {
        let mut row = json!({ "PartitionKey": "p", "RowKey": "r", "Timestamp": "never" });
        for (name, value) in columns.as_object().unwrap() {
            row[name] = value.clone();
        }
        Row::from_text(row.to_string()).unwrap()
    }

    #[test]
    fn an_address_is_found_in_any_form_and_no_other_one_is() {
        let person = person("A.b@Fabrikam.example");
        for text in [
            "a.b@fabrikam.example",
            "A.B@FABRIKAM.EXAMPLE",
            "<a.b@fabrikam.example>",
            "mail=a.b@fabrikam.example&x=1",
            "'a.b@fabrikam.example'",
            "write to a.b@fabrikam.example.",
            "(a.b@fabrikam.example)",
            "a.b%40fabrikam.example",
            "mailto:a.b%2540fabrikam.example",
            "a.b&#64;fabrikam.example",
            "a.b&#x40;fabrikam.example",
            r"a.b\u0040fabrikam.example",
            r#"{"Email":"a.b\u0040fabrikam.example"}"#,
            "x@y.example;a.b@fabrikam.example",
        ] {
            assert!(person.is_in_text(text), "{text}");
        }
        for text in [
            "aa.b@fabrikam.example",
            "x.a.b@fabrikam.example",
            "x+a.b@fabrikam.example",
            "x-a.b@fabrikam.example",
            "o'a.b@fabrikam.example",
            "éa.b@fabrikam.example",
            "a.b@fabrikam.example.org",
            "a.b@fabrikam.example-x",
            "a.b@fabrikam.examples",
            "a.b+c@fabrikam.example",
            "a-b@fabrikam.example",
            "a.b@fabrikam",
        ] {
            assert!(!person.is_in_text(text), "{text}");
        }
    }

    #[test]
    fn a_row_is_found_by_any_column_and_another_persons_lead_is_only_named() {
        let ana = person("ana@fabrikam.example");
        let info = |address: &str| json!({ "Email": address }).to_string();
        for (columns, expected) in [
            (json!({ "CustomerInfo": info("Ana@Fabrikam.example") }), Relation::Own),
            (json!({ "CustomerInfo": json!(info("ana@fabrikam.example")).to_string() }), Relation::Own),
            (json!({ "customerinfo": r#"{"Email":"ana\u0040fabrikam.example"}"# }), Relation::Own),
            (json!({ "CustomerInfo": "{broken ana@fabrikam.example" }), Relation::Own),
            (json!({ "CustomerInfo": { "a": [{ "b": "ana@fabrikam.example" }] } }), Relation::Own),
            (json!({ "RowKey": "ana@fabrikam.example" }), Relation::Own),
            (json!({ "PartitionKey": "ANA@fabrikam.example" }), Relation::Own),
            (json!({ "ana@fabrikam.example": 1 }), Relation::Own),
            (
                json!({ "Blob": "YW5hQGZhYnJpa2FtLmV4YW1wbGU=", "Blob@odata.type": "Edm.Binary" }),
                Relation::Own,
            ),
            (
                json!({ "CustomerInfo": info("bob@c.example"), "Note": "from ana@fabrikam.example" }),
                Relation::Named,
            ),
            (json!({ "CustomerInfo": info("x+ana@fabrikam.example") }), Relation::None),
            (json!({ "CustomerInfo": info("bob@c.example") }), Relation::None),
            (json!({}), Relation::None),
        ] {
            assert_eq!(ana.relation_of(&row(&columns)), expected, "{columns}");
        }
        let key = Person::new(&ErasureTarget::parse("p/r"));
        assert_eq!(key.relation_of(&row(&json!({}))), Relation::Own);
        assert_eq!(Person::new(&ErasureTarget::parse("q/r")).relation_of(&row(&json!({}))), Relation::None);
    }

    #[test]
    fn a_name_is_learnt_from_a_row_and_found_across_cells() {
        let mut ana = person("ana@fabrikam.example");
        ana.learn(&row(&json!({ "CustomerInfo": r#"{"FirstName":"Ann","LastName":"Lee","Email":"ana@fabrikam.example"}"# })));
        for (text, expected) in [("\"Ann\",\"Lee\"", true), ("&#65;nn%20Lee", true), ("Joann Leeson", false)]
        {
            assert_eq!(ana.is_in_text(text), expected, "{text}");
        }
    }

    #[test]
    fn a_mail_is_read_as_its_reader_sees_it() {
        let ana = person("ana@fabrikam.example");
        let mail = |head: &str, body: &str| {
            format!("From: a@b.example\r\nMIME-Version: 1.0\r\n{head}\r\n\r\n{body}\r\n").into_bytes()
        };
        for (head, body) in [
            (
                "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64",
                "YW5hQGZhYnJpa2FtLmV4YW1wbGU=",
            ),
            (
                "Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable",
                "ana=40fabri=\r\nkam.example",
            ),
            ("Content-Type: text/html", "<a href=\"mailto:ana%40fabrikam.example\">x</a>"),
            ("Content-Type: text/html", "<b>ana</b>@fabrikam.example"),
            (
                "Content-Type: application/json\r\nContent-Transfer-Encoding: base64",
                "eyJhIjoiYW5hQGZhYnJpa2FtLmV4YW1wbGUifQ==",
            ),
            ("Subject: =?utf-8?B?YW5hQGZhYnJpa2FtLmV4YW1wbGU=?=", ""),
            ("Reply-To: Ana <ana@fabrikam.example>", ""),
            ("X-Lead: ana@fabrikam.example", ""),
            ("Content-Type: message/rfc822", "Subject: x\r\n\r\nana@fabrikam.example"),
        ] {
            assert!(ana.is_in_mail(&mail(head, body)), "{head} {body}");
        }
        assert!(!ana.is_in_mail(&mail("Content-Type: text/plain", "joana@fabrikam.example")));
    }
}

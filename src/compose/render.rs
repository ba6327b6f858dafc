//! What a mail of a run shows: its rows as templates see them, and what the templates make of them.

use handlebars::Context as Data;
use serde_json::{Map, Value, json};

use super::listing;
use super::{Context, PartIndex, note_once};
use crate::flow::{Each, TestLeads};
use crate::template::cell;
use crate::template::{LEAD, lead_of};
use crate::template::{Rendered, Templates};

impl Context<'_> {
    /// Those of the flow; many rows of a flow with single mails have a digest's.
    fn templates(&self) -> &Templates {
        let email = &self.input.flow.email;
        let digest = email.templates.digest().filter(|_| email.each == Each::Row && !self.single);
        digest.unwrap_or(&email.templates)
    }

    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("X-Leadflow-Flow", self.input.flow.name.clone()),
            ("X-Leadflow-Run", self.input.run.to_string()),
        ];
        headers.extend(self.input.is_test.then(|| ("X-Leadflow-Test", "yes".to_owned())));
        headers
    }

    /// The rows are lent to the templates: they may be many, and a copy would take as much again.
    pub(super) fn render(
        &self,
        index: &PartIndex<'_>,
        shown: &mut Vec<Value>,
        notes: &mut Vec<String>,
    ) -> Rendered {
        let mut data = Data::null();
        *data.data_mut() = self.data(index, std::mem::take(shown));
        let mut rendered = match self.templates().render_in(&data) {
            Ok(rendered) => rendered,
            Err(error) => {
                let place = error.at.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
                let note = format!(
                    "{}{place} failed ({error}), so the rows went out as a plain listing",
                    error.place
                );
                note_once(notes, note);
                self.listed(data.data())
            }
        };
        rendered.text.get_or_insert_with(|| listing::plain(data.data()));
        if let Value::Array(rows) = data.data_mut()["rows"].take() {
            *shown = rows;
        }
        self.with_subject(index, rendered)
    }

    /// Without the template, and without any row.
    pub(super) fn plain(&self, index: &PartIndex<'_>) -> Rendered {
        self.with_subject(index, self.listed(&self.data(index, Vec::new())))
    }

    fn listed(&self, data: &Value) -> Rendered {
        let length = if self.single { 1 } else { self.length };
        let noun = if length == 1 { "row" } else { "rows" };
        let subject = format!("{}: {length} new {noun}", self.input.flow.name);
        Rendered { subject, html: None, text: Some(listing::plain(data)) }
    }

    fn with_subject(&self, index: &PartIndex<'_>, mut rendered: Rendered) -> Rendered {
        rendered.subject = cell::subject(&rendered.subject);
        if self.input.is_test {
            rendered.subject = format!("[test] {}", rendered.subject);
        }
        if index.of > 1 && !self.single {
            rendered.subject = format!("{} ({}/{})", rendered.subject, index.number, index.of);
        }
        rendered
    }

    fn data(&self, index: &PartIndex<'_>, shown: Vec<Value>) -> Value {
        let flow = self.input.flow;
        let lead = shown.first().map_or_else(|| lead_of(&Map::new()).into(), |row| row[LEAD].clone());
        let length = if self.single { 1 } else { self.length };
        let mut data = json!({
            "hidden_tests": self.input.hidden_tests,
            "length": length, "shown": shown.len(), "hidden": index.part.rows.len() - shown.len(),
            "part": index.number, "parts": if self.single { 1 } else { index.of }, "attached": self.attached,
            "columns": self.columns, "is_lead": self.is_lead, "lead": lead,
            "more_columns": self.left_out.more_columns, "cut_rows": self.left_out.cut_rows,
            "flow": {
                "name": flow.name, "description": flow.description, "table": flow.table.name,
                "time_zone": flow.time_zone.iana_name().unwrap_or("UTC"),
            },
            "run": { "id": self.input.run },
            "past_time": self.input.past_time.to_string(), "now": self.input.now.to_string(),
        });
        data["rows"] = shown.into();
        data
    }

    /// A row as templates see it: every column of the run, null where absent, and `lead`. A
    /// column of that name is `lead_`.
    pub(super) fn row_value(&self, mut columns: Map<String, Value>) -> Value {
        let mut lead = lead_of(&columns);
        if self.input.flow.email.test_leads == TestLeads::Include {
            lead.insert("is_test".to_owned(), false.into());
        }
        let mut row = Map::new();
        for name in &self.columns {
            let value = columns.remove(name).unwrap_or_default();
            row.insert(if name == LEAD { format!("{LEAD}_") } else { name.clone() }, value);
        }
        for name in &self.declared {
            row.insert(name.clone(), Value::Null);
        }
        row.insert(LEAD.to_owned(), Value::Object(lead));
        cell::shown(Value::Object(row))
    }

    pub(super) fn file_name(&self, index: &PartIndex<'_>) -> String {
        let flow = &self.input.flow.name;
        let run = self.input.run;
        if index.of > 1 {
            format!("{flow}-{run}-{}of{}.csv", index.number, index.of)
        } else {
            format!("{flow}-{run}.csv")
        }
    }
}

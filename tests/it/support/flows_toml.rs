//! A flows.toml that is put together.

use std::fmt;

use super::certificates::certificates;
use super::mail_server;

/// The filter of a flow that reads what was written since its last run.
pub(crate) const SINCE: &str = "Timestamp gt datetime'{{past_time}}'";
/// The `RowKey` of each row.
pub(crate) const KEYS: &str = "{{#each rows}}{{RowKey}} {{/each}}";

/// Sections in their order. A flow is hourly, reads the table `leads` of the table connection before it,
/// and mails to `sales@contoso.example` by the mail connection before it, unless it says otherwise.
#[derive(Debug, Clone, Default)]
pub(crate) struct FlowsToml {
    sections: Vec<(String, String)>,
    table: String,
    mail: String,
    flow: String,
}

impl FlowsToml {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The embedded table `demo` and the mail folder `folder`.
    pub(crate) fn demo() -> Self {
        Self::new().embedded("demo").folder("folder")
    }

    /// A section as it stands in the file, which [`Self::more`] goes on with.
    pub(crate) fn section(mut self, name: &str, lines: &str) -> Self {
        self.sections.push((name.to_owned(), String::new()));
        self.more(lines)
    }

    /// Text as it stands in the file.
    pub(crate) fn raw(mut self, text: &str) -> Self {
        self.sections.push((String::new(), text.to_owned()));
        self
    }

    pub(crate) fn settings(self, lines: &str) -> Self {
        self.section("settings", lines)
    }

    /// Who hears of failures: `ops@contoso.example`, by this mail connection.
    pub(crate) fn failures(self, connection: &str) -> Self {
        let to = format!("connection = \"{connection}\"\nto = \"ops@contoso.example\"");
        self.section("settings.failures", &to)
    }

    /// A table connection of any kind.
    pub(crate) fn table_connection(mut self, name: &str, kind: &str, lines: &str) -> Self {
        name.clone_into(&mut self.table);
        self.section(&format!("connections.{name}.{kind}"), lines)
    }

    /// A mail connection of any kind.
    pub(crate) fn mail_connection(mut self, name: &str, kind: &str, lines: &str) -> Self {
        name.clone_into(&mut self.mail);
        self.section(&format!("connections.{name}.{kind}"), lines)
    }

    /// An embedded table in the state folder's `demo.db`.
    pub(crate) fn embedded(self, name: &str) -> Self {
        self.table_connection(name, "embedded_table", "file = \"demo.db\"")
    }

    /// An Azure table whose connection string lies in `LEADS_STORAGE`.
    pub(crate) fn azure(self, name: &str) -> Self {
        self.table_connection(name, "azure_table", "connection_string = { env = \"LEADS_STORAGE\" }")
    }

    /// An Azure table whose connection string lies in this file.
    pub(crate) fn azure_of(self, name: &str, file: &str) -> Self {
        let lines = format!("connection_string = {{ file = \"{file}\" }}");
        self.table_connection(name, "azure_table", &lines)
    }

    /// The state folder's `mail`.
    pub(crate) fn folder(self, name: &str) -> Self {
        self.mail_connection(name, "mail_folder", "")
    }

    /// A server on that port, without TLS and login.
    pub(crate) fn smtp(self, name: &str, port: u16) -> Self {
        let server = format!("host = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"");
        self.mail_connection(name, "smtp", &server).more("from = \"leads@contoso.example\"")
    }

    /// A server on that port, with STARTTLS and AUTH.
    pub(crate) fn relay(self, name: &str, port: u16) -> Self {
        self.mail_connection(name, "smtp", &relay_lines(port))
    }

    pub(crate) fn flow(mut self, name: &str) -> Self {
        name.clone_into(&mut self.flow);
        for part in ["", ".recurrence", ".window", ".table", ".email"] {
            self.sections.push((format!("flows.{name}{part}"), String::new()));
        }
        let (table, mail) = (self.table.clone(), self.mail.clone());
        self.every("hour").reads(&table, "leads").mails_by(&mail).to("sales@contoso.example")
    }

    /// Microsoft's own flow, each hour and for two recipients.
    pub(crate) fn guide_flow(self, table: &str) -> Self {
        self.flow("marketplace-leads")
            .of_flow("description = \"New marketplace leads\"")
            .condition("length > 0")
            .interval(1)
            .window("unit = \"hour\"\ninterval = 1")
            .reads("marketplace", table)
            .filter(SINCE)
            .to("sales@contoso.example; partners@contoso.example")
            .subject("새로운 잠재 고객! ({{length}})")
            .more("template = \"marketplace-leads\"")
    }

    pub(crate) fn every(self, frequency: &str) -> Self {
        self.set(".recurrence", "frequency", &text(frequency))
    }

    pub(crate) fn interval(self, count: u32) -> Self {
        self.set(".recurrence", "interval", &count.to_string())
    }

    /// A window that was over long ago when the next command has started.
    pub(crate) fn of_a_second(self) -> Self {
        self.set(".window", "unit", &text("second"))
    }

    /// Of another connection, or another table.
    pub(crate) fn reads(self, connection: &str, name: &str) -> Self {
        self.set(".table", "connection", &text(connection)).set(".table", "name", &text(name))
    }

    pub(crate) fn filter(self, filter: &str) -> Self {
        self.set(".table", "filter", &text(filter))
    }

    /// By another connection.
    pub(crate) fn mails_by(self, connection: &str) -> Self {
        self.set(".email", "connection", &text(connection))
    }

    /// By the first of these connections that works.
    pub(crate) fn mails_by_any(self, connections: &[&str]) -> Self {
        self.set(".email", "connection", &format!("{connections:?}"))
    }

    pub(crate) fn to(self, recipients: &str) -> Self {
        self.set(".email", "to", &text(recipients))
    }

    pub(crate) fn subject(self, template: &str) -> Self {
        self.set(".email", "subject", &text(template))
    }

    pub(crate) fn body(self, template: &str) -> Self {
        self.set(".email", "body", &text(template))
    }

    pub(crate) fn condition(self, condition: &str) -> Self {
        self.set("", "condition", &text(condition))
    }

    /// More lines of the flow itself.
    pub(crate) fn of_flow(self, lines: &str) -> Self {
        self.add("", lines)
    }

    /// Lines of the flow's window.
    pub(crate) fn window(self, lines: &str) -> Self {
        self.add(".window", lines)
    }

    /// More lines of the flow's table.
    pub(crate) fn of_table(self, lines: &str) -> Self {
        self.add(".table", lines)
    }

    /// More lines of what came last: a connection, or a flow's email.
    pub(crate) fn more(mut self, lines: &str) -> Self {
        let (_, last) = self.sections.last_mut().unwrap();
        append(last, lines);
        self
    }

    fn of(&mut self, part: &str) -> &mut String {
        let name = format!("flows.{}{part}", self.flow);
        &mut self.sections.iter_mut().rfind(|(section, _)| *section == name).unwrap().1
    }

    fn add(mut self, part: &str, lines: &str) -> Self {
        append(self.of(part), lines);
        self
    }

    /// Sets a value of the flow that was begun last.
    fn set(mut self, part: &str, key: &str, value: &str) -> Self {
        let (lines, start) = (self.of(part), format!("{key} = "));
        let line = format!("{start}{value}");
        let old = lines.lines().find(|line| line.starts_with(&start)).map(str::to_owned);
        match old {
            Some(old) => *lines = lines.replacen(&old, &line, 1),
            None => append(lines, &line),
        }
        self
    }
}

/// A text of TOML.
fn text(words: &str) -> String {
    format!("\"{words}\"")
}

fn append(text: &mut String, lines: &str) {
    text.push_str(lines);
    if !lines.is_empty() && !lines.ends_with('\n') {
        text.push('\n');
    }
}

impl fmt::Display for FlowsToml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_told = |(name, lines): &&(String, String)| !(lines.is_empty() && name.starts_with("flows."));
        self.sections.iter().filter(is_told).try_for_each(|(name, lines)| match name.as_str() {
            "" => f.write_str(lines),
            name => write!(f, "[{name}]\n{lines}"),
        })
    }
}

fn relay_lines(port: u16) -> String {
    format!(
        "host = \"127.0.0.1\"\nport = {port}\nsecurity = \"starttls\"\n\
         from = \"Contoso leads <leads@contoso.example>\"\nper_minute = 1000\n\
         login = {{ username = \"{}\", password = {{ file = \"mail-password\" }} }}\nca_file = \"{}\"\n",
        mail_server::USER,
        certificates().authority.display(),
    )
}

/// Microsoft's own flow on Azurite, mailed by a server on that port, with STARTTLS and AUTH.
pub(crate) fn guide(table: &str, port: u16) -> FlowsToml {
    FlowsToml::new().azure("marketplace").relay("relay", port).guide_flow(table)
}

//! Connections of flows.toml that sign in to the stand-in.

use super::{APPLICATION, MAILBOX, Microsoft, TENANT};
use crate::support::certificates::certificates;
use crate::support::flows_toml::FlowsToml;
use crate::support::mail_server::MailServer;

/// This machine's own identity signs in.
pub(crate) const MANAGED: &str = "entra = { managed_identity = true }";

/// The application that has a secret, under this key.
pub(crate) fn application(key: &str) -> String {
    format!(
        "{key} = {{ tenant_id = \"{TENANT}\", client_id = \"{APPLICATION}\", client_secret = {{ file = \"client-secret\" }} }}"
    )
}

impl FlowsToml {
    /// The mail connection `office365`.
    pub(crate) fn graph(self, sign_in: &str) -> Self {
        self.graph_of("office365", sign_in)
    }

    /// As [`Self::graph`], of another name.
    pub(crate) fn graph_of(self, name: &str, sign_in: &str) -> Self {
        let mailbox = format!("mailbox = \"Contoso leads <{MAILBOX}>\"\nper_minute = 1000");
        self.mail_connection(name, "graph", &mailbox).more(sign_in)
    }

    /// The table connection `marketplace`, of the account `contosoleads`.
    pub(crate) fn contoso(self, sign_in: &str) -> Self {
        self.table_connection("marketplace", "azure_table", "account = \"contosoleads\"").more(sign_in)
    }

    /// The mail connection `office365`, with XOAUTH2 over STARTTLS.
    pub(crate) fn xoauth2(self, port: u16, sign_in: &str) -> Self {
        let server = format!("host = \"127.0.0.1\"\nport = {port}\nfrom = \"{MAILBOX}\"\nper_minute = 1000");
        let login = format!("login = {{ username = \"{MAILBOX}\", {sign_in} }}");
        let authority = format!("ca_file = \"{}\"", certificates().authority.display());
        self.mail_connection("office365", "smtp", &server).more(&login).more(&authority)
    }
}

/// An SMTP server that takes the tokens which Entra ID has issued for it.
pub(crate) fn smtp_server(microsoft: &Microsoft, more: &[&str]) -> (MailServer, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "").unwrap();
    let server = MailServer::start(&[&["--tokens", tokens.to_str().unwrap()], more].concat());
    microsoft.state().smtp_tokens = Some(tokens);
    (server, folder)
}

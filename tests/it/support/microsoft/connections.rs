//! Connections of flows.toml that sign in to the stand-in.

use super::{APPLICATION, MAILBOX, Microsoft, TENANT};
use crate::support::certificates::certificates;
use crate::support::mail_server::MailServer;

/// This machine's own identity signs in.
pub(crate) const MANAGED: &str = "entra = { managed_identity = true }";

/// The application that has a secret, under this key.
pub(crate) fn application(key: &str) -> String {
    format!(
        "{key} = {{ tenant_id = \"{TENANT}\", client_id = \"{APPLICATION}\", client_secret = {{ file = \"client-secret\" }} }}"
    )
}

pub(crate) fn graph(sign_in: &str) -> String {
    format!(
        "[connections.office365.graph]\nmailbox = \"Contoso leads <{MAILBOX}>\"\nper_minute = 1000\n{sign_in}\n\n"
    )
}

pub(crate) fn table(sign_in: &str) -> String {
    format!("[connections.marketplace.azure_table]\naccount = \"contosoleads\"\n{sign_in}\n\n")
}

/// `[connections.office365.smtp]` with XOAUTH2 over STARTTLS.
pub(crate) fn smtp(port: u16, sign_in: &str) -> String {
    format!(
        "[connections.office365.smtp]\nhost = \"127.0.0.1\"\nport = {port}\nfrom = \"{MAILBOX}\"\nper_minute = 1000\n\
         login = {{ username = \"{MAILBOX}\", {sign_in} }}\nca_file = \"{}\"\n\n",
        certificates().authority.display()
    )
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

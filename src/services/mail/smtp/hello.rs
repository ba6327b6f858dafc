//! Who this machine says it is, and what the server offers: EHLO or HELO.

use std::net::IpAddr;

use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::extension::ClientId;

use super::reply::Reply;
use super::transport::{SmtpTransport, TransportError};
use crate::flow::address_literal;

/// What a server offers, by its EHLO keywords; they count in any letter case (RFC 5321, 2.4).
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Capabilities {
    pub(super) starttls: bool,
    /// In capitals.
    mechanisms: Vec<String>,
}

impl Capabilities {
    fn from_reply(reply: &Reply) -> Self {
        let mut capabilities = Self::default();
        for line in &reply.lines {
            // `AUTH=LOGIN` is what servers wrote before RFC 2554, and some write both.
            let line = line.to_ascii_uppercase().replace('=', " ");
            let mut words = line.split_whitespace();
            match words.next() {
                Some("STARTTLS") => capabilities.starttls = true,
                Some("AUTH") => capabilities.mechanisms.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        capabilities
    }

    pub(super) fn has(&self, mechanism: Mechanism) -> bool {
        self.mechanisms.iter().any(|offered| *offered == mechanism.to_string())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.mechanisms.is_empty()
    }

    /// By any of the mechanisms for tokens of OAuth.
    pub(super) fn takes_tokens(&self) -> bool {
        self.mechanisms.iter().any(|offered| offered == "XOAUTH2" || offered == "OAUTHBEARER")
    }

    /// The mechanisms in words.
    pub(super) fn logins(&self) -> String {
        if self.mechanisms.is_empty() { "none".to_owned() } else { self.mechanisms.join(", ") }
    }
}

/// What this machine is called: what flows.toml says; its name, where that is a whole one; or the
/// address that it has at this end of the connection. RFC 5321 (4.1.4) has it so, and servers refuse
/// a name that is not whole (`reject_non_fqdn_helo_hostname` of Postfix).
pub(super) fn name(helo: Option<&str>, address: Option<IpAddr>) -> String {
    let machine = ClientId::default();
    helo.map(str::to_owned)
        .or_else(|| whole_name(&machine.to_string()))
        .or_else(|| address.map(address_literal))
        .unwrap_or_else(|| machine.to_string())
}

/// A machine's name in letters, digits and hyphens with a domain of its own.
fn whole_name(name: &str) -> Option<String> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let is_label = |label: &str| {
        let fits = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        fits && !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
    };
    let (host, domain) = name.split_once('.')?;
    let top = domain.rsplit('.').next()?;
    let is_everybodys =
        host == "localhost" || top == "localdomain" || top.bytes().all(|b| b.is_ascii_digit());
    (name.len() <= 255 && !is_everybodys && name.split('.').all(is_label)).then_some(name)
}

/// EHLO; HELO where the server does not know or like it.
pub(super) async fn hello(transport: &mut SmtpTransport, name: &str) -> Result<Capabilities, TransportError> {
    let refusal = match transport.ask(format!("EHLO {name}\r\n"), 2).await {
        Ok(reply) => return Ok(Capabilities::from_reply(&reply)),
        Err(TransportError::Refused(refusal)) if refusal.class() == 5 => refusal,
        Err(failure) => return Err(failure),
    };
    match transport.ask(format!("HELO {name}\r\n"), 2).await {
        Ok(_) => Ok(Capabilities::default()),
        Err(failure @ TransportError::Refused(_)) => Err(failure),
        Err(_) => Err(TransportError::Refused(refusal)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_called_by_its_whole_name_or_its_address() {
        for (machine, whole) in [
            ("vm1.contoso.example", Some("vm1.contoso.example")),
            ("VM1.Contoso.Example.", Some("vm1.contoso.example")),
            ("vm1.x1y2.internal.cloudapp.net", Some("vm1.x1y2.internal.cloudapp.net")),
            ("ec2-10-0-0-4.contoso.example", Some("ec2-10-0-0-4.contoso.example")),
            ("vm1", None),
            ("localhost", None),
            ("localhost.localdomain", None),
            ("localhost.contoso.example", None),
            ("vm1.localdomain", None),
            ("vm_1.contoso.example", None),
            ("-vm1.contoso.example", None),
            ("vm1..example", None),
            ("10.0.0.4", None),
            ("[127.0.0.1]", None),
            ("가.example", None),
            ("vm1.example\r\nMAIL", None),
            ("", None),
            (".", None),
        ] {
            assert_eq!(whole_name(machine).as_deref(), whole, "{machine}");
        }
        for (address, expected) in [
            ("10.0.0.4", "[10.0.0.4]"),
            ("2001:db8::4", "[IPv6:2001:db8::4]"),
            ("::ffff:10.0.0.4", "[10.0.0.4]"),
        ] {
            assert_eq!(address_literal(address.parse().unwrap()), expected);
        }
        assert_eq!(name(Some("mail.contoso.example"), None), "mail.contoso.example");
    }

    #[test]
    fn keywords_are_read_in_any_case_and_form() {
        let of = |lines: &[&str]| {
            Capabilities::from_reply(&Reply {
                code: 250,
                lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            })
        };
        for (lines, starttls, logins) in [
            (
                &["mail.contoso.example hello", "SIZE 1", "STARTTLS", "AUTH PLAIN LOGIN"][..],
                true,
                "PLAIN, LOGIN",
            ),
            (&["x", "starttls", "auth login plain"], true, "LOGIN, PLAIN"),
            (&["x", "AUTH=LOGIN", "AUTH xoauth2"], false, "LOGIN, XOAUTH2"),
            (&["x", "AUTH\tCRAM-MD5  plain"], false, "CRAM-MD5, PLAIN"),
            (&["x", "AUTH", "XXXXXXXA", "STARTTLSX"], false, "none"),
            (&[], false, "none"),
        ] {
            let capabilities = of(lines);
            assert_eq!(
                (capabilities.starttls, capabilities.logins().as_str()),
                (starttls, logins),
                "{lines:?}"
            );
        }
        assert!(of(&["auth xoauth2"]).has(Mechanism::Xoauth2) && !of(&["auth loginx"]).has(Mechanism::Login));
    }
}

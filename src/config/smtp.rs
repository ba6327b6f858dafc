//! `[connections.NAME.smtp]`.

use std::net::{IpAddr, Ipv6Addr};

use toml::Spanned;

use super::connections::PER_MINUTE;
use super::entra;
use super::reader::Section;
use super::values::Folders;
use crate::flow::Cloud;
use crate::flow::{Login, Security, SmtpConnection, SmtpCredential};

const HELP_FOR_HOST: &str = "write host = \"smtp.contoso.example\"";

pub(super) fn read(section: Section<'_>, folders: &Folders) -> Option<SmtpConnection> {
    let host = host(&section);
    let choices = [("starttls", Security::StartTls), ("tls", Security::Tls), ("none", Security::None)];
    let security = section.choice("security", &choices).unwrap_or(Security::StartTls);
    let default_port = match security {
        Security::Tls => 465,
        Security::StartTls => 587,
        Security::None => 25,
    };
    let port =
        section.integer("port", 1..=65_535).and_then(|port| u16::try_from(port).ok()).unwrap_or(default_port);
    if let Some(host) =
        host.as_ref().filter(|host| security == Security::None && !is_loopback(host.get_ref()))
    {
        let message = format!(
            "security = \"none\" would send leads and the password unencrypted to {}",
            host.get_ref()
        );
        section.problems.error(
            host.span(),
            message,
            "write security = \"starttls\" or \"tls\"; none is allowed for this machine only",
        );
    }
    let from = section.address("from");
    if !section.has("from") {
        section.missing("from", "write from = \"Leads <leads@contoso.example>\"");
    }
    let cloud = entra::cloud(&section);
    let login_section = section.section("login");
    let has_oauth = login_section.as_ref().is_some_and(|login| login.has("oauth"));
    if let Some(span) = section.span_of("cloud").filter(|_| !has_oauth) {
        section.problems.error(span, "`cloud` can only be used with `oauth`", "remove it");
    }
    let login = login_section.and_then(|section| login(section, cloud, folders));
    let ca_file = section.ca_file(folders);
    let per_minute = section.integer("per_minute", 1..=10_000).unwrap_or(PER_MINUTE);
    let helo = helo(&section);
    section.finish();
    let host = host?.into_inner();
    Some(SmtpConnection { host, port, security, from: from?, login, ca_file, per_minute, helo })
}

/// As name look-ups and certificates have it.
fn host(section: &Section<'_>) -> Option<Spanned<String>> {
    let Some(written) = section.text("host") else {
        if !section.has("host") {
            section.missing("host", HELP_FOR_HOST);
        }
        return None;
    };
    let Some(host) = host_of(written.get_ref()) else {
        let name = written.get_ref();
        let help = match name.rsplit_once(':') {
            Some((host, port)) if host_of(host).is_some() && port.parse::<u16>().is_ok() => {
                format!("write host = \"{host}\" and port = {port}")
            }
            _ => "write only the name or the address, host = \"smtp.contoso.example\"; the port goes into \
                  `port`"
                .to_owned(),
        };
        section.problems.error(written.span(), format!("`{name}` is not a valid host name"), help);
        return None;
    };
    Some(Spanned::new(written.span(), host))
}

/// A name in ASCII, or an address without brackets.
pub(super) fn host_of(written: &str) -> Option<String> {
    let bare = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(written);
    if let Ok(address) = bare.parse::<Ipv6Addr>() {
        return Some(address.to_string());
    }
    match url::Host::parse(written).ok()? {
        url::Host::Domain(name) => {
            // A dot at the end is the root's, which no certificate names.
            let name = name.strip_suffix('.').unwrap_or(&name);
            (!name.is_empty()).then(|| name.to_owned())
        }
        url::Host::Ipv4(address) => Some(address.to_string()),
        url::Host::Ipv6(address) => Some(address.to_string()),
    }
}

fn helo(section: &Section<'_>) -> Option<String> {
    let written = section.text("helo")?;
    let name = helo_of(written.get_ref());
    if name.is_none() {
        let message = format!("`{}` is not a valid name for EHLO", written.get_ref());
        let help = "write this machine's full name, helo = \"vm1.contoso.example\", or its address, helo = \
                    \"[192.0.2.4]\"";
        section.problems.error(written.span(), message, help);
    }
    name
}

/// A domain, or an address as RFC 5321 (4.1.3) writes it.
fn helo_of(written: &str) -> Option<String> {
    let bare = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(written);
    let begin = bare.get(..5).filter(|begin| begin.eq_ignore_ascii_case("IPv6:"));
    let bare = begin.map_or(bare, |begin| &bare[begin.len()..]);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Some(crate::flow::address_literal(address));
    }
    let url::Host::Domain(name) = url::Host::parse(written).ok()? else { return None };
    let is_label = |label: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !label.is_empty() && label.chars().all(fits)
    };
    (name.len() <= 255 && name.split('.').all(is_label)).then_some(name)
}

fn login(section: Section<'_>, cloud: Cloud, folders: &Folders) -> Option<Login> {
    let username = section.text("username");
    let password = section.secret("password", folders);
    let oauth = entra::read(&section, "oauth", cloud, folders);
    match (section.has("password"), section.has("oauth")) {
        (true, true) => {
            let help = "remove one of them; Office 365 requires `oauth`";
            section.problems.error(section.span(), "`login` has both `password` and `oauth`", help);
        }
        (false, false) => section.missing(
            "password",
            "write login = { username = \"…\", password = { file = \"…\" } }, or oauth = { … } for Office 365",
        ),
        _ => {}
    }
    if !section.has("username") {
        let help = if section.has("oauth") {
            "write the address of the mailbox: username = \"leads@contoso.example\""
        } else {
            "write login = { username = \"…\", password = { file = \"…\" } }"
        };
        section.missing("username", help);
    }
    section.finish();
    let credential = oauth.map(SmtpCredential::OAuth).or(password.map(SmtpCredential::Password));
    Some(Login { username: username?.into_inner(), credential: credential? })
}

pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_of_any_form() {
        for (written, host) in [
            ("smtp.contoso.example", Some("smtp.contoso.example")),
            ("SMTP.Contoso.Example.", Some("smtp.contoso.example")),
            ("relay", Some("relay")),
            ("메일.contoso.example", Some("xn--h32bq4v.contoso.example")),
            ("192.0.2.4", Some("192.0.2.4")),
            ("::1", Some("::1")),
            ("[::1]", Some("::1")),
            ("[2001:DB8:0::0004]", Some("2001:db8::4")),
            ("2001:db8::4", Some("2001:db8::4")),
            ("smtp.contoso.example:587", None),
            ("[::1]:25", None),
            ("[::1", None),
            ("smtp://contoso.example", None),
            ("smtp contoso", None),
            ("", None),
            (".", None),
        ] {
            assert_eq!(host_of(written).as_deref(), host, "{written}");
        }
        assert!(["localhost", "127.0.0.1", "::1", "[::1]", "127.9.9.9"].into_iter().all(is_loopback));
        assert!(!["2001:db8::4", "localhost.example"].into_iter().any(is_loopback));
    }

    #[test]
    fn a_greeting_is_a_domain_or_an_address_in_brackets() {
        for (written, helo) in [
            ("vm1.contoso.example", Some("vm1.contoso.example")),
            ("VM1", Some("vm1")),
            ("메일.contoso.example", Some("xn--h32bq4v.contoso.example")),
            ("192.0.2.4", Some("[192.0.2.4]")),
            ("[192.0.2.4]", Some("[192.0.2.4]")),
            ("2001:db8::4", Some("[IPv6:2001:db8::4]")),
            ("[ipv6:2001:DB8::4]", Some("[IPv6:2001:db8::4]")),
            ("vm1 contoso", None),
            ("vm1\r\nMAIL FROM:<x>", None),
            ("leads@contoso.example", None),
            ("vm1..example", None),
            ("vm!1", None),
            ("가가가가", Some("xn--o39aaaa")),
            ("", None),
        ] {
            assert_eq!(helo_of(written).as_deref(), helo, "{written}");
        }
    }
}

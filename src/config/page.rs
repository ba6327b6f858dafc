//! `[settings.page]`.

mod people;

use std::net::{IpAddr, SocketAddr};

use jiff::tz::TimeZone;
use toml::Spanned;

use super::reader::Section;
use super::smtp::host_of;
use super::values::Folders;
use crate::flow::{Listen, PageProxy, PageSettings, PageTls, Role};

/// The words of a role.
const ROLES: [(&str, Role); 2] = [("view", Role::View), ("operate", Role::Operate)];
/// What comes before the path of a socket.
const SOCKET: &str = "unix:";
/// Bytes of the longest path that a socket can have.
const LONGEST_SOCKET: usize = 107;
/// Signs of the longest name of a header.
const LONGEST_HEADER: usize = 64;

/// The page; `None` where something has a problem that leaves no page, which is then reported.
pub(super) fn read(section: Section<'_>, folders: &Folders, zone: &TimeZone) -> Option<PageSettings> {
    let listen = listen(&section, folders);
    let hosts = hosts(&section);
    let tls = section.section("tls").map(|tls| tls_of(tls, folders));
    let is_socket = matches!(listen, Some(Listen::Unix(_)));
    let proxy = section.section("proxy").map(|proxy| proxy_of(proxy, is_socket));
    let is_named_by_proxy = proxy.as_ref().is_some_and(|proxy| proxy.is_naming);
    let users = people::users(&section, folders, is_named_by_proxy);
    let tokens = people::tokens(&section, zone);
    let others = proxy.as_ref().is_some_and(|proxy| proxy.settings.others.is_some());
    let is_anybody = others || users.is_written || tokens.is_written;
    let is_tls_broken = matches!(tls, Some(None));
    let page = listen.filter(|_| !is_tls_broken).map(|listen| PageSettings {
        listen,
        hosts,
        tls: tls.flatten(),
        proxy: proxy.map(|proxy| proxy.settings),
        users: users.whole,
        tokens: tokens.whole,
    });
    if let Some(page) = &page {
        check(&section, page, is_anybody);
    }
    section.finish();
    page
}

/// What no key has wrong alone.
fn check(section: &Section<'_>, page: &PageSettings, is_anybody: bool) {
    let at = |key| section.span_of(key).unwrap_or_else(|| section.span());
    let problems = section.problems;
    let is_socket = matches!(page.listen, Listen::Unix(_));
    if section.has("tls") && section.has("proxy") {
        let help = "remove `tls` where the proxy speaks TLS to the browsers, or `proxy` where there is none";
        problems.error(at("proxy"), "[settings.page] has both `tls` and `proxy`", help);
    } else if section.has("tls") && is_socket {
        problems.error(
            at("tls"),
            "`tls` cannot be used with a Unix socket",
            "remove it; no browser opens a socket",
        );
    }
    if page.is_local() {
        return;
    }
    if !page.is_secure() {
        let help = "write tls = { certificate = \"page.crt\", key = { credential = \"page-key\" } }, or \
                    [settings.page.proxy] for a proxy that speaks TLS; or listen = \"127.0.0.1:8930\" for this machine alone";
        problems.error(
            at("listen"),
            "other machines reach this address, and the page would be sent without TLS",
            help,
        );
    }
    if !is_anybody {
        let help = "write [settings.page.users.NAME], which `leadflow page password --user NAME` prints; behind a proxy that \
                    signs people in: user_header and others = \"view\"";
        problems.error(section.span(), "nobody can sign in to [settings.page]", help);
    }
    if let Listen::Tcp(address) = page.listen
        && address.ip().is_unspecified()
        && !section.has("hosts")
    {
        let help = "write hosts = [\"leads.contoso.example\"], the names that people type into the browser";
        problems.error(
            at("listen"),
            format!(
                "`{}` means every address of this machine, and [settings.page] has no `hosts`",
                address.ip()
            ),
            help,
        );
    }
}

fn listen(section: &Section<'_>, folders: &Folders) -> Option<Listen> {
    let Some(written) = section.text("listen") else {
        return (!section.has("listen")).then_some(Listen::Tcp(PageSettings::LISTEN));
    };
    let text = written.get_ref();
    if let Some(path) = text.strip_prefix(SOCKET) {
        let path = folders.config.join(path);
        let length = path.as_os_str().len();
        if text.len() == SOCKET.len() || text.ends_with('/') {
            let help = "write listen = \"unix:/run/leadflow/page.sock\"";
            section.problems.error(written.span(), "`listen` does not name the file of a socket", help);
            return None;
        }
        if length > LONGEST_SOCKET {
            let message = format!("the path of the socket has {length} bytes; the limit is {LONGEST_SOCKET}");
            section.problems.error(written.span(), message, "use a shorter one, as /run/leadflow/page.sock");
            return None;
        }
        return Some(Listen::Unix(path));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        if address.port() == 0 {
            let help = format!("write a port, as {}", PageSettings::LISTEN.port());
            section.problems.warn(written.span(), "port 0 is another free port at each start", help);
        }
        return Some(Listen::Tcp(address));
    }
    let message = format!("`{text}` is not an address to listen on");
    section.problems.error(written.span(), message, instead_of_address(text));
    None
}

/// What to write for what is no address with its port.
fn instead_of_address(text: &str) -> String {
    let own = PageSettings::LISTEN;
    let port_of = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let (name, port) = text.rsplit_once(':').map_or((text, None), |(name, port)| (name, port_of(port)));
    match (port, port_of(text)) {
        _ if text.contains("://") => format!("write only the address and the port, listen = \"{own}\""),
        _ if text.starts_with('/') => format!("write listen = \"{SOCKET}{text}\""),
        _ if bare.parse::<IpAddr>().is_ok() => {
            let address = bare.parse().unwrap_or(own.ip());
            format!("write it with its port, listen = \"{}\"", SocketAddr::new(address, own.port()))
        }
        (_, Some(port)) => format!("write listen = \"{}:{port}\"", own.ip()),
        (Some(port), _) if name.is_empty() || name == "localhost" => {
            format!("write listen = \"{}:{port}\"", own.ip())
        }
        (Some(_), _) => {
            format!("write an address of this machine, listen = \"{own}\"; names go into `hosts`")
        }
        _ => format!(
            "write an address and a port, listen = \"{own}\", or a socket, \"unix:/run/leadflow/page.sock\""
        ),
    }
}

fn hosts(section: &Section<'_>) -> Vec<String> {
    let name_of = |written: &Spanned<String>| {
        let name = written.get_ref();
        let found = host_of(name).filter(|_| !name.contains('*'));
        if found.is_none() {
            let without_scheme = name.split_once("://").map_or(name.as_str(), |(_, rest)| rest);
            let without_path = without_scheme.split('/').next().unwrap_or_default();
            let bare = without_path.rsplit_once(':').map_or(without_path, |(host, _)| host);
            let help = match host_of(bare).filter(|bare| bare != name && !bare.contains('*')) {
                Some(bare) => format!("write only the name, \"{bare}\""),
                None => {
                    "write the names that people type into the browser, hosts = [\"leads.contoso.example\"]"
                        .to_owned()
                }
            };
            section.problems.error(written.span(), format!("`{name}` is not a valid host name"), help);
        }
        found
    };
    section.texts("hosts").iter().filter_map(name_of).collect()
}

fn tls_of(section: Section<'_>, folders: &Folders) -> Option<PageTls> {
    let certificate = section.certificate("certificate", folders);
    let key = section.secret("key", folders);
    for (name, help) in [
        (
            "certificate",
            "write certificate = \"page.crt\", a file with the certificate and its chain in PEM form",
        ),
        ("key", "write key = { credential = \"page-key\" }, the certificate's private key in PEM form"),
    ] {
        if !section.has(name) {
            section.missing(name, help);
        }
    }
    section.finish();
    Some(PageTls { certificate: certificate?, key: key? })
}

/// A proxy, and whether it is to name who has signed in.
struct Proxy {
    settings: PageProxy,
    is_naming: bool,
}

fn proxy_of(section: Section<'_>, is_socket: bool) -> Proxy {
    let address_of = |written: &Spanned<String>| {
        let found = written.get_ref().parse::<IpAddr>().ok();
        if found.is_none() {
            let message = format!("`{}` is not an IP address", written.get_ref());
            let help = "write the addresses that the proxy speaks from, from = [\"127.0.0.1\"]; a network or a name is not enough";
            section.problems.error(written.span(), message, help);
        }
        found
    };
    let written = section.texts("from");
    let from: Vec<IpAddr> = written.iter().filter_map(address_of).collect();
    if written.is_empty() && section.has("from") && section.is_list("from") {
        let span = section.span_of("from").unwrap_or_else(|| section.span());
        section.problems.error(span, "`from` has no address", "write from = [\"127.0.0.1\"]");
    } else if !section.has("from") && !is_socket {
        section.missing("from", "write from = \"127.0.0.1\", the address that the proxy speaks from");
    }
    let user_header = section.text("user_header").and_then(|written| header_of(&section, &written));
    let others = section.choice("others", &ROLES);
    let is_naming = section.has("user_header");
    if let Some(span) = section.span_of("others").filter(|_| !is_naming) {
        let help = "write user_header = \"X-Forwarded-User\", the header in which the proxy names who has signed in, or remove it";
        section.problems.error(span, "`others` can only be used with `user_header`", help);
    }
    section.finish();
    Proxy { settings: PageProxy { from, user_header, others }, is_naming }
}

fn header_of(section: &Section<'_>, written: &Spanned<String>) -> Option<String> {
    let name = written.get_ref();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.len() <= LONGEST_HEADER && name.chars().all(fits) {
        return Some(name.to_ascii_lowercase());
    }
    let help = "write user_header = \"X-Forwarded-User\"";
    section.problems.error(written.span(), format!("`{name}` is not a valid name of a header"), help);
    None
}

#[cfg(test)]
mod tests;

//! Who asks: by a session, a token, a proxy's word, or nobody.

use std::net::IpAddr;

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};

use super::peer::is_of;
use super::{SESSION_COOKIE, cookie, fingerprint};
use crate::flow::{Listen, PageSettings, PageToken, Role};
use crate::platform::passwords;
use crate::web::failure::Failure;
use crate::web::server::Peer;
use crate::web::site::Site;

/// Who asks, and what they may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::web) struct Visitor {
    /// `None` where nobody has signed in.
    pub(in crate::web) name: Option<String>,
    /// `None` where nobody has signed in.
    pub(in crate::web) role: Option<Role>,
    pub(in crate::web) way: Way,
    /// What a form has to carry, so that no other site can send it.
    pub(in crate::web) form_token: String,
}

/// How it is known who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum Way {
    /// Nobody has signed in.
    Guest,
    /// By the cookie of a session.
    Session,
    /// A proxy says so.
    Proxy,
    /// By a token of the API.
    Token,
}

impl Visitor {
    pub(in crate::web) fn guest() -> Self {
        Self { name: None, role: None, way: Way::Guest, form_token: String::new() }
    }

    /// Whether personal data may be shown.
    pub(in crate::web) fn has_signed_in(&self) -> bool {
        self.role.is_some()
    }

    /// Whether flows may be run and mails decided about.
    pub(in crate::web) fn may_operate(&self) -> bool {
        self.role == Some(Role::Operate)
    }

    /// As it stands in the history.
    pub(in crate::web) fn as_asker(&self) -> String {
        let way = if self.way == Way::Token { "token" } else { "page" };
        format!("{} ({way})", self.name.as_deref().unwrap_or("somebody"))
    }
}

/// Who asks, where this page is for them at all.
///
/// # Errors
/// Why not.
pub(in crate::web) fn admitted(site: &Site, page: &PageSettings, parts: &Parts) -> Result<Visitor, Failure> {
    let headers = &parts.headers;
    check_host(page, parts)?;
    let peer = parts.extensions.get::<Peer>().copied();
    let visitor = visitor(site, page, headers, peer)?;
    if is_changing(&parts.method) && visitor.way != Way::Token {
        check_origin(headers)?;
    }
    Ok(visitor)
}

fn visitor(
    site: &Site,
    page: &PageSettings,
    headers: &HeaderMap,
    peer: Option<Peer>,
) -> Result<Visitor, Failure> {
    if let Some(line) = headers.get(header::AUTHORIZATION) {
        let token = line.to_str().ok().and_then(bearer);
        let known = token.and_then(|token| of_token(site, page, token));
        return known.ok_or_else(|| {
            Failure::new(StatusCode::UNAUTHORIZED, "the token is not known, or it has ended")
                .with_help("`leadflow page token` makes one; settings.page.tokens of flows.toml lists them")
        });
    }
    if let Some(visitor) = of_proxy(page, headers, peer)? {
        return Ok(visitor);
    }
    let name = cookie(headers, SESSION_COOKIE);
    let signed_in = name.and_then(|name| {
        let find = |user: &str| page.users.get(user);
        site.sessions.find(name, site.clock.steady(), find)
    });
    Ok(signed_in.map_or_else(Visitor::guest, |signed_in| Visitor {
        role: page.users.get(&signed_in.user).map(|user| user.role),
        name: Some(signed_in.user),
        way: Way::Session,
        form_token: signed_in.form_token,
    }))
}

/// The scheme counts in any letter case (RFC 9110, 11.1).
fn bearer(line: &str) -> Option<&str> {
    let (scheme, token) = line.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn of_token(site: &Site, page: &PageSettings, token: &str) -> Option<Visitor> {
    let hash = passwords::token_hash(token);
    let now = site.clock.now();
    let is_it = |known: &PageToken| known.hash == hash && known.until.is_none_or(|until| now < until);
    let (name, known) = page.tokens.iter().find(|(_, known)| is_it(known))?;
    Some(Visitor {
        name: Some(name.clone()),
        role: Some(known.role),
        way: Way::Token,
        form_token: String::new(),
    })
}

/// Whom the proxy names. Of others than it the header says nothing.
fn of_proxy(
    page: &PageSettings,
    headers: &HeaderMap,
    peer: Option<Peer>,
) -> Result<Option<Visitor>, Failure> {
    let Some(proxy) = &page.proxy else { return Ok(None) };
    let Some(header) = &proxy.user_header else { return Ok(None) };
    let is_proxy = peer.is_some_and(|peer| is_of(proxy, peer));
    let mut named = headers.get_all(header.as_str()).iter();
    let Some(value) = named.next().filter(|_| is_proxy) else { return Ok(None) };
    let name = value.to_str().ok().map(str::trim).filter(|name| is_name(name));
    // Two of them mean that somebody else has written one.
    let Some(name) = name.filter(|_| named.next().is_none()) else { return Ok(None) };
    let role = page.users.get(name).map(|user| user.role).or(proxy.others);
    let Some(role) = role else {
        return Err(Failure::new(StatusCode::FORBIDDEN, "the page is not for this user")
            .with_help("an administrator adds the user to settings.page.users of flows.toml"));
    };
    Ok(Some(Visitor {
        name: Some(name.to_owned()),
        role: Some(role),
        way: Way::Proxy,
        form_token: name_token(name),
    }))
}

/// What forms of somebody carry whom a proxy knows: another site does not know it, for it is of this process.
fn name_token(name: &str) -> String {
    use std::fmt::Write as _;
    static SECRET: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| super::random_text().unwrap_or_default());
    fingerprint(&format!("{} {name}", *SECRET)).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 128 && name.chars().all(|c| c.is_ascii_graphic())
}

/// A name that leads here and is not the page's own may be another site's, which reads the page so (DNS rebinding).
fn check_host(page: &PageSettings, parts: &Parts) -> Result<(), Failure> {
    let named = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let mut hosts = parts.headers.get_all(header::HOST).iter().skip(1);
    let host = named.filter(|_| hosts.next().is_none()).unwrap_or_default();
    let host = without_port(host).to_ascii_lowercase();
    let is_ours = page.hosts.contains(&host) || is_of_this_machine(page, &host);
    if is_ours {
        return Ok(());
    }
    Err(Failure::new(StatusCode::MISDIRECTED_REQUEST, "the page is not served under this name")
        .with_help("add the name to settings.page.hosts of flows.toml"))
}

/// The names of a page that only this machine reaches, and the address that it listens on.
fn is_of_this_machine(page: &PageSettings, host: &str) -> bool {
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    match &page.listen {
        Listen::Unix(_) => host == "localhost",
        Listen::Tcp(at) if at.ip().is_loopback() => {
            host == "localhost" || address.is_some_and(|address| address.is_loopback())
        }
        Listen::Tcp(at) => address == Some(at.ip()),
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_changing(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// A form of another site is not taken. Browsers say where a form comes from in one of these.
fn check_origin(headers: &HeaderMap) -> Result<(), Failure> {
    let foreign = || Failure::new(StatusCode::FORBIDDEN, "this was sent by another site");
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return Err(foreign());
    }
    let host = text("host").unwrap_or_default();
    match text("origin") {
        Some(origin) if origin.split_once("://").map(|(_, host)| host) == Some(host) => Ok(()),
        Some(_) => Err(foreign()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use axum::http::Request;
    use leadflow_core::testing::config;

    use super::*;
    use crate::engine::Meters;
    use crate::flow::{PageProxy, PageUser};
    use crate::platform::clock::{Clock, DrivenClock};
    use crate::web::site::DaemonSigns;

    const LOCAL: Peer = Peer::Address(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    fn page() -> PageSettings {
        PageSettings {
            listen: Listen::Tcp(PageSettings::LISTEN),
            hosts: vec!["leads.contoso.example".to_owned()],
            tls: None,
            proxy: None,
            users: BTreeMap::new(),
            tokens: BTreeMap::new(),
        }
    }

    fn site() -> Site {
        let clock = Clock::Driven(DrivenClock::new("2026-11-01T00:00:00Z".parse().unwrap()));
        let (_, receiver) = tokio::sync::watch::channel(Arc::new(config([])));
        Site::new(receiver, clock, DaemonSigns::new(Meters::new()))
    }

    fn asked(
        page: &PageSettings,
        method: &str,
        headers: &[(&str, &str)],
        peer: Peer,
    ) -> Result<Visitor, u16> {
        let mut request = Request::builder().method(method).uri("/").extension(peer);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        admitted(&site(), page, &parts).map_err(|failure| failure.status.as_u16())
    }

    #[test]
    fn only_names_of_the_page_are_answered() {
        for (host, is_ours) in [
            ("localhost:8930", true),
            ("127.0.0.1:8930", true),
            ("[::1]:8930", true),
            ("LEADS.contoso.example", true),
            ("leads.contoso.example:443", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("10.0.0.1:8930", false),
            ("", false),
        ] {
            assert_eq!(asked(&page(), "GET", &[("host", host)], LOCAL).is_ok(), is_ours, "{host}");
        }
        let two = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(asked(&page(), "GET", &two, LOCAL), Err(421));
        assert_eq!(asked(&page(), "GET", &[], LOCAL), Err(421));
    }

    #[test]
    fn forms_of_other_sites_are_refused() {
        let host = ("host", "localhost:8930");
        for (header, is_taken) in [
            (("origin", "http://localhost:8930"), true),
            (("origin", "https://evil.example"), false),
            (("origin", "null"), false),
            (("sec-fetch-site", "cross-site"), false),
            (("sec-fetch-site", "same-site"), false),
            (("sec-fetch-site", "same-origin"), true),
        ] {
            assert_eq!(asked(&page(), "POST", &[host, header], LOCAL).is_ok(), is_taken, "{header:?}");
            assert!(asked(&page(), "GET", &[host, header], LOCAL).is_ok());
        }
    }

    #[test]
    fn a_proxy_is_believed_from_its_own_address_alone() {
        let user = PageUser { password: None, role: Role::Operate };
        let proxy = PageProxy {
            from: vec!["10.0.0.2".parse().unwrap()],
            user_header: Some("x-user".to_owned()),
            others: None,
        };
        let mut page =
            PageSettings { proxy: Some(proxy), users: [("anna".to_owned(), user)].into(), ..page() };
        let from = |page: &PageSettings, last: u8, name: &str| {
            let peer = Peer::Address(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, last)));
            asked(page, "GET", &[("host", "localhost"), ("x-user", name)], peer).map(|it| it.role)
        };
        assert_eq!(from(&page, 2, "anna"), Ok(Some(Role::Operate)));
        assert_eq!(from(&page, 3, "anna"), Ok(None), "the header is somebody else's");
        assert_eq!(from(&page, 2, "ben"), Err(403));
        page.proxy.as_mut().unwrap().others = Some(Role::View);
        assert_eq!(from(&page, 2, "ben"), Ok(Some(Role::View)));
        let two = [("host", "localhost"), ("x-user", "anna"), ("x-user", "ben")];
        let guest = asked(&page, "GET", &two, Peer::Socket).unwrap();
        assert_eq!((guest.way, guest.role), (Way::Guest, None));
    }

    #[test]
    fn a_token_is_taken_until_it_ends() {
        let token = |until: &str| PageToken {
            hash: fingerprint("lf_secret"),
            role: Role::View,
            until: until.parse().ok(),
        };
        let with = |until: &str, line: &str| {
            let page = PageSettings { tokens: [("grafana".to_owned(), token(until))].into(), ..page() };
            let headers = [("host", "localhost"), ("authorization", line)];
            asked(&page, "POST", &headers, LOCAL).map(|it| it.name)
        };
        let grafana = || Ok(Some("grafana".to_owned()));
        assert_eq!(with("", "Bearer lf_secret"), grafana());
        assert_eq!(with("2026-11-01T00:00:01Z", "bearer lf_secret"), grafana());
        assert_eq!(with("2026-11-01T00:00:00Z", "Bearer lf_secret"), Err(401));
        assert_eq!(with("", "Bearer lf_other"), Err(401));
        assert_eq!(with("", "Basic lf_secret"), Err(401));
    }
}

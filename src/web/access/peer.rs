//! From where somebody asks.

use std::net::IpAddr;

use axum::http::HeaderMap;

use crate::flow::{PageProxy, PageSettings};
use crate::web::server::Peer;

/// The address that the proxy has written last, where it is the proxy that asks: the ones before it may be invented.
pub(in crate::web) fn asking_peer(page: &PageSettings, headers: &HeaderMap, peer: Peer) -> Peer {
    if !page.proxy.as_ref().is_some_and(|proxy| is_of(proxy, peer)) {
        return peer;
    }
    let line = headers.get_all("x-forwarded-for").iter().next_back().and_then(|line| line.to_str().ok());
    let last: Option<IpAddr> = line.and_then(|line| line.rsplit(',').next()?.trim().parse().ok());
    last.map_or(peer, |address| Peer::Address(address.to_canonical()))
}

/// Whether the proxy is at the other end.
pub(super) fn is_of(proxy: &PageProxy, peer: Peer) -> bool {
    match peer {
        Peer::Address(address) => proxy.from.contains(&address),
        Peer::Socket => true,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::flow::Listen;

    #[test]
    fn a_proxy_says_who_asks_and_nobody_else_does() {
        let address = |text: &str| Peer::Address(text.parse().unwrap());
        let proxy = PageProxy { from: vec!["10.0.0.2".parse().unwrap()], user_header: None, others: None };
        let page = PageSettings {
            listen: Listen::Tcp(PageSettings::LISTEN),
            hosts: Vec::new(),
            tls: None,
            proxy: Some(proxy),
            users: BTreeMap::new(),
            tokens: BTreeMap::new(),
        };
        let from = |page: &PageSettings, peer: &str, lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            asking_peer(page, &headers, address(peer))
        };
        assert_eq!(from(&page, "10.0.0.2", &["192.0.2.1"]), address("192.0.2.1"));
        assert_eq!(from(&page, "10.0.0.2", &["1.1.1.1, 192.0.2.1"]), address("192.0.2.1"));
        assert_eq!(from(&page, "10.0.0.2", &["1.1.1.1", "::ffff:192.0.2.1"]), address("192.0.2.1"));
        assert_eq!(from(&page, "10.0.0.2", &["unknown"]), address("10.0.0.2"));
        assert_eq!(from(&page, "10.0.0.2", &[]), address("10.0.0.2"));
        assert_eq!(from(&page, "10.0.0.3", &["192.0.2.1"]), address("10.0.0.3"));
        let alone = PageSettings { proxy: None, ..page };
        assert_eq!(from(&alone, "10.0.0.2", &["192.0.2.1"]), address("10.0.0.2"));
    }
}

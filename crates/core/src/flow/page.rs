//! `[settings.page]`: the page of the daemon, and who may see it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use jiff::Timestamp;

use super::secret::SecretSource;

/// Where the page is served, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageSettings {
    /// Where it listens.
    pub listen: Listen,
    /// Names under which it is reached beside those of this machine's loopback, lower case, without a port.
    pub hosts: Vec<String>,
    /// It speaks TLS itself.
    pub tls: Option<PageTls>,
    /// A proxy in front of it does.
    pub proxy: Option<PageProxy>,
    /// Who signs in, by name.
    pub users: BTreeMap<String, PageUser>,
    /// Which programs may use the API, by name.
    pub tokens: BTreeMap<String, PageToken>,
}

/// Where the page listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// An address of this machine.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// The files of a certificate, which are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageTls {
    /// The chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: SecretSource,
}

/// A proxy that speaks TLS to the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageProxy {
    /// The addresses that it speaks from; a Unix socket counts as one of them.
    pub from: Vec<IpAddr>,
    /// The header in which it names who has signed in there, lower case.
    pub user_header: Option<String>,
    /// What those may who are not among the users; `None` for nothing.
    pub others: Option<Role>,
}

/// Somebody who signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageUser {
    /// Of the password; `None` where the proxy knows who it is.
    pub password: Option<PasswordHash>,
    /// What they may.
    pub role: Role,
}

/// Where the hash of a password is, in the form of Argon2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordHash {
    /// In flows.toml: `$argon2id$…`.
    Here(String),
    /// Elsewhere.
    At(SecretSource),
}

/// A token of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageToken {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// What who has it may.
    pub role: Role,
    /// It is not taken from then on.
    pub until: Option<Timestamp>,
}

/// What somebody may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    View,
    /// Run flows, turn them on and off, decide about mails.
    Operate,
}

impl Role {
    /// The word in flows.toml.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Operate => "operate",
        }
    }

    /// The role of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::View, Self::Operate].into_iter().find(|role| role.as_str() == word)
    }
}

impl PageSettings {
    /// Where it listens unless said.
    pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8930);

    /// Only this machine reaches it.
    pub fn is_local(&self) -> bool {
        match &self.listen {
            Listen::Tcp(address) => address.ip().is_loopback() && self.proxy.is_none(),
            Listen::Unix(_) => self.proxy.is_none(),
        }
    }

    /// Where it is found, in words.
    pub fn at(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        match &self.listen {
            Listen::Tcp(address) => format!("{scheme}://{address}/"),
            Listen::Unix(path) => format!("the socket {}", path.display()),
        }
    }

    /// Browsers speak TLS to it, by whomever.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some() || self.proxy.is_some()
    }

    /// Where its secrets lie.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretSource> {
        let of_users = self.users.values().filter_map(|user| match &user.password {
            Some(PasswordHash::At(secret)) => Some(secret),
            Some(PasswordHash::Here(_)) | None => None,
        });
        self.tls.iter().map(|tls| &tls.key).chain(of_users)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(listen: Listen) -> PageSettings {
        PageSettings {
            listen,
            hosts: Vec::new(),
            tls: None,
            proxy: None,
            users: BTreeMap::new(),
            tokens: BTreeMap::new(),
        }
    }

    #[test]
    fn a_page_is_local_where_only_this_machine_reaches_it() {
        assert!(page(Listen::Tcp(PageSettings::LISTEN)).is_local());
        assert!(page(Listen::Unix("page.sock".into())).is_local());
        assert!(!page(Listen::Tcp(([10, 0, 0, 1], 80).into())).is_local());
        let proxy = PageProxy { from: Vec::new(), user_header: None, others: None };
        let behind = PageSettings { proxy: Some(proxy), ..page(Listen::Tcp(PageSettings::LISTEN)) };
        assert!(!behind.is_local() && behind.is_secure());
        assert!(!page(Listen::Tcp(PageSettings::LISTEN)).is_secure());
    }

    #[test]
    fn its_secrets_are_found() {
        let secret = |name: &str| SecretSource::File(name.into());
        let user = |password| PageUser { password, role: Role::View };
        let users = [
            ("anna".to_owned(), user(Some(PasswordHash::At(secret("anna"))))),
            ("ben".to_owned(), user(Some(PasswordHash::Here("$argon2id$".to_owned())))),
            ("cem".to_owned(), user(None)),
        ];
        let tls = PageTls { certificate: "page.crt".into(), key: secret("page.key") };
        let page =
            PageSettings { tls: Some(tls), users: users.into(), ..page(Listen::Tcp(PageSettings::LISTEN)) };
        assert_eq!(page.secrets().collect::<Vec<_>>(), [&secret("page.key"), &secret("anna")]);
        assert!(page.is_secure());
    }

    #[test]
    fn each_role_has_its_word() {
        for role in [Role::View, Role::Operate] {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Role::parse("root"), None);
        assert!(Role::View < Role::Operate);
    }
}

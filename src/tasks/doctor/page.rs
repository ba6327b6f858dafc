//! Whether the page can be served: its certificate and its key, its hashes, and where it listens.

use std::io::{Error, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;

use super::{Finding, Verdict, Visit};
use crate::alarm::EXPIRES_SOON;
use crate::flow::{Config, Listen, PageSettings, PageTls, PasswordHash};
use crate::platform::clock::Clock;
use crate::platform::ownership::{self, LARGEST_AUTHORITIES};
use crate::platform::{passwords, secrets, tls};
use crate::store::{Lock, Owner};
use crate::text::advice::Advice;
use crate::text::counted::counted;

/// Adds what keeps the page from being served. That a secret cannot be read is reported elsewhere.
pub(super) fn check(config: &Config, clock: &Clock, found: &mut Vec<Finding>) {
    let Some(page) = &config.settings.page else { return };
    let mut visit = Visit { about: "settings.page".to_owned(), found };
    if let Some(tls) = &page.tls {
        certificate(tls, clock.now(), &mut visit);
    }
    hashes(page, &mut visit);
    let is_daemon = || may_be_daemon(config);
    match &page.listen {
        Listen::Tcp(address) => port(*address, is_daemon, &mut visit),
        Listen::Unix(path) => socket(path, is_daemon, &mut visit),
    }
}

fn certificate(tls: &PageTls, now: Timestamp, visit: &mut Visit<'_>) {
    let place = tls.certificate.display().to_string();
    let certificate = match ownership::read_plain(&tls.certificate, LARGEST_AUTHORITIES) {
        Ok(certificate) => certificate,
        Err(error) => {
            let why = ownership::explained(&tls.certificate, &error);
            let verdict = verdict_of(&error);
            let help = "name an existing, readable file with the certificate and its chain in PEM form";
            return visit.add(
                verdict,
                format!("cannot read the certificate {place}: {why}"),
                Some(help.to_owned()),
            );
        }
    };
    if let Ok(key) = secrets::read(&tls.key)
        && let Err(Advice { message, help }) =
            tls::server_config(&certificate, key.expose_secret().as_bytes())
    {
        let help = help.map(|help| help.replace("FILE", &place));
        return visit.wrong(format!("{place} with the key from {}: {message}", tls.key.place()), help);
    }
    let Some(ends) = tls::ends(&certificate) else { return };
    let left = ends.duration_since(now);
    let days = counted(left.as_hours().unsigned_abs() / 24, "day");
    let renew = "renew it; leadflow reads the new files without a restart".to_owned();
    if left <= SignedDuration::ZERO {
        visit.wrong(format!("the certificate {place} expired at {ends}"), Some(renew));
    } else if left < EXPIRES_SOON {
        visit.wrong(format!("the certificate {place} expires at {ends}, in {days}"), Some(renew));
    }
}

/// Those that lie elsewhere; the others were checked with flows.toml.
fn hashes(page: &PageSettings, visit: &mut Visit<'_>) {
    for (name, user) in &page.users {
        let Some(PasswordHash::At(source)) = &user.password else { continue };
        let Ok(hash) = secrets::read(source) else { continue };
        if let Err(reason) = passwords::is_hash(hash.expose_secret()) {
            let message = format!(
                "the password of {name} in {} is not a hash that can be used: {reason}",
                source.place()
            );
            let help =
                "put the hash there that `leadflow page password` prints, without the quotes".to_owned();
            visit.wrong(message, Some(help));
        }
    }
}

fn port(address: SocketAddr, is_daemon: impl Fn() -> bool, visit: &mut Visit<'_>) {
    let Err(error) = TcpListener::bind(address) else { return };
    let (message, help) = match error.kind() {
        ErrorKind::AddrInUse if is_daemon() => return,
        ErrorKind::AddrInUse => (
            format!("another program listens on {address}"),
            format!("see which one: ss -ltnp 'sport = :{}'; stop it, or write another port", address.port()),
        ),
        ErrorKind::AddrNotAvailable => (
            format!("this machine does not have the address {}", address.ip()),
            "see the ones that it has: ip address; or use 0.0.0.0 for all of them".to_owned(),
        ),
        ErrorKind::PermissionDenied => (
            format!("this user may not listen on port {}", address.port()),
            "use a port from 1024, or add AmbientCapabilities=CAP_NET_BIND_SERVICE to the service's unit"
                .to_owned(),
        ),
        _ => (format!("cannot listen on {address}: {error}"), "check `listen`".to_owned()),
    };
    visit.add(verdict_of(&error), message, Some(help));
}

fn socket(path: &Path, is_daemon: impl Fn() -> bool, visit: &mut Visit<'_>) {
    let place = path.display();
    let folder = path.parent().unwrap_or(Path::new("/"));
    match path.symlink_metadata() {
        Ok(file) if !file.file_type().is_socket() => {
            let help = "remove it if nothing needs it, or write another path".to_owned();
            visit.wrong(format!("{place} is there, and is not a socket"), Some(help));
        }
        // One that nobody serves is left from an earlier process.
        Ok(_) if UnixStream::connect(path).is_ok() && !is_daemon() => {
            let help = "stop it, or write another path".to_owned();
            visit.wrong(format!("another program listens on {place}"), Some(help));
        }
        Err(_) if !folder.is_dir() => {
            let help = "create it for the user of the service; for /run/leadflow, RuntimeDirectory=leadflow in its unit \
                        does so at each start"
                .to_owned();
            visit.add(Verdict::Open, format!("there is no folder {}", folder.display()), Some(help));
        }
        Ok(_) | Err(_) => {}
    }
}

/// Whether the daemon may be the one that listens.
fn may_be_daemon(config: &Config) -> bool {
    let folder = &config.settings.state;
    let is_here = match Lock::owner(folder) {
        Ok(owner) => owner == Some(Owner::Daemon),
        // Who may not ask does not know.
        Err(_) => folder.exists(),
    };
    is_here || config.settings.postgres.is_some()
}

/// What only this user may not do is not a fault.
fn verdict_of(error: &Error) -> Verdict {
    if error.kind() == ErrorKind::PermissionDenied { Verdict::Open } else { Verdict::Wrong }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;
    use crate::flow::SecretSource;

    #[test]
    fn a_certificate_that_ends_within_two_weeks_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["leads.contoso.example".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2031, 5, 20);
        let tls = PageTls {
            certificate: folder.path().join("page.crt"),
            key: SecretSource::File(folder.path().join("page.key")),
        };
        fs::write(&tls.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(folder.path().join("page.key"), key.serialize_pem()).unwrap();
        for (now, expected) in [
            ("2031-05-05T23:59:59Z", None),
            ("2031-05-06T00:00:01Z", Some("expires at 2031-05-20T00:00:00Z, in 13 days")),
            ("2031-05-20T00:00:00Z", Some("expired at 2031-05-20T00:00:00Z")),
        ] {
            let mut found = Vec::new();
            let mut visit = Visit { about: String::new(), found: &mut found };
            certificate(&tls, now.parse().unwrap(), &mut visit);
            let said = found.first().map(|finding| finding.advice.to_string());
            assert_eq!(said.is_some(), expected.is_some(), "{now}: {said:?}");
            assert!(said.unwrap_or_default().contains(expected.unwrap_or_default()), "{now}");
        }
    }
}

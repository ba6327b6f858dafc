//! A private authority and a certificate of it for this machine.

use std::path::PathBuf;
use std::sync::OnceLock;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// Files in PEM form.
pub(crate) struct Certificates {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Names beside this machine's own, for the stand-in of Microsoft's services.
const MICROSOFT: [&str; 9] = [
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.chinacloudapi.cn",
    "graph.microsoft.com",
    "graph.microsoft.us",
    "microsoftgraph.chinacloudapi.cn",
    "*.table.core.windows.net",
    "*.table.core.usgovcloudapi.net",
    "*.table.core.chinacloudapi.cn",
];

pub(crate) fn certificates() -> &'static Certificates {
    static FILES: OnceLock<Certificates> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap().keep();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names =
            ["localhost", "127.0.0.1"].into_iter().chain(MICROSOFT).map(str::to_owned).collect::<Vec<_>>();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        let write = |name: &str, pem: String| {
            std::fs::write(folder.join(name), pem).unwrap();
            folder.join(name)
        };
        Certificates {
            authority: write("authority.pem", authority.pem()),
            certificate: write("certificate.pem", certificate.pem()),
            key: write("key.pem", key.serialize_pem()),
        }
    })
}

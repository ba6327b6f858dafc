//! A private authority and a certificate of it for this machine.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

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

/// A server whose certificate has run out, and the authority that has signed it.
pub(crate) struct Expired {
    pub(crate) authority: PathBuf,
    pub(crate) config: Arc<ServerConfig>,
}

pub(crate) fn expired() -> &'static Expired {
    static EXPIRED: OnceLock<Expired> = OnceLock::new();
    EXPIRED.get_or_init(|| {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let mut of_server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        (of_server.not_before, of_server.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = of_server.signed_by(&key, &authority).unwrap();
        let path = tempfile::tempdir().unwrap().keep().join("authority.pem");
        std::fs::write(&path, authority.pem()).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        Expired { authority: path, config: Arc::new(config) }
    })
}

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

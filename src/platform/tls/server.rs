//! The certificate that leadflow itself shows to browsers.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use x509_cert::der::Decode as _;

use crate::platform::authorities;
use crate::text::advice::Advice;
use crate::text::foreign;

/// A server that shows this certificate, PEM with its chain, and has its key, PEM. The caller says which files they
/// are.
///
/// # Errors
/// When one of them cannot be used, or the key is that of another certificate. Nothing of the key is in it.
pub(crate) fn server_config(certificate: &[u8], key: &[u8]) -> Result<ServerConfig, Advice> {
    let chain = chain(certificate)?;
    let key = private_key(key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Advice::new(format!("cannot prepare TLS: {error}")))?;
    let config = builder.with_no_client_auth().with_single_cert(chain, key);
    let mut config = config.map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => Advice::new("the private key is that of another certificate")
            .with_help(
                "put the server's own certificate first in its file, and name the key that it was made with",
            ),
        error => Advice::new(format!("the certificate or its private key cannot be used: {error}"))
            .with_help("have them made again: version 3, RSA of 2048 bits or more or ECDSA"),
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// When the first certificate of the PEM text ends, which is the server's own; `None` where it has none that can be read.
pub(crate) fn ends(certificate: &[u8]) -> Option<Timestamp> {
    let chain = chain(certificate).ok()?;
    let certificate = x509_cert::Certificate::from_der(chain.first()?).ok()?;
    let ends = certificate.tbs_certificate.validity.not_after.to_unix_duration();
    Timestamp::from_second(i64::try_from(ends.as_secs()).ok()?).ok()
}

fn chain(pem: &[u8]) -> Result<Vec<rustls::pki_types::CertificateDer<'static>>, Advice> {
    authorities::parse_pem(pem).map_err(|(reason, help)| {
        Advice::new(format!("cannot use the certificate: {reason}"))
            .with_help(help.replace("the authority's certificate", "the certificate"))
    })
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Advice> {
    let text = String::from_utf8_lossy(pem);
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(Advice::new(
            "the private key is protected by a passphrase, which nobody types at a start",
        )
        .with_help("type: openssl pkey -in KEY -out page.key, and name page.key"));
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        let reason = match error {
            rustls::pki_types::pem::Error::NoItemsFound => "it contains no private key".to_owned(),
            error => foreign::line(&error.to_string(), 200),
        };
        Advice::new(format!("cannot use the private key: {reason}"))
            .with_help("name a file in PEM form: -----BEGIN PRIVATE KEY-----")
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn made() -> (String, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["leads.contoso.example".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2031, 5, 4);
        (params.self_signed(&key).unwrap().pem(), key)
    }

    #[test]
    fn a_certificate_and_its_key_make_a_server() {
        let (certificate, key) = made();
        let config = server_config(certificate.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        assert_eq!(config.alpn_protocols, [b"http/1.1"]);
        assert_eq!(ends(certificate.as_bytes()), Some("2031-05-04T00:00:00Z".parse().unwrap()));
        // Both in one file, as some tools have it.
        let both = format!("{}{certificate}", key.serialize_pem());
        assert!(server_config(both.as_bytes(), both.as_bytes()).is_ok());
        assert_eq!(ends(b"nothing"), None);
    }

    #[test]
    fn what_cannot_be_used_is_named_without_the_key() {
        let (certificate, key) = made();
        let (_, other) = made();
        let pem = key.serialize_pem();
        let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for (certificate, key, reason, help) in [
            (certificate.as_str(), other.serialize_pem(), "of another certificate", "certificate first"),
            (
                pem.as_str(),
                pem.clone(),
                "it contains no certificate; it contains PRIVATE KEY",
                "the certificate in PEM",
            ),
            ("", pem.clone(), "it contains no certificate", "the certificate in PEM"),
            (certificate.as_str(), String::new(), "it contains no private key", "BEGIN PRIVATE KEY"),
            (certificate.as_str(), certificate.clone(), "it contains no private key", "BEGIN PRIVATE KEY"),
            (certificate.as_str(), locked.to_owned(), "passphrase", "openssl pkey"),
            (
                certificate.as_str(),
                pem.replace("MIG", "!!!"),
                "cannot use the private key",
                "BEGIN PRIVATE KEY",
            ),
        ] {
            let advice = server_config(certificate.as_bytes(), key.as_bytes()).unwrap_err();
            let said = format!("{advice} | {}", advice.help.as_deref().unwrap_or_default());
            assert!(said.contains(reason) && said.contains(help), "{said}");
            let body = key.lines().nth(1).unwrap_or("nothing");
            assert!(body.len() < 20 || !said.contains(body), "{said}");
        }
    }
}

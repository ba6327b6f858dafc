//! Whom TLS trusts: the system's authorities, or those of a `ca_file`, what it holds, or what it is instead and how to
//! make PEM of it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::platform::ownership::{LARGEST_AUTHORITIES, read_plain};
use crate::text::advice::Advice;
use crate::text::foreign;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// How long the system's authorities are kept. They are some hundred files, and reading them costs as
/// much as reading a thousand rows.
const KEPT: Duration = Duration::from_hours(1);

/// Trusts the system's authorities; `None` where there are none to be found.
pub(crate) fn tls_of_system() -> Option<ClientConfig> {
    static LAST: Mutex<Option<(Instant, ClientConfig)>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.as_ref().is_none_or(|(read, _)| read.elapsed() >= KEPT) {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = builder.ok()?.with_platform_verifier().ok()?.with_no_client_auth();
        *last = Some((Instant::now(), tls));
    }
    last.as_ref().map(|(_, tls)| tls.clone())
}

/// Trusts the authorities of this file. Reads it.
pub(crate) fn tls_of(path: &Path) -> Result<ClientConfig, Advice> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(read(path)?);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Advice::new(format!("cannot prepare TLS: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The certificates of the file, one at least. Reads it.
pub(crate) fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, Advice> {
    let place = path.display();
    let wrong = |reason: &str, help: String| {
        Advice::new(format!("cannot use ca_file {place}: {reason}")).with_help(help)
    };
    let bytes = read_plain(path, LARGEST_AUTHORITIES).map_err(|error| {
        let help = "name an existing, readable file with the authority's certificate in PEM form";
        wrong(&error.to_string(), help.to_owned())
    })?;
    parse_pem(&bytes).map_err(|(reason, help)| wrong(&reason, help.replace("FILE", &place.to_string())))
}

/// The certificates of PEM text; or what it is instead, and how to fix it, with FILE for the file's name.
pub(crate) fn parse_pem(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, (String, String)> {
    let because = |reason: &str, help: &str| Err((reason.to_owned(), help.to_owned()));
    if bytes.starts_with(BYTE_ORDER_MARK) {
        // It would hide the first certificate, and the others would count alone.
        let help = r"type: sed -i '1s/^\xEF\xBB\xBF//' FILE";
        return because("it starts with a byte order mark, as Windows editors write", help);
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        let help = "type: iconv -f UTF-16 -t ASCII FILE > server.pem, and name server.pem";
        return because("it is text in UTF-16", help);
    }
    // A sequence of ASN.1 with a length of its own.
    if matches!(bytes, [0x30, 0x80..=0x84, ..]) {
        let help = "type: openssl x509 -inform DER -in FILE -out server.pem, and name server.pem";
        return because("it is in DER form, not PEM", help);
    }
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            let help = "copy it again, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----";
            return because(&foreign::line(&error.to_string(), 200), help);
        }
    };
    if found.is_empty() {
        return Err(instead(&String::from_utf8_lossy(bytes)));
    }
    let mut roots = rustls::RootCertStore::empty();
    for (number, certificate) in (1..).zip(&found) {
        if let Err(error) = roots.add(certificate.clone()) {
            let reason = format!("its certificate {number} is not valid: {error}");
            return because(&reason, "see what is in it: openssl x509 -in FILE -noout -text");
        }
    }
    Ok(found)
}

/// What PEM text without a certificate holds.
fn instead(text: &str) -> (String, String) {
    let kind =
        text.split_once("-----BEGIN ").and_then(|(_, rest)| rest.split_once("-----")).map(|(kind, _)| kind);
    let help = match kind {
        Some("PKCS7") => "type: openssl pkcs7 -print_certs -in FILE -out server.pem, and name server.pem",
        Some("TRUSTED CERTIFICATE") => "type: openssl x509 -in FILE -out server.pem, and name server.pem",
        _ => "name the file with the authority's certificate in PEM form: -----BEGIN CERTIFICATE-----",
    };
    let reason = match kind {
        Some(kind) if kind.len() < 40 => {
            format!("it contains no certificate; it contains {}", foreign::line(kind, 40))
        }
        _ => "it contains no certificate".to_owned(),
    };
    (reason, help.to_owned())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn a_file_that_is_not_pem_is_named_with_what_to_type() {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
        let pem = certificate.pem();
        let der = certificate.der().to_vec();
        let windows = pem.replace('\n', "\r\n");
        for good in [pem.clone(), windows.clone(), format!("Subject: x\n{pem}\n{pem}")] {
            assert!(parse_pem(good.as_bytes()).is_ok(), "{good}");
        }
        let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(pem.bytes().flat_map(|byte| [byte, 0])).collect();
        let with_mark = [BYTE_ORDER_MARK, pem.as_bytes(), pem.as_bytes()].concat();
        for (bytes, reason, help) in [
            (with_mark, "byte order mark", "sed -i"),
            (utf16, "UTF-16", "iconv -f UTF-16"),
            (der, "DER form", "openssl x509 -inform DER"),
            (
                key.serialize_pem().into_bytes(),
                "it contains no certificate; it contains PRIVATE KEY",
                "-----BEGIN CERTIFICATE-----",
            ),
            (
                b"-----BEGIN PKCS7-----\nMIIB\n-----END PKCS7-----\n".to_vec(),
                "contains PKCS7",
                "openssl pkcs7",
            ),
            (
                pem.replace("CERTIFICATE", "TRUSTED CERTIFICATE").into_bytes(),
                "contains TRUSTED",
                "openssl x509",
            ),
            (Vec::new(), "it contains no certificate", "-----BEGIN CERTIFICATE-----"),
            (b"hello".to_vec(), "it contains no certificate", "-----BEGIN CERTIFICATE-----"),
            (b"\xff\x00\x80".to_vec(), "it contains no certificate", "-----BEGIN CERTIFICATE-----"),
            (pem.as_bytes()[..pem.len() - 40].to_vec(), "", "copy it again"),
            (pem.replace("MII", "M!I").into_bytes(), "", "copy it again"),
            (
                b"-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n".to_vec(),
                "its certificate 1 is not valid",
                "openssl x509 -in FILE",
            ),
        ] {
            let (said, remedy) = parse_pem(&bytes).unwrap_err();
            assert!(said.contains(reason) && remedy.contains(help), "{said}: {remedy}");
        }
    }
}

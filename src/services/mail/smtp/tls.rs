//! Whom a connection trusts, and TLS over it.

use std::sync::Arc;

use rustls::pki_types::ServerName;

use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ConnectError;
use super::transport::Stream;
use crate::flow::SmtpConnection;
use crate::platform::authorities;

/// The other end, as it has to prove itself.
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// With the authorities of `ca_file`, or else the system's.
    pub(super) fn new(smtp: &SmtpConnection) -> Result<Self, ConnectError> {
        let config = match &smtp.ca_file {
            Some(path) => authorities::tls_of(path)?,
            None => authorities::tls_of_system().ok_or_else(|| {
                let help = "install the system's certificates (package ca-certificates), or set `ca_file`";
                let message =
                    format!("cannot prepare TLS for {}: there are no authorities to trust", smtp.host);
                ConnectError::new(message, Some(help))
            })?,
        };
        let name = ServerName::try_from(smtp.host.clone()).map_err(|_| {
            let help = "write the server's host name or address in `host`";
            ConnectError::new(format!("`{}` cannot be a name in a certificate", smtp.host), Some(help))
        })?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// Speaks TLS from here on.
    pub(super) async fn over(&self, stream: Box<dyn Stream>) -> std::io::Result<TlsStream<Box<dyn Stream>>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

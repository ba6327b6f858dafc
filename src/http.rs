//! What all HTTP clients of the program have in common: one TLS provider, and no redirects, so that
//! no credential leaves for another host.

/// A client to be finished.
pub(crate) fn builder() -> reqwest::ClientBuilder {
    // The second time it is there already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("leadflow/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
}

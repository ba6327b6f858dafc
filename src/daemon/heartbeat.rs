//! The sign of life for a switch outside that raises the alarm when it stays away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::warn;
use url::Url;

use crate::services::http;
use crate::text::foreign;

/// For one request.
const IN_ALL: Duration = Duration::from_secs(20);

/// Asks `settings.heartbeat_url`.
pub(super) struct Heartbeat {
    client: Option<reqwest::Client>,
    is_under_way: Arc<AtomicBool>,
    is_failing: Arc<AtomicBool>,
}

impl Heartbeat {
    pub(super) fn start() -> Self {
        // Made when it is first needed: the system's certificates take a while to read.
        Self { client: None, is_under_way: Arc::default(), is_failing: Arc::default() }
    }

    /// Sends one sign of life beside everything else; one that hangs is not joined by another.
    pub(super) fn beat(&mut self, url: Option<&Url>) {
        let Some(url) = url.cloned() else { return };
        // Who knows it can give a sign of life in leadflow's stead.
        foreign::know_text(&url[url::Position::BeforePath..], foreign::Kind::Kept);
        if self.is_under_way.swap(true, Ordering::Relaxed) {
            return;
        }
        if self.client.is_none() {
            self.client = http::builder().timeout(IN_ALL).build().ok();
        }
        let Some(client) = self.client.clone() else {
            self.is_under_way.store(false, Ordering::Relaxed);
            return warn!(
                "cannot send the heartbeat: the system has no certificates (package ca-certificates)"
            );
        };
        let is_under_way = Arc::clone(&self.is_under_way);
        let is_failing = Arc::clone(&self.is_failing);
        tokio::spawn(async move {
            let answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
            let failed = answer.err().map(|error| match error.status() {
                Some(status) => format!("the service answered {status}"),
                None => http::NoAnswer::from_error(&error).reason,
            });
            if let Some(error) = failed.as_ref().filter(|_| !is_failing.load(Ordering::Relaxed)) {
                warn!("the heartbeat failed: {error}; check settings.heartbeat_url");
            }
            is_failing.store(failed.is_some(), Ordering::Relaxed);
            is_under_way.store(false, Ordering::Relaxed);
        });
    }
}

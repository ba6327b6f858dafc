//! Figures for Prometheus, and whether the daemon is alive and ready.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::data;
use super::failure::Failure;
use super::frame::Frame;
use super::site::Site;
use crate::views::metrics::MetricsView;

/// Where Prometheus asks unless it is told another path.
pub(super) const PATH: &str = "/metrics";

/// The text format of Prometheus.
pub(super) async fn metrics(State(site): State<Arc<Site>>, frame: Frame) -> Result<Response, Failure> {
    let config = site.config();
    // That the state cannot be used is a figure, too.
    let found = data::health(&site, &frame.visitor).await.ok();
    let mut view = MetricsView::new(found.as_ref().is_some_and(|(health, _)| health.ok));
    view.add_daemon(true);
    if let Some((_, found)) = found {
        view.add_state(&config, &found.facts, &found.alarms);
        if config.settings.postgres.is_some() {
            view.add_nodes(&found.nodes);
        }
        view.add_mails(site.store().await?.open_mails().await?);
    }
    view.add_live(site.signs.meters.families());
    let text = view.to_text().map_err(|error| Failure::conflict(error.to_string()))?;
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// Whether the daemon ticks; one that does not is to be started again.
pub(super) async fn healthz(State(site): State<Arc<Site>>) -> Response {
    sign(site.signs.is_alive(site.clock.steady()), "the daemon has not ticked for 30 seconds")
}

/// Whether it ticks and its state can be used.
pub(super) async fn readyz(State(site): State<Arc<Site>>) -> Response {
    if !site.signs.is_alive(site.clock.steady()) {
        return sign(false, "the daemon has not ticked for 30 seconds");
    }
    let is_usable = match site.store().await {
        Ok(store) => store.flow_names().await.is_ok(),
        Err(_) => false,
    };
    sign(is_usable, "the state cannot be used")
}

fn sign(is_well: bool, otherwise: &'static str) -> Response {
    if is_well {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{otherwise}\n")).into_response()
    }
}

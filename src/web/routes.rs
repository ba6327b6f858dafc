//! Which path is which page.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use super::failure::Failure;
use super::site::Site;
use super::{api, assets, guard, metrics, pages};

/// The longest form.
const LARGEST_BODY: usize = 64 << 10;

pub(super) fn app(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(pages::flows))
        .route("/flows/{flow}", get(pages::flow))
        .route("/flows/{flow}/{action}", get(pages::confirm_flow).post(pages::act_on_flow))
        .route("/runs", get(pages::runs))
        .route("/runs/{run}", get(pages::run))
        .route("/runs/{run}/resubmit", get(pages::confirm_resubmit).post(pages::act_resubmit))
        .route("/outbox", get(pages::outbox))
        .route("/outbox/retry", get(pages::confirm_retry_all).post(pages::act_retry_all))
        .route("/outbox/{mail}", get(pages::mail))
        .route("/outbox/{mail}/html", get(pages::html_of_mail))
        .route("/outbox/{mail}/{action}", get(pages::confirm_mail).post(pages::act_on_mail))
        .route("/leads", get(pages::leads).post(pages::search))
        .route("/leads/proof", post(pages::lead))
        .route("/leads/export", post(pages::export))
        .route("/health", get(pages::health))
        .route("/check", get(pages::check))
        .route("/sign-in", get(pages::sign_in_form).post(pages::sign_in))
        .route("/sign-out", post(pages::sign_out))
        .route("/language", get(pages::choose_language))
        .route("/assets/{version}/{name}", get(assets::asset))
        .route(metrics::PATH, get(metrics::metrics))
        .route("/healthz", get(metrics::healthz))
        .route("/readyz", get(metrics::readyz))
        .nest("/api/v1", api::routes())
        .fallback(async || Failure::not_found("there is no such page"))
        .method_not_allowed_fallback(async || {
            Failure::new(axum::http::StatusCode::METHOD_NOT_ALLOWED, "this path does not have this method")
        })
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(from_fn_with_state(Arc::clone(&site), guard::guard))
        .with_state(site)
}

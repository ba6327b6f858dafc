//! The files of the page, which are part of the program.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

use super::extract::Path;
use super::failure::Failure;

/// A file that browsers may keep: its path changes with the version.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asset {
    pub(super) path: &'static str,
    kind: &'static str,
    text: &'static str,
}

pub(super) const STYLE: Asset = Asset {
    path: concat!("/assets/", env!("CARGO_PKG_VERSION"), "/style.css"),
    kind: "text/css; charset=utf-8",
    text: include_str!("assets/style.css"),
};
pub(super) const SCRIPT: Asset = Asset {
    path: concat!("/assets/", env!("CARGO_PKG_VERSION"), "/page.js"),
    kind: "text/javascript; charset=utf-8",
    text: include_str!("assets/page.js"),
};
pub(super) const ICON: Asset = Asset {
    path: concat!("/assets/", env!("CARGO_PKG_VERSION"), "/icon.svg"),
    kind: "image/svg+xml",
    text: include_str!("assets/icon.svg"),
};

/// For a day: a program of the same version may have been built anew.
const KEPT: &str = "public, max-age=86400";

pub(super) async fn asset(Path((version, name)): Path<(String, String)>) -> Result<Response, Failure> {
    let path = format!("/assets/{version}/{name}");
    let found = [STYLE, SCRIPT, ICON].into_iter().find(|asset| asset.path == path);
    let asset = found.ok_or_else(|| Failure::not_found("the page has no such file"))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static(KEPT)),
    ];
    Ok((headers, asset.text).into_response())
}

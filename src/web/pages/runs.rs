//! The run history.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use crate::history::Outcome;
use crate::store::RunFilter;
use crate::views::runs::RunView;
use crate::web::data;
use crate::web::extract::Query;
use crate::web::failure::Failure;
use crate::web::frame::Frame;
use crate::web::parts::layout::{Section, page};
use crate::web::parts::run;
use crate::web::parts::words::outcome_name;
use crate::web::site::Site;

/// Runs on a page.
const LIMIT: u32 = 50;

/// What somebody wants to see of the history.
#[derive(Debug, Default, Deserialize)]
pub(in crate::web) struct RunQuery {
    #[serde(default)]
    flow: String,
    #[serde(default)]
    outcome: String,
    #[serde(default)]
    since: String,
    #[serde(default)]
    until: String,
    before: Option<i64>,
}

impl RunQuery {
    /// As the store asks for it, of this flow or the one that is named.
    pub(super) fn filter(&self, site: &Site, flow: Option<&str>) -> Result<RunFilter, Failure> {
        let named = Some(self.flow.clone()).filter(|name| !name.is_empty());
        let outcomes = match self.outcome.as_str() {
            "" => Vec::new(),
            word => vec![Outcome::parse(word).ok_or_else(|| Failure::bad_request("this is not an outcome"))?],
        };
        Ok(RunFilter {
            flow: flow.map(str::to_owned).or(named),
            outcomes,
            since: data::moment_of(&self.since, site)?,
            until: data::moment_of(&self.until, site)?,
            before: self.before,
            after: None,
            limit: Some(LIMIT),
        })
    }
}

pub(in crate::web) async fn runs(
    State(site): State<Arc<Site>>,
    frame: Frame,
    Query(query): Query<RunQuery>,
) -> Result<Response, Failure> {
    let runs = data::runs(&site, &frame.visitor, query.filter(&site, None)?).await?;
    let names: Vec<String> = site.config().flows.keys().cloned().collect();
    let content = html! {
        (filters(&frame, "/runs", &query, Some(&names)))
        (run::runs(&frame, &runs, true))
        (older(&frame, "/runs", &query, &runs))
    };
    Ok(page(&frame, Section::Runs, frame.t("Runs", "실행"), &content))
}

/// What can be asked of the history.
pub(super) fn filters(frame: &Frame, action: &str, query: &RunQuery, flows: Option<&[String]>) -> Markup {
    html! {
        form.filters method="get" action=(action) role="search" {
            @if let Some(flows) = flows {
                label {
                    (frame.t("Flow", "흐름"))
                    select name="flow" {
                        option value="" { (frame.t("all", "전체")) }
                        @for name in flows { option value=(name) selected[*name == query.flow] { (name) } }
                    }
                }
            }
            label {
                (frame.t("Outcome", "결과"))
                select name="outcome" {
                    option value="" { (frame.t("all", "전체")) }
                    @for outcome in Outcome::all() {
                        option value=(outcome.as_str()) selected[outcome.as_str() == query.outcome] { (outcome_name(frame, outcome)) }
                    }
                }
            }
            label { (frame.t("From", "시작일")) input type="date" name="since" value=(query.since); }
            label { (frame.t("Before", "종료일(제외)")) input type="date" name="until" value=(query.until); }
            button type="submit" { (frame.t("Show", "보기")) }
        }
    }
}

/// The way to the runs before these.
pub(super) fn older(frame: &Frame, action: &str, query: &RunQuery, shown: &[RunView]) -> Markup {
    let last = shown.last().filter(|_| shown.len() >= LIMIT as usize).map(|run| run.run.to_string());
    html! {
        @if let Some(last) = last {
            @let address = address(action, query, &last);
            p.pages { a href=(address) rel="next" { (frame.t("Older runs", "이전 실행")) " →" } }
        }
        @if query.before.is_some() {
            p.pages { a href=(address(action, query, "")) { "← " (frame.t("Newest runs", "최근 실행")) } }
        }
    }
}

fn address(action: &str, query: &RunQuery, before: &str) -> String {
    let mut text = url::form_urlencoded::Serializer::new(format!("{action}?"));
    let pairs = [
        ("flow", query.flow.as_str()),
        ("outcome", &query.outcome),
        ("since", &query.since),
        ("until", &query.until),
        ("before", before),
    ];
    pairs.iter().filter(|(_, value)| !value.is_empty()).for_each(|(name, value)| {
        text.append_pair(name, value);
    });
    text.finish().replacen("?&", "?", 1)
}

//! What programs read.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::json;
use crate::history::Outcome;
use crate::store::{OutboxFilter, RunFilter};
use crate::tasks::leads::{LeadProof, open_table};
use crate::views::leads::{LeadProofView, LeadRowView};
use crate::views::outbox::OutboxMailView;
use crate::web::data;
use crate::web::failure::Failure;
use crate::web::frame::Frame;
use crate::web::pages::find_leads;
use crate::web::site::Site;

type Answer = Result<Response, Failure>;

/// Runs of one answer at most.
const MOST_RUNS: u32 = 1_000;
/// Days of the statistics at most.
const MOST_DAYS: u16 = 366;

pub(super) async fn flows(State(site): State<Arc<Site>>, _: Frame) -> Answer {
    Ok(json(&data::flows(&site).await?))
}

pub(super) async fn flow(State(site): State<Arc<Site>>, _: Frame, Path(name): Path<String>) -> Answer {
    let view = data::flows(&site).await?.into_iter().find(|view| view.flow == name);
    let view = view.ok_or_else(|| Failure::not_found("there is no flow of this name in flows.toml"))?;
    Ok(json(&view))
}

/// Which days.
#[derive(Debug, Deserialize)]
pub(super) struct StatsQuery {
    flow: Option<String>,
    #[serde(default = "a_week")]
    days: u16,
}

fn a_week() -> u16 {
    7
}

pub(super) async fn stats(
    State(site): State<Arc<Site>>,
    _: Frame,
    Query(StatsQuery { flow, days }): Query<StatsQuery>,
) -> Answer {
    if !(1..=MOST_DAYS).contains(&days) {
        return Err(Failure::bad_request(format!("days is from 1 to {MOST_DAYS}")));
    }
    if let Some(name) = &flow {
        data::flow_of(&site.loaded(), name)?;
    }
    Ok(json(&data::stats(&site, flow.as_deref(), days).await?))
}

/// Which runs.
#[derive(Debug, Deserialize)]
pub(super) struct RunsQuery {
    flow: Option<String>,
    /// Words of outcomes, separated by commas.
    outcome: Option<String>,
    #[serde(default)]
    since: String,
    #[serde(default)]
    until: String,
    before: Option<i64>,
    after: Option<i64>,
    limit: Option<u32>,
}

pub(super) async fn runs(State(site): State<Arc<Site>>, _: Frame, Query(asked): Query<RunsQuery>) -> Answer {
    let words = asked.outcome.as_deref().unwrap_or_default().split(',').filter(|word| !word.is_empty());
    let outcomes: Option<Vec<Outcome>> = words.map(Outcome::parse).collect();
    let limit = asked.limit.unwrap_or(20);
    if !(1..=MOST_RUNS).contains(&limit) {
        return Err(Failure::bad_request(format!("limit is from 1 to {MOST_RUNS}")));
    }
    let filter = RunFilter {
        flow: asked.flow,
        outcomes: outcomes
            .ok_or_else(|| Failure::bad_request("outcome has a word that is not one of an outcome"))?,
        since: data::moment_of(&asked.since, &site)?,
        until: data::moment_of(&asked.until, &site)?,
        before: asked.before,
        after: asked.after,
        limit: Some(limit),
    };
    Ok(json(&data::runs(&site, filter).await?))
}

pub(super) async fn run(State(site): State<Arc<Site>>, frame: Frame, Path(id): Path<i64>) -> Answer {
    frame.needs_sign_in()?;
    Ok(json(&data::run(&site, id).await?))
}

pub(super) async fn outbox(State(site): State<Arc<Site>>, frame: Frame) -> Answer {
    frame.needs_sign_in()?;
    let mails = site.store().await?.outbox(OutboxFilter::Open).await?;
    Ok(json(&mails.iter().map(OutboxMailView::from).collect::<Vec<_>>()))
}

pub(super) async fn mail(State(site): State<Arc<Site>>, frame: Frame, Path(id): Path<i64>) -> Answer {
    frame.needs_sign_in()?;
    Ok(json(&OutboxMailView::from(&data::mail(&site, id).await?)))
}

/// Whose leads, and a text that is in them. Persons are not named in addresses.
#[derive(Debug, Deserialize)]
pub(super) struct LeadSearch {
    flow: String,
    #[serde(default)]
    text: String,
}

pub(super) async fn leads(
    State(site): State<Arc<Site>>,
    frame: Frame,
    Json(LeadSearch { flow, text }): Json<LeadSearch>,
) -> Answer {
    frame.needs_sign_in()?;
    let flow = data::flow_of(&site.loaded(), &flow)?;
    let found = find_leads(&site, &flow, &text).await?;
    Ok(json(&found.leads.iter().map(|(row, state)| LeadRowView::new(row, state)).collect::<Vec<_>>()))
}

/// Which lead.
#[derive(Debug, Deserialize)]
pub(super) struct LeadKey {
    flow: String,
    /// `RowKey`, or `PartitionKey/RowKey`.
    key: String,
}

pub(super) async fn lead(
    State(site): State<Arc<Site>>,
    frame: Frame,
    Json(LeadKey { flow, key }): Json<LeadKey>,
) -> Answer {
    frame.needs_sign_in()?;
    let flow = data::flow_of(&site.loaded(), &flow)?;
    let store = site.store().await?;
    let _place = site.table_room.acquire().await.map_err(|_| Failure::no_state())?;
    let table = open_table(&site.config(), &flow).await?;
    let proof = LeadProof::find(&table, &flow, Some(&store), &key).await?;
    Ok(json(&LeadProofView::new(&key, &proof)))
}

pub(super) async fn health(State(site): State<Arc<Site>>, _: Frame) -> Answer {
    Ok(json(&data::health(&site).await?.0))
}

pub(super) async fn nodes(State(site): State<Arc<Site>>, _: Frame) -> Answer {
    Ok(json(&data::nodes(&site).await?))
}

pub(super) async fn check(State(site): State<Arc<Site>>, frame: Frame) -> Answer {
    frame.needs_sign_in()?;
    Ok(json(&data::check(&site).await?))
}

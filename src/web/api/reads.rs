//! What programs read.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::callers::SignedIn;
use super::json;
use crate::history::Outcome;
use crate::store::{OutboxFilter, RunFilter};
use crate::tasks::leads::{LeadProof, open_table};
use crate::views::leads::{LeadProofView, LeadRowView};
use crate::views::outbox::OutboxMailView;
#[cfg(test)]
use crate::views::{
    check::CheckView, flows::FlowView, health::HealthView, nodes::NodeView, runs::RunDetailView,
    runs::RunView, stats::StatsView,
};
use crate::web::data;
use crate::web::extract::{Json, Path, Query};
use crate::web::failure::Failure;
use crate::web::frame::Frame;
use crate::web::pages::find_leads;
use crate::web::site::Site;

type Answer = Result<Response, Failure>;

/// Runs of one answer at most.
pub(super) const MOST_RUNS: u32 = 1_000;
/// Days of the statistics at most.
pub(super) const MOST_DAYS: u16 = 366;

/// Every flow of flows.toml with its state, as `leadflow list` prints them.
#[cfg_attr(test, utoipa::path(get, path = "/flows", responses((status = 200, body = Vec<FlowView>))))]
pub(super) async fn flows(State(site): State<Arc<Site>>, frame: Frame) -> Answer {
    Ok(json(&data::flows(&site, &frame.visitor).await?))
}

/// One flow.
#[cfg_attr(test, utoipa::path(get, path = "/flows/{flow}", responses((status = 200, body = FlowView))))]
pub(super) async fn flow(State(site): State<Arc<Site>>, frame: Frame, Path(name): Path<String>) -> Answer {
    let view = data::flows(&site, &frame.visitor).await?.into_iter().find(|view| view.flow == name);
    let view = view.ok_or_else(|| Failure::not_found("there is no flow of this name in flows.toml"))?;
    Ok(json(&view))
}

/// Which days.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub(super) struct StatsQuery {
    /// Of this flow alone.
    flow: Option<String>,
    /// How many, today among them.
    #[serde(default = "a_week")]
    days: u16,
}

fn a_week() -> u16 {
    7
}

/// Runs counted by day, as `leadflow stats` prints them.
#[cfg_attr(test, utoipa::path(
    get, path = "/stats", params(StatsQuery), responses((status = 200, body = StatsView), (status = 404))
))]
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
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub(super) struct RunsQuery {
    /// Of this flow alone.
    flow: Option<String>,
    /// Words of outcomes, separated by commas.
    outcome: Option<String>,
    /// Begun then or later: a moment with its zone, or a day, or a day and a minute, of `settings.time_zone`.
    since: Option<String>,
    /// Begun before then.
    until: Option<String>,
    /// Runs with a lower number.
    before: Option<i64>,
    /// Runs with a higher number.
    after: Option<i64>,
    /// How many at most.
    limit: Option<u32>,
}

/// Runs, the newest first, as `leadflow history` prints them.
///
/// The page behind the last run of an answer is asked for by `before`, with its number.
#[cfg_attr(test, utoipa::path(
    get, path = "/runs", params(RunsQuery), responses((status = 200, body = Vec<RunView>))
))]
pub(super) async fn runs(
    State(site): State<Arc<Site>>,
    frame: Frame,
    Query(asked): Query<RunsQuery>,
) -> Answer {
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
        since: asked.since.map(|since| data::moment(&since, &site)).transpose()?,
        until: asked.until.map(|until| data::moment(&until, &site)).transpose()?,
        before: asked.before,
        after: asked.after,
        limit: Some(limit),
    };
    Ok(json(&data::runs(&site, &frame.visitor, filter).await?))
}

/// A run with its steps and mails, as `leadflow history show` prints it.
#[cfg_attr(test, utoipa::path(
    get, path = "/runs/{run}", responses((status = 200, body = RunDetailView)), security(("token" = []))
))]
pub(super) async fn run(
    State(site): State<Arc<Site>>,
    frame: Frame,
    _: SignedIn,
    Path(id): Path<i64>,
) -> Answer {
    Ok(json(&data::run(&site, &frame.visitor, id).await?))
}

/// Mails that are not sent yet, the oldest first, as `leadflow outbox list` prints them.
#[cfg_attr(test, utoipa::path(
    get, path = "/outbox", responses((status = 200, body = Vec<OutboxMailView>)), security(("token" = []))
))]
pub(super) async fn outbox(State(site): State<Arc<Site>>, _: SignedIn) -> Answer {
    let mails = site.store().await?.outbox(OutboxFilter::Open).await?;
    Ok(json(&mails.iter().map(OutboxMailView::from).collect::<Vec<_>>()))
}

/// One mail, as `leadflow outbox show` prints it.
#[cfg_attr(test, utoipa::path(
    get, path = "/mails/{mail}", responses((status = 200, body = OutboxMailView)), security(("token" = []))
))]
pub(super) async fn mail(State(site): State<Arc<Site>>, _: SignedIn, Path(id): Path<i64>) -> Answer {
    Ok(json(&OutboxMailView::from(&data::mail(&site, id).await?)))
}

/// Whose leads, and a text that is in them. Persons are not named in addresses.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct LeadSearch {
    /// Its name.
    flow: String,
    /// In a name, an address, a product …; in any letter case. Empty for all.
    #[serde(default)]
    text: String,
}

/// The newest leads of a flow's table, at most 50, as `leadflow lead list` prints them.
///
/// The table is read for it.
#[cfg_attr(test, utoipa::path(
    post, path = "/leads/search", request_body = LeadSearch, responses(
        (status = 200, body = Vec<LeadRowView>), (status = 404), (status = 409), (status = 502)
    ), security(("token" = []))
))]
pub(super) async fn search_leads(
    State(site): State<Arc<Site>>,
    _: SignedIn,
    Json(LeadSearch { flow, text }): Json<LeadSearch>,
) -> Answer {
    let flow = data::flow_of(&site.loaded(), &flow)?;
    let found = find_leads(&site, &flow, &text).await?;
    Ok(json(&found.leads.iter().map(|(row, state)| LeadRowView::new(row, state)).collect::<Vec<_>>()))
}

/// Which lead.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct LeadKey {
    /// Its name.
    flow: String,
    /// `RowKey`, or `PartitionKey/RowKey`.
    key: String,
}

/// What became of one lead, as `leadflow lead show` prints it.
///
/// The table is read for it.
#[cfg_attr(test, utoipa::path(
    post, path = "/leads/proof", request_body = LeadKey, responses(
        (status = 200, body = LeadProofView), (status = 404), (status = 409), (status = 502)
    ), security(("token" = []))
))]
pub(super) async fn prove_lead(
    State(site): State<Arc<Site>>,
    _: SignedIn,
    Json(LeadKey { flow, key }): Json<LeadKey>,
) -> Answer {
    let flow = data::flow_of(&site.loaded(), &flow)?;
    let store = site.store().await?;
    let _place = site.table_room.acquire().await.map_err(|_| Failure::no_state())?;
    let table = open_table(&site.config(), &flow).await?;
    let proof = LeadProof::find(&table, &flow, Some(&store), &key).await?;
    Ok(json(&LeadProofView::new(&key, &proof)))
}

/// Whether all is well, as `leadflow health` prints it.
///
/// The status is 200 also where `ok` is false.
#[cfg_attr(test, utoipa::path(get, path = "/health", responses((status = 200, body = HealthView))))]
pub(super) async fn health(State(site): State<Arc<Site>>, frame: Frame) -> Answer {
    Ok(json(&data::health(&site, &frame.visitor).await?.0))
}

/// The machines that share the state, as `leadflow nodes` prints them.
#[cfg_attr(test, utoipa::path(get, path = "/nodes", responses((status = 200, body = Vec<NodeView>))))]
pub(super) async fn nodes(State(site): State<Arc<Site>>, _: Frame) -> Answer {
    Ok(json(&data::nodes(&site).await?))
}

/// What is wrong with flows.toml as it is now, as `leadflow check` prints it; no server is asked.
#[cfg_attr(test, utoipa::path(
    get, path = "/check", responses((status = 200, body = CheckView)), security(("token" = []))
))]
pub(super) async fn check(State(site): State<Arc<Site>>, _: SignedIn) -> Answer {
    Ok(json(&data::check(&site).await?))
}

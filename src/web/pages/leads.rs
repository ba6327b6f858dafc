//! The leads of a flow's table. What is looked for is a person, mostly, so it is never in an address.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::config;
use crate::flow::Flow;
use crate::rows::row::Row;
use crate::schedule::window::EVER;
use crate::tasks::lead_export::{LeadExport, LeadExportError, LeadExportFormat, LeadExportOptions};
use crate::tasks::leads::{LeadError, LeadList, open_table};
use crate::views::leads::{LeadRowView, LeadView};
use crate::web::data;
use crate::web::extract::Query;
use crate::web::failure::Failure;
use crate::web::fields::Fields;
use crate::web::frame::Frame;
use crate::web::parts::layout::{Section, page};
use crate::web::parts::words::{mail_state, moment};
use crate::web::parts::{form, nothing, path, table};
use crate::web::site::Site;

/// Leads that are shown.
const LIMIT: usize = 50;

/// Whose leads.
#[derive(Debug, Default, Deserialize)]
pub(in crate::web) struct LeadQuery {
    #[serde(default)]
    flow: String,
}

/// The newest leads.
pub(in crate::web) async fn leads(
    State(site): State<Arc<Site>>,
    frame: Frame,
    Query(LeadQuery { flow }): Query<LeadQuery>,
) -> Result<Response, Failure> {
    frame.needs_sign_in()?;
    shown(&site, &frame, &flow, "").await
}

/// Those in which a text is found.
pub(in crate::web) async fn search(
    State(site): State<Arc<Site>>,
    frame: Frame,
    fields: Fields,
) -> Result<Response, Failure> {
    frame.needs_sign_in()?;
    shown(&site, &frame, fields.text("flow"), fields.text("text")).await
}

async fn shown(site: &Site, frame: &Frame, name: &str, text: &str) -> Result<Response, Failure> {
    let config = site.config();
    let names: Vec<String> = config.flows.keys().cloned().collect();
    let title = frame.t("Leads", "잠재 고객");
    let Some(name) = Some(name).filter(|name| !name.is_empty()).or(names.first().map(String::as_str)) else {
        let none = nothing(frame.t("flows.toml defines no flow.", "flows.toml에 흐름이 없습니다."));
        return Ok(page(frame, Section::Leads, title, &none));
    };
    let flow = data::flow_of(&site.loaded(), name)?;
    let found = find(site, &flow, text).await?;
    let content = html! {
        (ask(frame, &names, name, text))
        @if found.leads.is_empty() { (nothing(frame.t("No lead matches.", "해당하는 잠재 고객이 없습니다."))) }
        @else {
            (list(frame, name, &found))
            @if found.all > found.leads.len() {
                p.soft { (frame.t("The newest of: ", "전체 중 최근 것만 표시: ")) (found.all) }
            }
        }
        (export_form(frame, name))
    };
    Ok(page(frame, Section::Leads, title, &content))
}

pub(in crate::web) async fn find(site: &Site, flow: &Arc<Flow>, text: &str) -> Result<LeadList, Failure> {
    let store = site.store().await?;
    let _place = site.table_room.acquire().await.map_err(|_| Failure::no_state())?;
    let opened = open_table(&site.config(), flow).await?;
    let wanted = text.trim().to_lowercase();
    let has = move |row: &Row| wanted.is_empty() || contains(row, &wanted);
    Ok(LeadList::read(&opened, flow, Some(&store), LIMIT, has, |_| ()).await?)
}

/// Whether a person would find the text in the row.
fn contains(row: &Row, wanted: &str) -> bool {
    let lead = LeadView::from(row);
    let fields = [
        &lead.name,
        &lead.company,
        &lead.country,
        &lead.email,
        &lead.phone,
        &lead.title,
        &lead.offer,
        &lead.product,
        &lead.description,
    ];
    let mut texts = fields.into_iter().flatten().map(String::as_str).chain([row.row_key.as_str()]);
    texts.any(|text| text.to_lowercase().contains(wanted))
}

fn ask(frame: &Frame, names: &[String], name: &str, text: &str) -> Markup {
    form(
        frame,
        "/leads",
        &[],
        &html! {
            div.filters role="search" {
                label {
                    (frame.t("Flow", "흐름"))
                    select name="flow" { @for it in names { option value=(it) selected[it == name] { (it) } } }
                }
                label { (frame.t("Name, company, address…", "이름, 회사, 주소…")) input type="search" name="text" value=(text) maxlength="200"; }
                button type="submit" { (frame.t("Search", "찾기")) }
            }
        },
    )
}

fn list(frame: &Frame, flow: &str, found: &LeadList) -> Markup {
    let head = html! {
        th scope="col" { (frame.t("Written", "쓰인 시각")) }
        th scope="col" { (frame.t("State", "상태")) }
        th.wide scope="col" { (frame.t("Lead", "잠재 고객")) }
        th scope="col" { (frame.t("Offer", "제품")) }
        th.number scope="col" { (frame.t("Mail", "메일")) }
        th scope="col" { (frame.t("Proof", "증명")) }
    };
    let rows = html! {
        @for (row, state) in &found.leads {
            @let view = LeadRowView::new(row, state);
            tr {
                td { @match row.at() { Some(at) => (moment(frame, at)), None => (row.timestamp) } }
                td { (mail_state(frame, &view.state)) @if view.lead.is_test { " " span.badge { (frame.t("test", "테스트")) } } }
                td.wide { (view.lead.in_words().unwrap_or_else(|| frame.t("(no name given)", "(이름 없음)").to_owned())) }
                td { (view.lead.offer.as_deref().unwrap_or("–")) }
                td.number { @match view.mail { Some(mail) => a href=(path(&["outbox", &mail.to_string()])) { (mail) }, None => "–" } }
                td {
                    (form(frame, "/leads/proof", &[("flow", flow), ("partition", &row.partition_key), ("row", &row.row_key)], &html! {
                        button.quiet type="submit" { (frame.t("Show", "보기")) }
                    }))
                }
            }
        }
    };
    table(frame.t("Leads", "잠재 고객"), &head, &rows)
}

fn export_form(frame: &Frame, flow: &str) -> Markup {
    html! {
        h2 { "CSV" }
        (form(frame, "/leads/export", &[("flow", flow)], &html! {
            div.filters {
                label {
                    (frame.t("Columns", "열"))
                    select name="columns" {
                        option value="" { (frame.t("as in the flow's mail", "흐름의 메일과 같게")) }
                        @for preset in config::presets() { option value=(preset) { (preset) } }
                    }
                }
                label.box { input type="checkbox" name="all"; " " (frame.t("with “do not contact”", "‘연락 금지’ 포함")) }
                button type="submit" { (frame.t("Export", "내보내기")) }
            }
        }))
    }
}

/// All leads as CSV, piece by piece.
pub(in crate::web) async fn export(
    State(site): State<Arc<Site>>,
    frame: Frame,
    fields: Fields,
) -> Result<Response, Failure> {
    frame.needs_sign_in()?;
    let flow = data::flow_of(&site.loaded(), fields.text("flow"))?;
    let columns = match fields.text("columns") {
        "" => None,
        name => Some(config::preset(name).ok_or_else(|| Failure::bad_request("there are no such columns"))?),
    };
    let by = frame.visitor.as_asker();
    tracing::info!(by, flow = flow.name, "leads are exported");
    let options = LeadExportOptions {
        since: EVER,
        columns,
        separator: flow.email.csv_separator,
        with_do_not_contact: fields.is_set("all"),
    };
    let place = site.table_room.acquire().await.map_err(|_| Failure::no_state())?;
    let opened = open_table(&site.config(), &flow).await?;
    let read = LeadExport::read(&opened, &flow, &options, |_| ()).await;
    drop(place);
    let leads = read.map_err(|error| match error {
        LeadExportError::Table(error) => LeadError::Table(error).into(),
        LeadExportError::Spool(error) => {
            Failure::conflict(format!("the rows cannot be kept for a while: {error}"))
        }
    })?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"leads.csv\"")),
    ];
    Ok((headers, streamed(leads)).into_response())
}

fn streamed(mut leads: LeadExport) -> Body {
    let (send, receive) = mpsc::channel::<io::Result<Bytes>>(4);
    tokio::task::spawn_blocking(move || {
        let mut out = BufWriter::with_capacity(64 << 10, Pieces(send.clone()));
        let written = leads.write(&mut out, LeadExportFormat::Csv, |_| ()).and_then(|()| out.flush());
        if let Err(error) = written {
            // Who reads sees that it is not whole.
            let _ = send.blocking_send(Err(error));
        }
    });
    let pieces = futures::stream::unfold(receive, |mut receive| async move {
        receive.recv().await.map(|piece| (piece, receive))
    });
    Body::from_stream(pieces)
}

/// Passes what is written on.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

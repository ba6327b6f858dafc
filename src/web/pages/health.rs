//! What is failing, late or held, and how far each flow has come.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use maud::{Markup, html};

use crate::alarm::FlowState;
use crate::tasks::health::Health;
use crate::views::nodes::NodeView;
use crate::web::data;
use crate::web::failure::Failure;
use crate::web::frame::Frame;
use crate::web::parts::layout::{Section, page};
use crate::web::parts::words::{distance, marked, moment, since};
use crate::web::parts::{path, table};
use crate::web::site::Site;

pub(in crate::web) async fn health(State(site): State<Arc<Site>>, frame: Frame) -> Result<Response, Failure> {
    let (view, health) = data::health(&site, &frame.visitor).await?;
    let nodes = data::nodes(&site).await?;
    let newest = data::newest_leads(&site).await?;
    let content = html! {
        @if view.ok { p.notice.good { (frame.t("All is well.", "모두 정상입니다.")) } }
        @for reason in &view.reasons { (reason_of(reason)) }
        h2 { (frame.t("Flows", "흐름")) }
        (flows(&frame, &site, &health, &newest))
        h2 { (frame.t("Mail connections", "메일 연결")) }
        (connections(&frame, &site, &health))
        @if !nodes.is_empty() {
            h2 { (frame.t("Machines", "컴퓨터")) }
            (machines(&frame, &nodes))
        }
    };
    Ok(page(&frame, Section::Health, frame.t("Health", "상태"), &content))
}

/// What it is, then what to do.
fn reason_of(reason: &str) -> Markup {
    let mut lines = reason.lines();
    html! {
        div.notice.bad lang="en" {
            p { strong { (marked(lines.next().unwrap_or_default())) } }
            @for line in lines { p { (marked(line.trim())) } }
        }
    }
}

fn flows(frame: &Frame, site: &Site, health: &Health, newest: &BTreeMap<String, Timestamp>) -> Markup {
    let head = html! {
        th scope="col" { (frame.t("Flow", "흐름")) }
        th scope="col" { (frame.t("Last success", "마지막 성공")) }
        th scope="col" { (frame.t("Newest mailed rows", "마지막으로 보낸 행")) }
        th scope="col" { (frame.t("Read up to (watermark)", "읽은 위치(watermark)")) }
        th.number scope="col" { (frame.t("Failures in a row", "연속 실패")) }
        th.number scope="col" { (frame.t("Waiting mails", "대기 메일")) }
        th.number scope="col" { (frame.t("Held mails", "보류 메일")) }
        th.wide scope="col" { (frame.t("Clock", "시계")) }
    };
    let config = site.config();
    let rows = html! {
        @for name in config.flows.keys() {
            tr {
                th scope="row" { a href=(path(&["flows", name])) { (name) } }
                @match health.facts.flows.get(name) {
                    Some(state) => (cells(frame, state, newest.get(name).copied())),
                    None => td colspan="7" { (frame.t("not seen yet", "아직 실행되지 않음")) },
                }
            }
        }
    };
    table(frame.t("Flows", "흐름"), &head, &rows)
}

fn cells(frame: &Frame, state: &FlowState, newest: Option<Timestamp>) -> Markup {
    html! {
        @for at in [state.last_read, newest, state.watermark] {
            td { @match at { Some(at) => { (moment(frame, at)) p.soft { (distance(frame, at)) } } None => "–" } }
        }
        td.number { (state.failures) }
        td.number { (state.waiting.map_or(0, |(count, _)| count)) }
        td.number { (state.held.as_ref().map_or(0, |held| held.count)) }
        td.wide lang="en" { (state.clock_problem.as_deref().unwrap_or("–")) }
    }
}

fn connections(frame: &Frame, site: &Site, health: &Health) -> Markup {
    let head = html! {
        th scope="col" { (frame.t("Connection", "연결")) }
        th scope="col" { (frame.t("State", "상태")) }
        th.wide scope="col" { (frame.t("Reason", "이유")) }
    };
    let config = site.config();
    let rows = html! {
        @for name in config.mails.keys() {
            @match health.facts.connections.get(name) {
                None => tr { th scope="row" { (name) } td { span.badge.good { (frame.t("well", "정상")) } } td.wide { "–" } },
                Some(state) => tr {
                    th scope="row" { (name) }
                    td { span.badge.bad { (frame.t("failing", "실패 중")) } p.soft { (since(frame, state.failing_since)) } }
                    td.wide lang="en" { (marked(&state.what)) @if let Some(help) = &state.help { p { (marked(help)) } } }
                },
            }
        }
    };
    table(frame.t("Mail connections", "메일 연결"), &head, &rows)
}

fn machines(frame: &Frame, nodes: &[NodeView]) -> Markup {
    let head = html! {
        th scope="col" { (frame.t("Name", "이름")) }
        th scope="col" { (frame.t("State", "상태")) }
        th scope="col" { (frame.t("Seen", "마지막 확인")) }
        th scope="col" { (frame.t("Version", "버전")) }
        th scope="col" { (frame.t("Same files", "같은 파일")) }
    };
    let rows = html! {
        @for node in nodes.iter().filter(|node| !node.is_command) {
            tr {
                th scope="row" { (node.node) }
                td {
                    @if node.alive { span.badge.good { (frame.t("alive", "동작 중")) } }
                    @else { span.badge.bad { (frame.t("gone", "사라짐")) } }
                }
                td { (moment(frame, node.seen)) }
                td { (node.version) }
                td { @if node.has_same_files { (frame.t("yes", "예")) } @else { (frame.t("no", "아니요")) } }
            }
        }
    };
    table(frame.t("Machines", "컴퓨터"), &head, &rows)
}

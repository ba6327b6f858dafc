//! All flows.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use crate::views::flows::FlowView;
use crate::views::stats::DayView;
use crate::web::data;
use crate::web::failure::Failure;
use crate::web::frame::Frame;
use crate::web::parts::chart::{Series, sparkline};
use crate::web::parts::layout::{Section, page};
use crate::web::parts::words::{distance, moment, outcome, since};
use crate::web::parts::{nothing, path, table};
use crate::web::site::Site;

pub(in crate::web) async fn flows(State(site): State<Arc<Site>>, frame: Frame) -> Result<Response, Failure> {
    let flows = data::flows(&site, &frame.visitor).await?;
    let days = data::mailed_rows(&site).await?;
    let (health, _) = data::health(&site, &frame.visitor).await?;
    let content = html! {
        (wellness(&frame, health.ok, health.reasons.len()))
        @if flows.is_empty() { (nothing(frame.t("flows.toml defines no flow.", "flows.toml에 흐름이 없습니다."))) }
        @else { (list(&frame, &flows, &days)) }
    };
    Ok(page(&frame, Section::Flows, frame.t("Flows", "흐름"), &content))
}

/// Whether all is well, in a line that leads to more.
fn wellness(frame: &Frame, is_well: bool, reasons: usize) -> Markup {
    html! {
        @if is_well { p.notice.good { (frame.t("All is well.", "모두 정상입니다.")) } }
        @else {
            p.notice.bad {
                a href="/health" {
                    @match frame.language.tag() {
                        "ko" => { "확인이 필요한 일이 " (reasons) "가지 있습니다." }
                        _ if reasons == 1 => "1 thing needs attention.",
                        _ => { (reasons) " things need attention." }
                    }
                }
            }
        }
    }
}

fn list(frame: &Frame, flows: &[FlowView], days: &BTreeMap<String, Vec<DayView>>) -> Markup {
    let head = html! {
        th scope="col" { (frame.t("Flow", "흐름")) }
        th scope="col" { (frame.t("State", "상태")) }
        th scope="col" { (frame.t("Last run", "마지막 실행")) }
        th scope="col" { (frame.t("Next run", "다음 실행")) }
        th.number scope="col" { (frame.t("Waiting mails", "대기 메일")) }
        th.number scope="col" { (frame.t("Leads today", "오늘 잠재 고객")) }
        th scope="col" { (frame.t("Last 30 days", "최근 30일")) }
    };
    let rows = html! {
        @for flow in flows {
            @let days = days.get(&flow.flow).map(Vec::as_slice).unwrap_or_default();
            tr {
                th scope="row" {
                    a href=(path(&["flows", &flow.flow])) { (flow.flow) }
                    @if let Some(description) = &flow.description { p.soft { (description) } }
                }
                td { (state(frame, flow)) }
                td { (last_run(frame, flow)) }
                td { (next_run(frame, flow)) }
                td.number { (flow.waiting_mails) }
                td.number { (days.last().map_or(0, |day| day.tally.rows)) }
                td { (sparkline(frame, &rows_by_day(frame, days))) }
            }
        }
    };
    table(frame.t("Flows", "흐름"), &head, &rows)
}

/// The mailed rows of each day.
pub(super) fn rows_by_day<'a>(frame: &Frame, days: &'a [DayView]) -> Series<'a> {
    Series {
        name: frame.t("Mailed rows", "메일로 보낸 행"),
        days,
        value: |day| day.tally.rows,
        words: |rows| rows.to_string(),
        is_bad: false,
        adds_up: true,
    }
}

/// On or off, and by what.
pub(super) fn state(frame: &Frame, flow: &FlowView) -> Markup {
    let (class, words) = match (flow.enabled_in_file, flow.off_by_command_since) {
        (true, None) => ("badge good", frame.t("on", "켜짐")),
        (true, Some(_)) => ("badge", frame.t("off", "꺼짐")),
        (false, _) => ("badge", frame.t("off in flows.toml", "flows.toml에서 꺼짐")),
    };
    html! {
        span class=(class) { (words) }
        @if let Some(at) = flow.off_by_command_since {
            p.soft {
                (since(frame, at))
                @if let Some(by) = &flow.off_by { ", " (frame.t("by", "끈 사람:")) " " (by) }
            }
        }
    }
}

fn last_run(frame: &Frame, flow: &FlowView) -> Markup {
    html! {
        @match &flow.last_run {
            Some(run) => {
                a href=(path(&["runs", &run.run.to_string()])) { (outcome(frame, run.outcome)) }
                p.soft { (distance(frame, run.started)) }
            }
            None => "–",
        }
    }
}

/// When it runs next.
pub(super) fn next_run(frame: &Frame, flow: &FlowView) -> Markup {
    html! {
        @match flow.next_run {
            Some(at) if at <= frame.now => (frame.t("now", "지금")),
            Some(at) => { (moment(frame, at)) p.soft { (distance(frame, at)) } }
            None => "–",
        }
    }
}

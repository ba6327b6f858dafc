//! A flow: what it is, what it did, and its history.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use jiff::SignedDuration;
use maud::{Markup, html};

use super::flows::{next_run, rows_by_day, state};
use super::runs::{RunQuery, filters, older};
use crate::views::flows::FlowView;
use crate::views::stats::DayView;
use crate::web::data;
use crate::web::extract::{Path, Query};
use crate::web::failure::Failure;
use crate::web::frame::Frame;
use crate::web::parts::chart::{Series, chart};
use crate::web::parts::definition::definition;
use crate::web::parts::layout::{Section, page};
use crate::web::parts::words::duration;
use crate::web::parts::{path, run};
use crate::web::site::Site;

pub(in crate::web) async fn flow(
    State(site): State<Arc<Site>>,
    frame: Frame,
    Path(name): Path<String>,
    Query(query): Query<RunQuery>,
) -> Result<Response, Failure> {
    let flow = data::flow_of(&site.loaded(), &name)?;
    let view = data::flows(&site, &frame.visitor).await?.into_iter().find(|view| view.flow == name);
    let view = view.ok_or_else(Failure::no_state)?;
    let stats = data::stats(&site, Some(&name), data::DAYS).await?;
    let days = stats.flows.first().map(|flow| flow.days.as_slice()).unwrap_or_default();
    let runs = data::runs(&site, &frame.visitor, query.filter(&site, Some(&name))?).await?;
    let here = path(&["flows", &name]);
    let content = html! {
        @if let Some(description) = &view.description { p.lead { (description) } }
        div.line {
            div { (state(&frame, &view)) }
            div { span.soft { (frame.t("next run", "다음 실행")) " " } (next_run(&frame, &view)) }
            div { span.soft { (frame.t("waiting mails", "대기 메일")) " " } (view.waiting_mails) }
        }
        @if frame.visitor.may_operate() { (actions(&frame, &view)) }
        h2 { (frame.t("What it does", "하는 일")) }
        (definition(&frame, &flow))
        h2 { (frame.t("The last 30 days", "최근 30일")) }
        (charts(&frame, days))
        h2 { (frame.t("Run history", "실행 기록")) }
        (filters(&frame, &here, &query, None))
        (run::runs(&frame, &runs, false))
        (older(&frame, &here, &query, &runs))
    };
    Ok(page(&frame, Section::Flows, &name, &content))
}

fn actions(frame: &Frame, view: &FlowView) -> Markup {
    let to = |action: &str| path(&["flows", &view.flow, action]);
    html! {
        p.actions {
            a.button href=(to("run")) { (frame.t("Run now…", "지금 실행…")) } " "
            @if view.off_by_command_since.is_some() { a.button.quiet href=(to("on")) { (frame.t("Turn on…", "켜기…")) } " " }
            @else if view.enabled_in_file { a.button.quiet href=(to("off")) { (frame.t("Turn off…", "끄기…")) } " " }
            a.button.quiet href=(to("replay")) { (frame.t("Replay…", "기간 다시 실행…")) } " "
            a.button.quiet href=(to("test-mail")) { (frame.t("Test mail…", "테스트 메일…")) }
        }
    }
}

fn charts(frame: &Frame, days: &[DayView]) -> Markup {
    let number = |count: u64| count.to_string();
    let runs = Series {
        name: frame.t("Runs", "실행"),
        days,
        value: |day| day.tally.runs,
        words: number,
        is_bad: false,
        adds_up: true,
    };
    let failed = Series {
        name: frame.t("Failed runs", "실패한 실행"),
        days,
        value: |day| day.tally.failed,
        words: number,
        is_bad: true,
        adds_up: true,
    };
    let took = Series {
        name: frame.t("Median duration", "걸린 시간의 중앙값"),
        days,
        value: |day| day.tally.median_ms.and_then(|millis| u64::try_from(millis).ok()).unwrap_or_default(),
        words: |millis| duration(SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))),
        is_bad: false,
        adds_up: false,
    };
    html! {
        div.charts {
            (chart(frame, &rows_by_day(frame, days)))
            (chart(frame, &runs))
            (chart(frame, &failed))
            (chart(frame, &took))
        }
    }
}

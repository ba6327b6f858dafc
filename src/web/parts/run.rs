//! Runs in a table, and the steps of one.

use jiff::SignedDuration;
use maud::{Markup, html};
use serde_json::Value;

use super::words::{cause, duration, marked, moment, outcome};
use super::{nothing, path, table};
use crate::views::runs::{RunView, StepView};
use crate::web::frame::Frame;

/// Runs, the newest first.
pub(in crate::web) fn runs(frame: &Frame, runs: &[RunView], has_flow: bool) -> Markup {
    if runs.is_empty() {
        return nothing(frame.t("No run matches.", "해당하는 실행이 없습니다."));
    }
    let head = html! {
        th.number scope="col" { (frame.t("Run", "실행")) }
        @if has_flow { th scope="col" { (frame.t("Flow", "흐름")) } }
        th scope="col" { (frame.t("Started", "시작")) }
        th scope="col" { (frame.t("Outcome", "결과")) }
        th.number scope="col" { (frame.t("Rows", "행")) }
        th.number scope="col" { (frame.t("Took", "걸린 시간")) }
        th.wide scope="col" { (frame.t("Summary", "요약")) }
    };
    let rows = html! {
        @for run in runs {
            tr {
                td.number { a href=(path(&["runs", &run.run.to_string()])) { (run.run) } }
                @if has_flow { td.flow { a href=(path(&["flows", &run.flow])) { (run.flow) } } }
                td { (moment(frame, run.started)) }
                td { (outcome(frame, run.outcome)) }
                td.number { (run.rows) }
                td.number { (took(run)) }
                td.wide lang="en" { (marked(&run.summary)) }
            }
        }
    };
    table(frame.t("Runs", "실행"), &head, &rows)
}

/// How long it took, or that it goes on.
pub(in crate::web) fn took<M>(run: &RunView<M>) -> String {
    run.ended.map_or_else(|| "…".to_owned(), |ended| duration(ended.duration_since(run.started)))
}

/// Why a run happened, and who asked for it.
pub(in crate::web) fn cause_of<M>(frame: &Frame, run: &RunView<M>) -> Markup {
    html! {
        (cause(frame, &run.cause))
        @if let Some(by) = &run.asked_by { ": " (by) }
    }
}

/// The steps of a run, each with what went in and what came out.
pub(in crate::web) fn steps(frame: &Frame, steps: &[StepView]) -> Markup {
    html! {
        ol.steps {
            @for step in steps {
                li {
                    details open[step.outputs.get("failure").is_some()] {
                        summary { (step_name(frame, &step.step)) " " span.soft { (took_us(step.took_us)) } }
                        div.halves {
                            (values(frame.t("Inputs", "입력"), &step.inputs))
                            (values(frame.t("Outputs", "출력"), &step.outputs))
                        }
                    }
                }
            }
        }
    }
}

fn took_us(micros: u64) -> String {
    duration(SignedDuration::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)))
}

fn step_name<'a>(frame: &Frame, name: &'a str) -> &'a str {
    match name {
        "turn" => frame.t("turn", "차례 기다림"),
        "window" => frame.t("window", "창"),
        "query" => frame.t("query", "조회"),
        "new rows" => frame.t("new rows", "새 행"),
        "condition" => frame.t("condition", "조건"),
        "render" => frame.t("render", "메일 작성"),
        "commit" => frame.t("commit", "기록"),
        other => other,
    }
}

/// As it is stored: names of JSON, which docs/json.md explains.
fn values(title: &str, value: &Value) -> Markup {
    let entries: Vec<_> =
        value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()).collect();
    html! {
        section {
            h3 { (title) }
            @if entries.is_empty() { p.soft { "–" } }
            @else {
                dl.facts.small {
                    @for (name, value) in entries {
                        div { dt lang="en" { (name.replace('_', " ")) } dd { code { (shown(value)) } } }
                    }
                }
            }
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) if all.iter().all(Value::is_string) => {
            all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

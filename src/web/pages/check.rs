//! flows.toml as `check` sees it; nothing can be changed here.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use crate::config;
use crate::views::check::{FindingView, ProblemView};
use crate::web::data;
use crate::web::failure::Failure;
use crate::web::frame::Frame;
use crate::web::parts::layout::{Section, page};
use crate::web::parts::words::marked;
use crate::web::site::Site;

pub(in crate::web) async fn check(State(site): State<Arc<Site>>, frame: Frame) -> Result<Response, Failure> {
    frame.needs_sign_in()?;
    let view = data::check(&site).await?;
    let path = site.config().path.clone();
    let text = tokio::task::spawn_blocking(move || config::masked_text(&path)).await;
    let content = html! {
        @if view.ok { p.notice.good { (frame.t("No problem was found.", "문제가 없습니다.")) } }
        @for problem in &view.problems { (problem_of(problem)) }
        @if !view.findings.is_empty() {
            h2 { (frame.t("Secrets, tables and servers", "비밀, 테이블, 서버")) }
            ul.findings lang="en" { @for finding in &view.findings { (finding_of(finding)) } }
        }
        @if let Ok(Some(text)) = text {
            h2 { "flows.toml" }
            p.soft { (frame.t(
                "The file as it is now, with secrets masked; it is changed on the machine.",
                "지금의 파일입니다. 비밀은 가려져 있고, 변경은 컴퓨터에서 합니다.",
            )) }
            pre.file tabindex="0" { @for line in text.lines() { span.row { (line) "\n" } } }
        }
    };
    Ok(page(&frame, Section::Check, frame.t("Check", "점검"), &content))
}

fn problem_of(problem: &ProblemView) -> Markup {
    let class = if problem.severity == "error" { "notice bad" } else { "notice" };
    html! {
        div class=(class) lang="en" {
            p {
                strong { (problem.severity) ": " (marked(&problem.message)) } " "
                span.soft {
                    (problem.file)
                    @if let Some(line) = problem.line { ":" (line) }
                    @if let Some(column) = problem.column { ":" (column) }
                }
            }
            @if let Some(help) = &problem.help { p { (marked(help)) } }
        }
    }
}

fn finding_of(finding: &FindingView) -> Markup {
    html! {
        li {
            @if finding.ok { span.badge.good { "✓" } } @else { span.badge.bad { "✗" } }
            " " strong { (finding.about) } " " (marked(&finding.message))
            @if let Some(help) = &finding.help { p.soft { (marked(help)) } }
        }
    }
}

//! A run: what it did, step by step, and its mails.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use crate::views::outbox::MailView;
use crate::web::data;
use crate::web::extract::Path;
use crate::web::failure::Failure;
use crate::web::frame::Frame;
use crate::web::parts::layout::{Section, page};
use crate::web::parts::words::{marked, moment, outcome};
use crate::web::parts::{facts, mail, path, run as parts};
use crate::web::site::Site;

/// Mails that are shown whole on the page of their run.
const MOST_MAILS: usize = 20;

pub(in crate::web) async fn run(
    State(site): State<Arc<Site>>,
    frame: Frame,
    Path(id): Path<i64>,
) -> Result<Response, Failure> {
    let detail = data::run(&site, &frame.visitor, id).await?;
    let run = &detail.run;
    let number = run.run.to_string();
    let mut known = vec![
        (frame.t("Flow", "흐름"), html! { a href=(path(&["flows", &run.flow])) { (run.flow) } }),
        (frame.t("Cause", "원인"), parts::cause_of(&frame, run)),
    ];
    known.extend(run.due.map(|due| (frame.t("Slot", "예정 시각"), moment(&frame, due))));
    known.extend([
        (frame.t("Started", "시작"), moment(&frame, run.started)),
        (frame.t("Took", "걸린 시간"), html! { (parts::took(run)) }),
        (frame.t("New rows", "새 행"), html! { (run.rows) }),
    ]);
    let content = html! {
        p.lead { (outcome(&frame, run.outcome)) " " span lang="en" { (marked(&run.summary)) } }
        @if let Some(help) = &run.help { p.notice.bad lang="en" { (marked(help)) } }
        (facts(&known))
        @if frame.visitor.may_operate() && !detail.steps.is_empty() {
            p.actions {
                a.button.quiet href=(path(&["runs", &number, "resubmit"])) { (frame.t("Resubmit…", "다시 제출…")) }
            }
        }
        @if !detail.steps.is_empty() {
            h2 { (frame.t("Steps", "단계")) }
            (parts::steps(&frame, &detail.steps))
        }
        @if !run.mails.is_empty() {
            h2 { (frame.t("Mails", "메일")) }
            (mails(&frame, &run.mails))
        }
    };
    let title = format!("{} {}", frame.t("Run", "실행"), run.run);
    Ok(page(&frame, Section::Runs, &title, &content))
}

/// Subjects and recipients are for those who have signed in.
fn mails(frame: &Frame, mails: &[MailView]) -> Markup {
    html! {
        @if !frame.visitor.has_signed_in() {
            p.nothing {
                (mails.len()) " " (frame.t("– subjects and recipients are shown after sign-in.", "– 제목과 받는 사람은 로그인 후에 보입니다."))
            }
        } @else {
            @for it in mails.iter().take(MOST_MAILS) {
                section.card {
                    h3 { a href=(path(&["outbox", &it.mail.to_string()])) { (frame.t("Mail", "메일")) " " (it.mail) } }
                    (mail::mail(frame, it))
                }
            }
            @if mails.len() > MOST_MAILS {
                p.soft { (frame.t("and more mails: ", "그 밖의 메일: ")) (mails.len() - MOST_MAILS) }
            }
        }
    }
}

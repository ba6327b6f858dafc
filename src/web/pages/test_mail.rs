//! A flow's mail with made-up rows.

use std::sync::Arc;

use axum::response::Response;
use maud::html;
use tracing::info;

use super::question::Question;
use crate::config;
use crate::flow::Flow;
use crate::outbox::Receipt;
use crate::tasks::test_mail::{FailedConnection, made_up, send as send_mail};
use crate::web::failure::Failure;
use crate::web::frame::Frame;
use crate::web::parts::layout::{Section, page};
use crate::web::parts::path;
use crate::web::site::Site;

pub(super) fn question(frame: &Frame, flow: &Flow) -> Question {
    Question::new(frame.t("Send a test mail of {}?", "{}: 테스트 메일을 보낼까요?"))
        .button(frame.t("Send", "보내기"))
        .tells(html! {
            p { (frame.t(
                "The flow's mail with made-up leads, marked as a test. Without an address here it goes to: ",
                "지어낸 잠재 고객으로 만든 테스트 메일입니다. 주소를 쓰지 않으면 받는 사람: ",
            )) strong { (flow.email.recipients().join(", ")) } }
        })
        .with_field("to", frame.t("Only to this address", "이 주소로만 보내기"))
}

/// Sends it at once, as the command does.
pub(super) async fn send(
    frame: &Frame,
    site: &Site,
    flow: &Arc<Flow>,
    to: &str,
) -> Result<Response, Failure> {
    let to = match to.trim() {
        "" => flow.email.recipients(),
        one => vec![
            config::address_of(one)
                .ok_or_else(|| Failure::bad_request("this is not a valid mail address"))?,
        ],
    };
    let by = frame.visitor.as_asker();
    info!(by, flow = flow.name, recipients = to.len(), "a test mail is asked for");
    let config = site.config();
    let failed = |error: crate::engine::run::RunError| {
        let help = error.help();
        Failure::conflict(error.to_string()).with_help(help)
    };
    let mails = made_up(&config, flow, &site.clock).await.map_err(failed)?;
    let sender = mails.sender().to_owned();
    let mut results = Vec::new();
    for mail in mails.read() {
        let (_, bytes) = mail.map_err(|error| Failure::conflict(error.to_string()))?;
        match send_mail(&config, flow, &sender, &to, &bytes).await {
            Ok(receipts) => results.extend(to.iter().cloned().zip(receipts)),
            Err(failed) => return Err(none_works(&failed)),
        }
    }
    let content = html! {
        ul.findings {
            @for (address, receipt) in &results {
                li {
                    (badge(frame, receipt)) " " strong { (address) } " " span lang="en" { (receipt.reply()) }
                }
            }
        }
        p { a href=(path(&["flows", &flow.name])) { (frame.t("Back to the flow", "흐름으로 돌아가기")) } }
    };
    Ok(page(frame, Section::Flows, frame.t("Test mail", "테스트 메일"), &content))
}

fn badge(frame: &Frame, receipt: &Receipt) -> maud::Markup {
    let (class, words) = match receipt {
        Receipt::Accepted(_) => ("badge good", frame.t("accepted", "접수됨")),
        Receipt::Refused(_) => ("badge bad", frame.t("refused", "거부됨")),
        Receipt::Later(_) => ("badge waits", frame.t("not now", "나중에")),
        Receipt::Unknown(_) => ("badge bad", frame.t("uncertain", "불확실")),
    };
    html! { span class=(class) { (words) } }
}

fn none_works(failed: &[FailedConnection]) -> Failure {
    let reasons = failed
        .iter()
        .map(|FailedConnection { connection, error }| format!("connection {connection}: {error}"));
    let help = failed.iter().find_map(|it| it.error.advice.help.clone());
    let failure =
        Failure::conflict(format!("the mail cannot be sent: {}", reasons.collect::<Vec<_>>().join("; ")));
    Failure { help, ..failure }
}

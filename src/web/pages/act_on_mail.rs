//! What is done to mails, and asked before.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::html;

use super::question::{Question, after};
use crate::store::Request;
use crate::web::actions::{self, perform};
use crate::web::data;
use crate::web::extract::Path;
use crate::web::failure::Failure;
use crate::web::fields::Fields;
use crate::web::frame::Frame;
use crate::web::parts::layout::Section;
use crate::web::parts::path;
use crate::web::site::Site;

/// What is asked before every open mail is tried again.
pub(in crate::web) async fn confirm_retry_all(frame: Frame) -> Result<Response, Failure> {
    frame.needs_operator()?;
    let question = Question::new(
        frame.t("Retry every waiting and held mail?", "대기 중이거나 보류된 메일을 모두 다시 시도할까요?"),
    )
    .button(frame.t("Retry all", "모두 다시 시도"))
    .says(
        frame.t(
            "Each goes to the recipients that do not have it yet.",
            "아직 받지 못한 사람에게 각각 보냅니다.",
        ),
    );
    Ok(question.page(&frame, Section::Outbox, "/outbox/retry"))
}

/// What is asked before something is done to a mail.
pub(in crate::web) async fn confirm_mail(
    State(site): State<Arc<Site>>,
    frame: Frame,
    Path((mail, action)): Path<(i64, String)>,
) -> Result<Response, Failure> {
    frame.needs_operator()?;
    let entry = data::mail(&site, mail).await?;
    let is_retry = match action.as_str() {
        "retry" => true,
        "drop" => false,
        _ => return Err(Failure::not_found("there is no such action")),
    };
    let to: Vec<&str> = entry
        .message
        .recipients
        .iter()
        .filter(|it| if is_retry { it.is_due() || it.retried().is_some() } else { it.dropped().is_some() })
        .map(|it| it.address.as_str())
        .collect();
    let to = to.join(", ");
    let subject = entry.message.subject.clone();
    let question = if is_retry {
        Question::new(frame.t("Retry this mail?", "이 메일을 다시 시도할까요?"))
            .button(frame.t("Retry", "다시 시도"))
            .tells(html! { p { "“" (subject) "” → " strong { (to) } } })
    } else {
        Question::new(frame.t("Drop this mail?", "이 메일을 포기할까요?"))
            .button(frame.t("Drop", "포기"))
            .tells(html! { p { "“" (subject) "”" } p { (frame.t("It will not be sent to: ", "다음 사람에게 보내지 않습니다: ")) strong { (to) } } })
    };
    Ok(question.page(&frame, Section::Outbox, &path(&["outbox", &mail.to_string(), &action])))
}

pub(in crate::web) async fn act_retry_all(
    State(site): State<Arc<Site>>,
    frame: Frame,
    _: Fields,
) -> Result<Response, Failure> {
    frame.needs_operator()?;
    let performed = perform(&site, &frame.visitor, Request::Retry(None)).await?;
    Ok(after(&frame, performed, "/outbox"))
}

pub(in crate::web) async fn act_on_mail(
    State(site): State<Arc<Site>>,
    frame: Frame,
    Path((mail, action)): Path<(i64, String)>,
    _: Fields,
) -> Result<Response, Failure> {
    frame.needs_operator()?;
    let request = match action.as_str() {
        "retry" => actions::retry_of(&site, mail).await?,
        "drop" => actions::drop_of(&site, mail).await?,
        _ => return Err(Failure::not_found("there is no such action")),
    };
    let performed = perform(&site, &frame.visitor, request).await?;
    Ok(after(&frame, performed, &path(&["outbox", &mail.to_string()])))
}

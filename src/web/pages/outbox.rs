//! The outbox, and one mail of it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use crate::alarm::clears_held;
use crate::outbox::{RecipientState, worst_state};
use crate::store::{OutboxEntry, OutboxFilter};
use crate::views::outbox::MailView;
use crate::views::preview::MessageView;
use crate::web::data;
use crate::web::extract::Path;
use crate::web::failure::Failure;
use crate::web::frame::Frame;
use crate::web::parts::layout::{Section, page};
use crate::web::parts::words::{mail_state, marked, moment};
use crate::web::parts::{mail as parts, nothing, path, table};
use crate::web::site::Site;

/// Mails that are listed.
const MOST: usize = 500;

pub(in crate::web) async fn outbox(State(site): State<Arc<Site>>, frame: Frame) -> Result<Response, Failure> {
    frame.needs_sign_in()?;
    let mails = site.store().await?.outbox(OutboxFilter::Open).await?;
    let content = html! {
        @if mails.is_empty() {
            (nothing(frame.t("Every mail has been sent.", "모든 메일을 보냈습니다.")))
        } @else {
            @if frame.visitor.may_operate() {
                p.actions { a.button href="/outbox/retry" { (frame.t("Retry all…", "모두 다시 시도…")) } }
            }
            (list(&frame, &mails))
            @if mails.len() > MOST {
                p.soft { (frame.t("and more mails: ", "그 밖의 메일: ")) (mails.len() - MOST) }
            }
        }
    };
    Ok(page(&frame, Section::Outbox, frame.t("Outbox", "보낼 메일"), &content))
}

fn list(frame: &Frame, mails: &[OutboxEntry]) -> Markup {
    let head = html! {
        th.number scope="col" { (frame.t("Mail", "메일")) }
        th scope="col" { (frame.t("Flow", "흐름")) }
        th scope="col" { (frame.t("Made", "만든 시각")) }
        th scope="col" { (frame.t("State", "상태")) }
        th.number scope="col" { (frame.t("Attempts", "시도")) }
        th scope="col" { (frame.t("Next attempt", "다음 시도")) }
        th.wide scope="col" { (frame.t("Reason", "이유")) }
    };
    let rows = html! {
        @for entry in mails.iter().take(MOST) {
            @let mail = &entry.message;
            tr {
                td.number { a href=(path(&["outbox", &mail.id.to_string()])) { (mail.id) } }
                td { (from(frame, entry)) p.soft { (mail.subject) } }
                td { (moment(frame, entry.created)) }
                td { (mail_state(frame, &worst_state(&mail.recipients))) }
                td.number { (mail.tries) }
                td { @match mail.next_try { Some(at) => (moment(frame, at)), None => "–" } }
                td.wide lang="en" { (reason(entry)) }
            }
        }
    };
    table(frame.t("Mails", "메일"), &head, &rows)
}

fn from(frame: &Frame, entry: &OutboxEntry) -> Markup {
    html! {
        @match &entry.flow {
            Some(flow) => a href=(path(&["flows", flow])) { (flow) },
            None => (frame.t("leadflow itself", "leadflow 자체")),
        }
    }
}

/// What was said of the recipient that is worst off.
fn reason(entry: &OutboxEntry) -> String {
    if entry.message.is_deferred_by_rate {
        return "per_hour of the flow is reached".to_owned();
    }
    let open = entry.message.recipients.iter().filter(|recipient| recipient.is_open());
    let mut replies = open.filter_map(|recipient| recipient.reply.as_ref());
    replies.next().cloned().unwrap_or_else(|| "–".to_owned())
}

pub(in crate::web) async fn mail(
    State(site): State<Arc<Site>>,
    frame: Frame,
    Path(id): Path<i64>,
) -> Result<Response, Failure> {
    frame.needs_sign_in()?;
    let entry = data::mail(&site, id).await?;
    let bytes = site.store().await?.message_bytes(id).await?;
    let message = bytes.as_deref().and_then(MessageView::read);
    let is_held = entry.message.recipients.iter().any(|it| it.state == RecipientState::Held);
    let content = html! {
        p.lead {
            (mail_state(&frame, &worst_state(&entry.message.recipients))) " "
            (from(&frame, &entry)) " · " (moment(&frame, entry.created))
            @if let Some(run) = entry.run { " · " a href=(path(&["runs", &run.to_string()])) { (frame.t("run", "실행")) " " (run) } }
        }
        @if is_held { p.notice.bad lang="en" { (marked(&clears_held(id))) } }
        @if frame.visitor.may_operate() { (actions(&frame, &entry)) }
        (parts::mail(&frame, &MailView::from(&entry.message)))
        @if let Some(message) = &message { (parts::message(&frame, id, message)) }
    };
    let title = format!("{} {id}", frame.t("Mail", "메일"));
    Ok(page(&frame, Section::Outbox, &title, &content))
}

fn actions(frame: &Frame, entry: &OutboxEntry) -> Markup {
    let number = entry.message.id.to_string();
    html! {
        p.actions {
            @if crate::tasks::outbox::may_retry(entry).is_ok() {
                a.button href=(path(&["outbox", &number, "retry"])) { (frame.t("Retry…", "다시 시도…")) } " "
            }
            @if crate::tasks::outbox::may_drop(entry).is_ok() {
                a.button.danger href=(path(&["outbox", &number, "drop"])) { (frame.t("Drop…", "포기…")) }
            }
        }
    }
}

/// Nothing of the mail's HTML may do anything: it is shown in a frame without a right, and comes with a policy that
/// lets it load nothing.
const POLICY_OF_MAIL: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; base-uri 'none'; \
     form-action 'none'; sandbox";

pub(in crate::web) async fn html_of_mail(
    State(site): State<Arc<Site>>,
    frame: Frame,
    Path(id): Path<i64>,
) -> Result<Response, Failure> {
    frame.needs_sign_in()?;
    let bytes = site.store().await?.message_bytes(id).await?;
    let html = bytes.as_deref().and_then(MessageView::read).and_then(|message| message.html);
    let html = html.ok_or_else(|| Failure::not_found("the mail has no HTML, or it is no longer kept"))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY_OF_MAIL)),
    ];
    Ok((headers, html).into_response())
}

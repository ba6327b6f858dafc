//! A mail: what became of it for each recipient, and what is in it.

use jiff::Timestamp;
use maud::{Markup, html};

use super::words::{mail_state, moment};
use super::{facts, path, table};
use crate::views::outbox::MailView;
use crate::views::preview::MessageView;
use crate::web::frame::Frame;

/// A mail and its recipients.
pub(in crate::web) fn mail(frame: &Frame, mail: &MailView) -> Markup {
    let size = mail.bytes.map_or_else(
        || frame.t("its text is no longer kept", "본문은 더 이상 보관하지 않습니다").to_owned(),
        |bytes| format!("{bytes} bytes"),
    );
    let mut known = vec![
        (frame.t("Subject", "제목"), html! { (mail.subject) }),
        ("Message-ID", html! { code { (mail.message_id) } }),
        (frame.t("Size", "크기"), html! { (size) }),
        (frame.t("Connections", "연결"), html! { (mail.connections.join(", ")) }),
        (frame.t("Last by", "마지막 연결"), html! { (mail.connection.as_deref().unwrap_or("–")) }),
        (frame.t("Attempts", "시도"), html! { (mail.tries) }),
    ];
    known.extend(
        mail.next_try.map(|at| (frame.t("Next attempt", "다음 시도"), next_attempt(frame, mail, at))),
    );
    known
        .extend(mail.asked_by.as_ref().map(|by| (frame.t("Last decided by", "마지막 결정"), html! { (by) })));
    html! {
        (facts(&known))
        (recipients(frame, mail))
    }
}

fn next_attempt(frame: &Frame, mail: &MailView, at: Timestamp) -> Markup {
    html! {
        (moment(frame, at)) @if mail.is_paced { " " (frame.t("(per_hour is reached)", "(per_hour 한도에 도달)")) }
    }
}

fn recipients(frame: &Frame, mail: &MailView) -> Markup {
    let head = html! {
        th scope="col" { (frame.t("Recipient", "받는 사람")) }
        th scope="col" { (frame.t("State", "상태")) }
        th.wide scope="col" { (frame.t("Last reply", "마지막 응답")) }
    };
    let rows = html! {
        @for recipient in &mail.recipients {
            tr {
                td.address { (recipient.address) }
                td {
                    (mail_state(frame, recipient.state))
                    @if recipient.uncertain > 0 {
                        p.soft {
                            (frame.t("copies that may have arrived in addition: ", "더 도착했을 수 있는 사본: "))
                            (recipient.uncertain)
                        }
                    }
                }
                td.wide lang="en" { (recipient.reply.as_deref().unwrap_or("–")) }
            }
        }
    };
    // A page may have those of several mails, which whoever hears the page tells apart.
    let label = match frame.language.tag() {
        "ko" => format!("메일 {}의 받는 사람", mail.mail),
        _ => format!("Recipients of mail {}", mail.mail),
    };
    table(&label, &head, &rows)
}

/// What a mail says. Its HTML is in a frame of its own that can do nothing.
pub(in crate::web) fn message(frame: &Frame, mail: i64, message: &MessageView) -> Markup {
    let source = path(&["outbox", &mail.to_string(), "html"]);
    html! {
        @if message.html.is_some() {
            h2 { (frame.t("As HTML", "HTML 본문")) }
            iframe.mail src=(source) sandbox="" title=(frame.t("The mail as HTML", "HTML 메일")) loading="lazy" {}
        }
        @if let Some(text) = &message.text {
            details open[message.html.is_none()] {
                summary { (frame.t("As text", "텍스트 본문")) }
                pre { (text) }
            }
        }
        @if !message.attachments.is_empty() {
            h2 { (frame.t("Attachments", "첨부 파일")) }
            ul { @for file in &message.attachments { li { (file.name.as_deref().unwrap_or("–")) " (" (file.bytes) " bytes)" } } }
        }
    }
}

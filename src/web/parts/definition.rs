//! What a flow is, as a person would tell it.

use maud::{Markup, html};

use super::facts;
use crate::filter::{Filter, Relation, Term, TermValue};
use crate::flow::{Each, Email, Flow, FlowTable, Mailbox, TestLeads};
use crate::schedule::recurrence::{Frequency, Schedule};
use crate::schedule::window::Mode;
use crate::web::frame::Frame;

/// When a flow runs, what it reads and whom it mails.
pub(in crate::web) fn definition(frame: &Frame, flow: &Flow) -> Markup {
    let recipients = if frame.visitor.has_signed_in() {
        recipients(frame, &flow.email)
    } else {
        html! { (frame.t("shown after sign-in", "로그인 후에 보입니다")) }
    };
    html! {
        (facts(&[
            (frame.t("Runs", "실행"), html! { (recurrence(frame, flow)) }),
            (frame.t("Reads", "읽는 곳"), table_of(frame, &flow.table)),
            (frame.t("Which rows", "어떤 행"), rows(frame, flow)),
            (frame.t("Mails", "메일"), mails(frame, flow)),
            (frame.t("To", "받는 사람"), recipients),
            (frame.t("By", "보내는 연결"), html! { (flow.email.connections.join(frame.t(", then ", ", 실패하면 "))) }),
        ]))
    }
}

fn recurrence(frame: &Frame, flow: &Flow) -> String {
    let Schedule::Every(every) = flow.recurrence.schedule() else { return flow.recurrence.to_string() };
    let is_plain = every.hours.is_empty()
        && every.minutes.is_empty()
        && every.week_days.is_empty()
        && every.month_days.is_empty();
    if frame.language.tag() != "ko" || !is_plain {
        return flow.recurrence.to_string();
    }
    let unit = match every.frequency {
        Frequency::Second => "초",
        Frequency::Minute => "분",
        Frequency::Hour => "시간",
        Frequency::Day => "일",
        Frequency::Week => "주",
        Frequency::Month => "개월",
    };
    format!("{}{unit}마다", every.interval)
}

fn table_of(frame: &Frame, table: &FlowTable) -> Markup {
    html! {
        @match frame.language.tag() {
            "ko" => { "연결 " code { (table.connection) } "의 테이블 " code { (table.name) } }
            _ => { "the table " code { (table.name) } " of the connection " code { (table.connection) } }
        }
    }
}

fn rows(frame: &Frame, flow: &Flow) -> Markup {
    let terms = flow.table.filter.as_deref().and_then(|text| Filter::parse(text).ok()?.terms());
    let mode = match flow.window.mode {
        Mode::Covering => frame.t(
            "Each run reads on from where the last one ended, with an overlap; a row is mailed once.",
            "실행할 때마다 지난번에 읽은 곳부터 조금 겹치게 이어 읽고, 행은 한 번만 메일로 보냅니다.",
        ),
        Mode::Fixed => frame.t(
            "Each run reads one fixed window and remembers nothing.",
            "실행할 때마다 고정된 창 하나만 읽고 아무것도 기억하지 않습니다.",
        ),
    };
    html! {
        @match (&flow.table.filter, terms) {
            (None, _) => p { (frame.t("every row of the table", "테이블의 모든 행")) },
            (Some(_), Some(terms)) => ul.plain { @for term in &terms { li { (words_of(frame, term)) } } },
            (Some(_), None) => {}
        }
        @if let Some(filter) = &flow.table.filter { p { code { (frame.visitor.may_read(filter)) } } }
        p.soft { (mode) }
    }
}

fn words_of(frame: &Frame, term: &Term) -> Markup {
    let is_moment = term.property == "Timestamp";
    html! {
        code { (term.property) } " "
        @match &term.value {
            TermValue::PastTime => (frame.t("is later than the moment up to which the table was read", "값이 지난번에 읽은 시점보다 나중")),
            TermValue::Text(value) => { (relation(frame, term.relation, is_moment)) " " (frame.visitor.may_read(value)) }
        }
    }
}

fn relation(frame: &Frame, relation: Relation, is_moment: bool) -> &'static str {
    match (relation, is_moment) {
        (Relation::Equal, _) => frame.t("is", "="),
        (Relation::Unequal, _) => frame.t("is not", "≠"),
        (Relation::Above, true) => frame.t("is later than", ">"),
        (Relation::Above, false) => frame.t("is more than", ">"),
        (Relation::AtLeast, true) => frame.t("is not before", "≥"),
        (Relation::AtLeast, false) => frame.t("is at least", "≥"),
        (Relation::Below, true) => frame.t("is before", "<"),
        (Relation::Below, false) => frame.t("is less than", "<"),
        (Relation::AtMost, true) => frame.t("is not after", "≤"),
        (Relation::AtMost, false) => frame.t("is at most", "≤"),
    }
}

fn mails(frame: &Frame, flow: &Flow) -> Markup {
    let each = match flow.email.each {
        Each::Run => {
            frame.t("one mail for all new rows of a run", "한 번 실행할 때 새 행 전체를 메일 한 통으로")
        }
        Each::Row => frame.t("one mail for each new row", "새 행마다 메일 한 통"),
    };
    let test_leads = match flow.email.test_leads {
        TestLeads::Hide => Some(frame.t("test leads are not mailed", "테스트 잠재 고객은 보내지 않음")),
        TestLeads::Mark => Some(frame.t("test leads are marked", "테스트 잠재 고객은 표시함")),
        TestLeads::Include => None,
    };
    html! {
        (each) ", " (frame.t("when", "조건:")) " " code { (flow.condition) }
        @if let Some(words) = test_leads { p.soft { (words) } }
    }
}

fn recipients(frame: &Frame, email: &Email) -> Markup {
    let lists = [
        ("", &email.to),
        (frame.t("copy: ", "참조: "), &email.cc),
        (frame.t("hidden copy: ", "숨은 참조: "), &email.bcc),
    ];
    let address = |mailbox: &Mailbox| mailbox.address.clone();
    html! {
        @for (name, list) in lists {
            @if !list.is_empty() { p { (name) (list.iter().map(address).collect::<Vec<_>>().join(", ")) } }
        }
    }
}

//! The proof of one lead, as it is printed.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use crate::tasks::leads::{LeadProof, ProofStep, open_table};
use crate::views::leads::LeadView;
use crate::views::outbox::MailView;
use crate::web::data;
use crate::web::failure::Failure;
use crate::web::fields::Fields;
use crate::web::frame::Frame;
use crate::web::parts::layout::{Section, page};
use crate::web::parts::words::{cause, moment};
use crate::web::parts::{facts, mail, path};
use crate::web::site::Site;

pub(in crate::web) async fn lead(
    State(site): State<Arc<Site>>,
    frame: Frame,
    fields: Fields,
) -> Result<Response, Failure> {
    frame.needs_sign_in()?;
    let flow = data::flow_of(&site.loaded(), fields.text("flow"))?;
    let key = format!("{}/{}", fields.text("partition"), fields.text("row"));
    let store = site.store().await?;
    let place = site.table_room.acquire().await.map_err(|_| Failure::no_state())?;
    let opened = open_table(&site.config(), &flow).await?;
    let proof = LeadProof::find(&opened, &flow, Some(&store), &key).await?;
    drop(place);
    let view = proof.row.as_ref().map(LeadView::from);
    let written = proof.row.as_ref().and_then(crate::rows::row::Row::at);
    let content = html! {
        p.soft { (frame.t("Shown", "표시한 시각:")) " " (moment(&frame, frame.now)) " · " (flow.name) " · " code { (key) } }
        @match &view {
            Some(lead) => (fields_of(&frame, lead)),
            None => p.notice { (frame.t("It is no longer in the table.", "더 이상 테이블에 없습니다.")) },
        }
        h2 { (frame.t("What happened", "있었던 일")) }
        ol.proof {
            @if let Some(at) = written {
                li { (moment(&frame, at)) " – " (frame.t("written, according to the table (a later write changes this)", "테이블 기준으로 쓰인 시각(나중에 다시 쓰이면 바뀜)")) }
            }
            @if proof.steps.is_empty() {
                li { (frame.t("Not read yet: the flow's next run reads it, if its filter matches.", "아직 읽지 않음: 필터에 맞으면 다음 실행이 읽습니다.")) }
            }
            @for step in &proof.steps { (step_of(&frame, step)) }
        }
    };
    Ok(page(&frame, Section::Leads, frame.t("Proof of a lead", "잠재 고객의 증명"), &content))
}

fn fields_of(frame: &Frame, lead: &LeadView) -> Markup {
    let named = [
        (frame.t("Name", "이름"), &lead.name),
        (frame.t("Company", "회사"), &lead.company),
        (frame.t("Title", "직함"), &lead.title),
        (frame.t("Email", "이메일"), &lead.email),
        (frame.t("Phone", "전화"), &lead.phone),
        (frame.t("Country", "국가"), &lead.country),
        (frame.t("Offer", "제품"), &lead.offer),
        (frame.t("Action", "동작"), &lead.action_meaning),
        (frame.t("Source", "출처"), &lead.source),
        (frame.t("Description", "설명"), &lead.description),
    ];
    let shown: Vec<_> =
        named.into_iter().filter_map(|(name, value)| Some((name, html! { (value.as_ref()?) }))).collect();
    html! {
        @if lead.is_test { p { span.badge { (frame.t("test lead", "테스트 잠재 고객")) } } }
        @if lead.do_not_contact { p { span.badge.bad { (frame.t("do not contact", "연락 금지")) } } }
        (facts(&shown))
        @if !lead.others.is_empty() {
            details {
                summary { (frame.t("Other columns", "다른 열")) }
                dl.facts.small { @for other in &lead.others { div { dt { (other.name) } dd { (other.value) } } } }
            }
        }
    }
}

fn step_of(frame: &Frame, step: &ProofStep) -> Markup {
    html! {
        li {
            @match &step.of_run {
                Some(run) => {
                    (moment(frame, run.started)) " – " (frame.t("read by", "읽은 실행:")) " "
                    a href=(path(&["runs", &step.run.to_string()])) { (frame.t("run", "실행")) " " (step.run) }
                    " (" (cause(frame, &run.cause)) ")"
                }
                None => { (frame.t("read by run", "읽은 실행:")) " " (step.run) " " (frame.t("(no longer in the history)", "(기록에 없음)")) }
            }
            @match &step.mail {
                Some(entry) => section.card { h3 { (frame.t("Mail", "메일")) " " (entry.message.id) } (mail::mail(frame, &MailView::from(&entry.message))) },
                None if step.is_mailed => p { (frame.t("Its mail is no longer in the history.", "메일은 더 이상 기록에 없습니다.")) },
                None => p { (frame.t("Not mailed: written before the flow started, hidden, or skipped by the condition.", "메일로 보내지 않음: 흐름이 시작되기 전에 쓰였거나, 숨겨졌거나, 조건에서 건너뛰었습니다.")) },
            }
        }
    }
}

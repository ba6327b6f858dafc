//! What is done to a flow, and asked before.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::html;

use super::question::{Question, after};
use super::replay::{FOR_THE_TABLE, Range, ask_range, asked_range, replayed};
use super::test_mail;
use crate::flow::Flow;
use crate::history::{Cause, RowRange};
use crate::store::Request;
use crate::tasks::preview::{self, Rows};
use crate::web::actions::{self, perform};
use crate::web::data;
use crate::web::extract::{Path, Query};
use crate::web::failure::Failure;
use crate::web::fields::Fields;
use crate::web::frame::Frame;
use crate::web::parts::layout::Section;
use crate::web::parts::path;
use crate::web::parts::words::{counted, marked};
use crate::web::site::Site;

/// What is asked before something is done to a flow.
pub(in crate::web) async fn confirm_flow(
    State(site): State<Arc<Site>>,
    frame: Frame,
    Path((name, action)): Path<(String, String)>,
    Query(range): Query<Range>,
) -> Result<Response, Failure> {
    frame.needs_operator()?;
    let flow = data::flow_of(&site.loaded(), &name)?;
    let mut question = match action.as_str() {
        "run" => run(&frame, &site, &flow).await,
        "on" => Question::new(frame.t("Turn {} on?", "{}: 흐름을 켤까요?"))
            .button(frame.t("Turn on", "켜기"))
            .says(frame.t("Its runs go on at the next slot.", "다음 예정 시각부터 다시 실행합니다.")),
        "off" => Question::new(frame.t("Turn {} off?", "{}: 흐름을 끌까요?"))
            .button(frame.t("Turn off", "끄기"))
            .says(frame.t(
                "It does not run until it is turned on again. Its waiting mails are still sent.",
                "다시 켤 때까지 실행하지 않습니다. 대기 중인 메일은 그대로 보냅니다.",
            )),
        "test-mail" => test_mail::question(&frame, &flow),
        "replay" => match asked_range(&site, &range)? {
            Some(asked) => replayed(&frame, &site, &flow, asked).await?,
            None => return Ok(ask_range(&frame, &site, &flow, &range)),
        },
        _ => return Err(Failure::not_found("there is no such action")),
    };
    question.title = question.title.replace("{}", &name);
    Ok(question.page(&frame, Section::Flows, &path(&["flows", &name, &action])))
}

/// Does it, and leads to where the result is seen.
pub(in crate::web) async fn act_on_flow(
    State(site): State<Arc<Site>>,
    frame: Frame,
    Path((name, action)): Path<(String, String)>,
    fields: Fields,
) -> Result<Response, Failure> {
    frame.needs_operator()?;
    let flow = data::flow_of(&site.loaded(), &name)?;
    let request = match action.as_str() {
        "run" => actions::run_of(&name),
        "on" => Request::On(name.clone()),
        "off" => Request::Off(name.clone()),
        "test-mail" => return test_mail::send(&frame, &site, &flow, fields.text("to")).await,
        "replay" => {
            let range = Range {
                from: fields.text("from").to_owned(),
                to: fields.text("to").to_owned(),
                again: fields.is_set("again").then(String::new),
            };
            let asked = asked_range(&site, &range)?;
            let (from, to, again) = asked.ok_or_else(|| Failure::bad_request("a replay needs a range"))?;
            Request::Run {
                flow: name.clone(),
                cause: Cause::Replay,
                range: RowRange::Replay { from, to, again },
            }
        }
        _ => return Err(Failure::not_found("there is no such action")),
    };
    let performed = perform(&site, &frame.visitor, request).await?;
    Ok(after(&frame, performed, &path(&["flows", &name])))
}

async fn run(frame: &Frame, site: &Site, flow: &Arc<Flow>) -> Question {
    let config = site.config();
    let store = site.store().await.ok();
    let preview = preview::preview(&config, flow, &site.clock, store.as_ref(), Rows::New);
    let found = tokio::time::timeout(FOR_THE_TABLE, preview).await;
    let what = match found {
        Ok(Ok(found)) => {
            let rows = counted(frame, found.length, "new row", "new rows", "새 행 {}개");
            html! { p { (frame.t("In the table now: ", "지금 테이블에 있는 것: ")) strong { (rows) } } }
        }
        Ok(Err(error)) => html! { p.notice.bad lang="en" { (marked(&error.to_string())) } },
        Err(_) => {
            html! { p { (frame.t("The table has not answered in time.", "테이블이 제때 응답하지 않았습니다.")) } }
        }
    };
    Question::new(frame.t("Run {} now?", "{}: 지금 실행할까요?")).button(frame.t("Run now", "지금 실행")).tells(html! {
        (what)
        p {
            (frame.t("New rows are mailed when", "다음 조건이면 새 행을 보냅니다:")) " " code { (flow.condition) } ", "
            (frame.t("to: ", "받는 사람: ")) strong { (flow.email.recipients().join(", ")) }
        }
    })
}

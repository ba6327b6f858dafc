//! A range of the past: which one, and what of it would be mailed.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use maud::html;
use serde::Deserialize;

use super::question::{Question, after};
use crate::flow::Flow;
use crate::history::RowRange;
use crate::store::Request;
use crate::tasks::replay;
use crate::web::actions::{self, perform};
use crate::web::data;
use crate::web::extract::Path;
use crate::web::failure::Failure;
use crate::web::fields::Fields;
use crate::web::frame::Frame;
use crate::web::parts::layout::{Section, page};
use crate::web::parts::path;
use crate::web::parts::words::{counted, marked};
use crate::web::site::Site;

/// How long the table may take to say what would be mailed; it is asked for without an answer then.
pub(super) const FOR_THE_TABLE: Duration = Duration::from_secs(10);

/// A range, where one is asked for.
#[derive(Debug, Default, Deserialize)]
pub(in crate::web) struct Range {
    #[serde(default)]
    pub(super) from: String,
    #[serde(default)]
    pub(super) to: String,
    pub(super) again: Option<String>,
}

/// What is asked before the window of a run is run again.
pub(in crate::web) async fn confirm_resubmit(
    State(site): State<Arc<Site>>,
    frame: Frame,
    Path(run): Path<i64>,
) -> Result<Response, Failure> {
    frame.needs_operator()?;
    let request = actions::resubmit_of(&site, run, false).await?;
    let Request::Run { flow, range: RowRange::Replay { from, to, .. }, .. } = request else {
        return Err(Failure::conflict("there is no window to resubmit"));
    };
    let flow = data::flow_of(&site.loaded(), &flow)?;
    let mut question = replayed(&frame, &site, &flow, (from, to, false)).await?;
    question.title = match frame.language.tag() {
        "ko" => format!("실행 {run}을(를) 다시 제출할까요?"),
        _ => format!("Resubmit run {run}?"),
    };
    question.hidden.clear();
    question.again = Some(frame.t("Also mail rows that were already mailed", "이미 보낸 행도 다시 보내기"));
    Ok(question.page(&frame, Section::Runs, &path(&["runs", &run.to_string(), "resubmit"])))
}

pub(in crate::web) async fn act_resubmit(
    State(site): State<Arc<Site>>,
    frame: Frame,
    Path(run): Path<i64>,
    fields: Fields,
) -> Result<Response, Failure> {
    frame.needs_operator()?;
    let request = actions::resubmit_of(&site, run, fields.is_set("again")).await?;
    let performed = perform(&site, &frame.visitor, request).await?;
    Ok(after(&frame, performed, &path(&["runs", &run.to_string()])))
}

pub(super) async fn replayed(
    frame: &Frame,
    site: &Site,
    flow: &Arc<Flow>,
    (from, to, again): (Timestamp, Timestamp, bool),
) -> Result<Question, Failure> {
    let config = site.config();
    let store = site.store().await?;
    let counting = replay::count_rows(&config, flow, (from, to), Some(&store), |_| ());
    let what = match tokio::time::timeout(FOR_THE_TABLE, counting).await {
        Ok(Ok(found)) => {
            let rows = if again { found.rows } else { found.rows - found.mailed };
            html! {
                p {
                    (frame.t("Rows in the range: ", "기간의 행: ")) (found.rows) ", "
                    (frame.t("already mailed: ", "이미 보낸 행: ")) (found.mailed)
                }
                p { strong { (counted(frame, rows, "row is mailed", "rows are mailed", "행 {}개를 보냅니다")) } }
            }
        }
        Ok(Err(error)) => html! { p.notice.bad lang="en" { (marked(&error.to_string())) } },
        Err(_) => {
            html! { p { (frame.t("The table has not answered in time.", "테이블이 제때 응답하지 않았습니다.")) } }
        }
    };
    let mut question = Question::new(frame.t("Replay this range of {}?", "{}: 이 기간을 다시 보낼까요?"))
        .button(frame.t("Mail", "보내기"))
        .tells(html! {
            p { (frame.moment(from)) " – " (frame.moment(to)) }
            (what)
            p { (frame.t("To: ", "받는 사람: ")) strong { (flow.email.recipients().join(", ")) } }
            p.soft { (frame.t("The watermark does not move.", "watermark는 움직이지 않습니다.")) }
        });
    question.hidden = vec![("from", from.to_string()), ("to", to.to_string())];
    if again {
        question.hidden.push(("again", "yes".to_owned()));
    }
    Ok(question)
}

/// From, to, and whether mailed rows are mailed again.
pub(super) fn asked_range(
    site: &Site,
    range: &Range,
) -> Result<Option<(Timestamp, Timestamp, bool)>, Failure> {
    let Some(from) = data::moment_of(&range.from, site)? else { return Ok(None) };
    let to = data::moment_of(&range.to, site)?.unwrap_or_else(|| site.clock.now());
    if from >= to {
        return Err(Failure::bad_request("the begin of the range is not before its end"));
    }
    Ok(Some((from, to, range.again.is_some())))
}

pub(super) fn ask_range(frame: &Frame, site: &Site, flow: &Flow, range: &Range) -> Response {
    let local = |at: Timestamp| at.to_zoned(frame.zone.clone()).strftime("%Y-%m-%dT%H:%M").to_string();
    let day_ago = site.clock.now() - jiff::SignedDuration::from_hours(24);
    let from = if range.from.is_empty() { local(day_ago) } else { range.from.clone() };
    let content = html! {
        p { (frame.t(
            "Rows that were written in the range and not mailed are mailed. The next page says how many there are.",
            "기간 안에 쓰였고 아직 보내지 않은 행을 보냅니다. 몇 개인지는 다음 화면에서 보여 줍니다.",
        )) }
        form.card method="get" action=(path(&["flows", &flow.name, "replay"])) {
            label { (frame.t("Written later than", "이후에 쓰인 행")) input type="datetime-local" name="from" required value=(from); }
            label { (frame.t("and not later than (empty: now)", "이때까지(비우면 지금)")) input type="datetime-local" name="to" value=(range.to); }
            label.box { input type="checkbox" name="again" value="yes"; " " (frame.t("Also mail rows that were already mailed", "이미 보낸 행도 다시 보내기")) }
            p.actions {
                button type="submit" { (frame.t("Look", "확인")) } " "
                a.button.quiet href=(path(&["flows", &flow.name])) { (frame.t("Cancel", "취소")) }
            }
        }
    };
    let title = frame.t("Replay a range of {}", "{}: 기간 다시 실행").replace("{}", &flow.name);
    page(frame, Section::Flows, &title, &content)
}

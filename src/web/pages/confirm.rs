//! Before something is done: what it is, what will be mailed, and to whom.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::test_mail;
use crate::flow::Flow;
use crate::history::{Cause, RowRange};
use crate::store::Request;
use crate::tasks::preview::{self, Rows};
use crate::tasks::replay;
use crate::web::actions::{self, Performed, perform};
use crate::web::data;
use crate::web::extract::{Path, Query};
use crate::web::failure::Failure;
use crate::web::fields::Fields;
use crate::web::frame::Frame;
use crate::web::parts::layout::{Section, page};
use crate::web::parts::words::{counted, marked};
use crate::web::parts::{form, path};
use crate::web::site::Site;

/// How long the table may take to say what would be mailed; it is asked for without an answer then.
const FOR_THE_TABLE: Duration = Duration::from_secs(10);

/// A range, where one is asked for.
#[derive(Debug, Default, Deserialize)]
pub(in crate::web) struct Range {
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    again: Option<String>,
}

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

fn after(frame: &Frame, performed: Performed, place: &str) -> Response {
    match performed {
        Performed::Done => Redirect::to(place).into_response(),
        Performed::Run(run) => Redirect::to(&path(&["runs", &run.to_string()])).into_response(),
        Performed::Pending => {
            let content = html! {
                p.notice { (frame.t(
                    "The daemon has not picked up the request yet; it remains queued.",
                    "데몬이 아직 요청을 받지 않았습니다. 요청은 대기열에 남아 있습니다.",
                )) }
                p { a href=(place) { (frame.t("Back", "돌아가기")) } }
            };
            page(frame, Section::Other, frame.t("Requested", "요청함"), &content)
        }
    }
}

/// What a person decides about.
pub(super) struct Question {
    title: String,
    button: &'static str,
    content: Markup,
    hidden: Vec<(&'static str, String)>,
    again: Option<&'static str>,
    field: Option<(&'static str, &'static str)>,
}

impl Question {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            button: "OK",
            content: html! {},
            hidden: Vec::new(),
            again: None,
            field: None,
        }
    }

    pub(super) fn button(self, button: &'static str) -> Self {
        Self { button, ..self }
    }

    fn says(self, words: &str) -> Self {
        self.tells(html! { p { (words) } })
    }

    pub(super) fn tells(self, content: Markup) -> Self {
        Self { content, ..self }
    }

    /// With a line to write in, by its name and its words.
    pub(super) fn with_field(self, name: &'static str, words: &'static str) -> Self {
        Self { field: Some((name, words)), ..self }
    }

    fn page(self, frame: &Frame, section: Section, action: &str) -> Response {
        let hidden: Vec<_> = self.hidden.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let content = html! {
            div.card {
                (self.content)
                (form(frame, action, &hidden, &html! {
                    @if let Some(again) = self.again {
                        label.box { input type="checkbox" name="again"; " " (again) }
                    }
                    @if let Some((name, words)) = self.field {
                        label { (words) input type="email" name=(name) autocomplete="email"; }
                    }
                    p.actions { button type="submit" { (self.button) } " " a.button.quiet href=(parent(action)) { (frame.t("Cancel", "취소")) } }
                }))
            }
        };
        page(frame, section, &self.title, &content)
    }
}

/// Where an action is begun.
fn parent(action: &str) -> &str {
    action.rsplit_once('/').map_or("/", |(parent, _)| if parent.is_empty() { "/" } else { parent })
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

async fn replayed(
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
fn asked_range(site: &Site, range: &Range) -> Result<Option<(Timestamp, Timestamp, bool)>, Failure> {
    let Some(from) = data::moment_of(&range.from, site)? else { return Ok(None) };
    let to = data::moment_of(&range.to, site)?.unwrap_or_else(|| site.clock.now());
    if from >= to {
        return Err(Failure::bad_request("the begin of the range is not before its end"));
    }
    Ok(Some((from, to, range.again.is_some())))
}

fn ask_range(frame: &Frame, site: &Site, flow: &Flow, range: &Range) -> Response {
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

//! The helpers that templates may call beside the built-in ones.

use handlebars::{
    Context, Handlebars, Helper, HelperDef, RenderContext, RenderError, RenderErrorReason, ScopedJson,
};
use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::Value;

use super::{cell, links};
use crate::rows::lead;
use crate::schedule::time_zone;

type Arguments<'a, 'rc> = (&'a Helper<'rc>, &'rc Context);
type Answer = Result<Value, RenderError>;

/// A helper that makes a value of its arguments.
struct Function(fn(Arguments<'_, '_>) -> Answer);

impl HelperDef for Function {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        context: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        (self.0)((helper, context)).map(ScopedJson::Derived)
    }
}

/// The names of the helpers of this module.
pub(super) const NAMES: [&str; 9] =
    ["date", "json", "default", "truncate", "safe_url", "mailto", "tel", "url_encode", "action"];
/// Those whose answer may be in an address.
pub(super) const OF_LINKS: [&str; 4] = ["safe_url", "mailto", "tel", "url_encode"];

/// Adds the helpers to a registry.
pub(super) fn register(registry: &mut Handlebars<'_>) {
    let helpers: [fn(Arguments<'_, '_>) -> Answer; NAMES.len()] =
        [date, json, default, truncate, safe_url, mailto, tel, url_encode, action];
    for (name, helper) in NAMES.into_iter().zip(helpers) {
        registry.register_helper(name, Box::new(Function(helper)));
    }
}

/// `{{date FIELD "%Y-%m-%d %H:%M" "Asia/Seoul"}}`: format and zone may be left out.
fn date((helper, context): Arguments<'_, '_>) -> Answer {
    let value = argument(helper, 0)?;
    let Some(text) = value.as_str() else { return Ok(value.clone()) };
    let format = helper.param(1).and_then(|p| p.value().as_str()).unwrap_or("%Y-%m-%d %H:%M");
    if let Some(date) = date_alone(text) {
        return Ok(without_time(format, date).unwrap_or_else(|| text.trim().to_owned()).into());
    }
    let flow_zone = || context.data()["flow"]["time_zone"].as_str();
    let zone = helper.param(2).and_then(|p| p.value().as_str()).or_else(flow_zone).unwrap_or("UTC");
    let unknown = |_| wrong(format!("`{zone}` is not a valid time zone; {}", time_zone::instead_of(zone)));
    let zone = TimeZone::get(zone).map_err(unknown)?;
    let Some(at) = moment(text) else { return Ok(text.into()) };
    let shown = strtime::format(format, &at.to_zoned(zone));
    Ok(shown.map_err(|error| wrong(format!("`{format}` is not a valid date format: {error}")))?.into())
}

/// A day as it is written without a time. It is the same day in every zone.
fn date_alone(text: &str) -> Option<Date> {
    let text = text.trim();
    let is_day = text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if is_day { text.parse().ok() } else { None }
}

/// The day in the format, if the format has no time; `None` where it begins with one.
fn without_time(format: &str, date: Date) -> Option<String> {
    let ends = format.match_indices('%').map(|(at, _)| at).chain([format.len()]);
    let of_day = ends.rev().map(|end| format[..end].trim_end_matches([' ', ',', 'T', '(']));
    of_day.filter(|format| format.contains('%')).find_map(|format| strtime::format(format, date).ok())
}

/// A moment as the table service, the marketplace or .NET writes it; UTC where it names no zone.
fn moment(text: &str) -> Option<Timestamp> {
    let civil = |format: &str| DateTime::strptime(format, text).ok();
    let in_utc = |at: DateTime| at.to_zoned(TimeZone::UTC).ok().map(|at: Zoned| at.timestamp());
    text.parse()
        .ok()
        .or_else(|| text.parse::<DateTime>().ok().and_then(in_utc))
        .or_else(|| civil("%m/%d/%Y %I:%M:%S %p").or_else(|| civil("%m/%d/%Y %H:%M:%S")).and_then(in_utc))
}

/// `{{json VALUE}}`: the value as JSON text.
fn json((helper, _): Arguments<'_, '_>) -> Answer {
    Ok(argument(helper, 0)?.to_string().into())
}

/// `{{default VALUE "–"}}`: the second where the first is null or empty.
fn default((helper, _): Arguments<'_, '_>) -> Answer {
    let value = argument(helper, 0)?;
    let other = argument(helper, 1)?;
    let absent = value.is_null() || value.as_str().is_some_and(str::is_empty);
    Ok(if absent { other.clone() } else { value.clone() })
}

/// `{{action lead.action "ko"}}`: what the code means, in English or in Korean; an unknown one stays.
fn action((helper, _): Arguments<'_, '_>) -> Answer {
    let value = argument(helper, 0)?;
    let in_korean = helper.param(1).and_then(|p| p.value().as_str()) == Some("ko");
    let meaning = value.as_str().and_then(|code| lead::meaning_of(code, in_korean));
    Ok(meaning.map_or_else(|| value.clone(), Value::from))
}

/// `{{truncate TEXT 40}}`: the first characters, and `…` where some were left out.
fn truncate((helper, _): Arguments<'_, '_>) -> Answer {
    let value = argument(helper, 0)?;
    let length = argument(helper, 1)?;
    let length = length.as_u64().ok_or_else(|| wrong("truncate needs a number of characters".to_owned()))?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let Some(text) = value.as_str() else { return Ok(value.clone()) };
    Ok(match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    })
}

/// `<a href="{{safe_url URL}}">`: the address if it is https or mailto, `#` otherwise.
fn safe_url((helper, _): Arguments<'_, '_>) -> Answer {
    let link = argument(helper, 0)?.as_str().and_then(links::web);
    Ok(link.unwrap_or_else(|| "#".to_owned()).into())
}

/// `<a href="{{mailto lead.email}}">`: null where the value is no address of a mail.
fn mailto((helper, _): Arguments<'_, '_>) -> Answer {
    Ok(argument(helper, 0)?.as_str().and_then(links::mailto).into())
}

/// `<a href="{{tel lead.phone}}">`: null where the value is no phone number.
fn tel((helper, _): Arguments<'_, '_>) -> Answer {
    Ok(links::tel(&cell::text_of(argument(helper, 0)?)).into())
}

/// `<a href="https://crm.example/?q={{url_encode lead.email}}">`: the value as a part of an address.
fn url_encode((helper, _): Arguments<'_, '_>) -> Answer {
    Ok(links::percent_encoded(&cell::text_of(argument(helper, 0)?)).into())
}

fn argument<'a>(helper: &'a Helper<'_>, index: usize) -> Result<&'a Value, RenderError> {
    let Some(param) = helper.param(index) else {
        return Err(wrong(format!("`{}` needs one more argument", helper.name())));
    };
    if param.is_value_missing() {
        return Err(RenderErrorReason::MissingVariable(param.relative_path().cloned()).into());
    }
    Ok(param.value())
}

fn wrong(message: String) -> RenderError {
    RenderErrorReason::Other(message).into()
}

//! The steps of a run in words.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use leadflow::history::Step;
use serde_json::Value;

use crate::cli::output;

/// How a value is told.
#[derive(Clone, Copy)]
enum Form {
    Plain,
    Moment,
    Seconds,
    Millis,
    Bytes,
    List,
    Mails,
}

/// Key, name and form of a value.
type Word = (&'static str, &'static str, Form);

/// Of each step its values in the order they are told, by their keys in the history.
const WORDS: &[(&str, &[Word])] = &[
    (
        "window",
        &[
            ("past_time", "reads rows after", Form::Moment),
            ("to", "and not after", Form::Moment),
            ("reason", "which is", Form::Plain),
            ("mode", "mode", Form::Plain),
            ("window_s", "window", Form::Seconds),
            ("overlap_s", "overlap", Form::Seconds),
            ("again", "mailed rows again", Form::Plain),
            ("begin", "begin", Form::Moment),
            ("watermark", "watermark", Form::Moment),
            ("server_time", "server's time", Form::Moment),
            ("table", "table", Form::Plain),
            ("rows_before", "rows before it", Form::Plain),
        ],
    ),
    (
        "query",
        &[
            ("table", "table", Form::Plain),
            ("filter", "filter", Form::Plain),
            ("select", "columns", Form::List),
            ("pages", "pages", Form::Plain),
            ("rows", "rows scanned", Form::Plain),
            ("service_ms", "service time", Form::Millis),
            ("failure", "failure", Form::Plain),
        ],
    ),
    (
        "new rows",
        &[
            ("rows", "rows scanned", Form::Plain),
            ("new", "new", Form::Plain),
            ("known", "handed on before", Form::Plain),
        ],
    ),
    (
        "condition",
        &[
            ("condition", "condition", Form::Plain),
            ("length", "length", Form::Plain),
            ("result", "result", Form::Plain),
            ("then", "rows", Form::Plain),
        ],
    ),
    (
        "render",
        &[
            ("rows", "rows", Form::Plain),
            ("max_rows", "rows in the body at most", Form::Plain),
            ("mails", "mail", Form::Mails),
            ("bytes", "size", Form::Bytes),
            ("notes", "note", Form::List),
        ],
    ),
    (
        "commit",
        &[
            ("verdict", "rows", Form::Plain),
            ("mails", "mails", Form::Plain),
            ("watermark", "watermark", Form::Moment),
        ],
    ),
];

/// What another value of the step tells as well: the range's begin is its past time.
const TOLD_ELSEWHERE: &[&str] = &["from"];
/// Mails of a run that its render step names; the run's own mails follow.
const MOST_MAILS: usize = 5;

/// What went in and what came out, name and value; also what this version has no words for.
pub(super) fn facts(step: &Step, zone: &TimeZone) -> Vec<(String, String)> {
    let words = WORDS.iter().find(|(name, _)| *name == step.name).map_or(&[][..], |(_, words)| words);
    let value = |key: &str| step.outputs.get(key).or_else(|| step.inputs.get(key));
    let mut facts = Vec::new();
    for (key, name, form) in words {
        facts.extend(value(key).into_iter().flat_map(|value| told(name, value, *form, zone)));
    }
    let all = [&step.inputs, &step.outputs].into_iter().filter_map(Value::as_object).flatten();
    let is_other =
        |key: &str| words.iter().all(|(known, ..)| *known != key) && !TOLD_ELSEWHERE.contains(&key);
    for (key, value) in all.filter(|(key, _)| is_other(key)) {
        facts.extend(told(&key.replace('_', " "), value, Form::Plain, zone));
    }
    facts
}

fn told(name: &str, value: &Value, form: Form, zone: &TimeZone) -> Vec<(String, String)> {
    let one = |value: String| vec![(name.to_owned(), value)];
    match (form, value) {
        (_, Value::Null) => Vec::new(),
        (Form::Moment, Value::String(text)) => {
            let at = text.parse().map(|at: Timestamp| output::moment(at, zone));
            one(at.unwrap_or_else(|_| text.clone()))
        }
        (Form::Seconds, value) => one(length(value.as_i64().unwrap_or_default())),
        (Form::Millis, value) => {
            one(output::duration(SignedDuration::from_millis(value.as_i64().unwrap_or_default())))
        }
        (Form::Bytes, value) => one(format!("{value} bytes")),
        (Form::List, Value::Array(items)) => match name {
            "note" => items.iter().map(|item| (name.to_owned(), plain(item))).collect(),
            _ => one(items.iter().map(plain).collect::<Vec<_>>().join(", ")),
        },
        (Form::Mails, Value::Array(mails)) => mails_of(name, mails),
        (_, value) => one(plain(value)),
    }
}

fn mails_of(name: &str, mails: &[Value]) -> Vec<(String, String)> {
    let of_mail = |mail: &Value| {
        let rows = &mail["rows"];
        let noun = if *rows == 1 { "row" } else { "rows" };
        (name.to_owned(), format!("{} ({rows} {noun})", plain(&mail["subject"])))
    };
    let mut told: Vec<_> = mails.iter().take(MOST_MAILS).map(of_mail).collect();
    if let Some(more) = mails.len().checked_sub(MOST_MAILS).filter(|more| *more > 0) {
        told.push((name.to_owned(), format!("and {more} more")));
    }
    told
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `1 hour`, `15 minutes`, `90 seconds`.
fn length(seconds: i64) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let fits = |(unit, _): &&(i64, &str)| seconds >= *unit && seconds % unit == 0;
    let (unit, noun) = units.iter().find(fits).copied().unwrap_or((1, "second"));
    let count = seconds / unit;
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_step_is_told_in_words_and_what_has_none_by_its_key() {
        let step = Step {
            name: "window".to_owned(),
            inputs: json!({ "mode": "covering", "window_s": 3_600, "watermark": null, "asked_by": "resubmit" }),
            outputs: json!({ "past_time": "2026-03-01T00:00:00Z", "reason": "now − window" }),
            took: SignedDuration::ZERO,
        };
        let expected = [
            ("reads rows after", "2026-03-01 09:00:00"),
            ("which is", "now − window"),
            ("mode", "covering"),
            ("window", "1 hour"),
            ("asked by", "resubmit"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(facts(&step, &TimeZone::get("Asia/Seoul").unwrap()), expected);
        let other =
            Step { name: "progress".to_owned(), inputs: json!({}), outputs: json!({ "rows": 3 }), ..step };
        assert_eq!(facts(&other, &TimeZone::UTC), [("rows".to_owned(), "3".to_owned())]);
    }

    #[test]
    fn lengths_are_told_in_the_largest_unit_that_fits() {
        for (seconds, expected) in [
            (0, "0 seconds"),
            (90, "90 seconds"),
            (900, "15 minutes"),
            (3_600, "1 hour"),
            (172_800, "2 days"),
        ] {
            assert_eq!(length(seconds), expected);
        }
    }

    #[test]
    fn many_mails_are_not_all_named() {
        let mails = (1..=7).map(|rows| json!({ "subject": "new", "rows": rows })).collect::<Vec<_>>();
        let told = mails_of("mail", &mails);
        assert_eq!((told.len(), told[0].1.as_str()), (6, "new (1 row)"));
        assert_eq!(told[5].1, "and 2 more");
    }
}

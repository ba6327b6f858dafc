//! The steps of a run in words.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use leadflow::history::{
    CommitInputs, CommitOutputs, ConditionInputs, ConditionOutputs, CoveringInputs, NewRowsInputs,
    NewRowsOutputs, QueryInputs, QueryOutputs, RenderInputs, RenderOutputs, RenderedMail, Step, WindowInputs,
    WindowOutputs,
};
use serde_json::Value;

use crate::cli::output;

/// A name and a value.
type Fact = (String, String);

/// Mails of a run that its render step names; the run's own mails follow.
const MOST_MAILS: usize = 5;

/// What went in and what came out.
pub(super) fn facts(step: &Step, zone: &TimeZone) -> Vec<Fact> {
    match step {
        Step::Turn => Vec::new(),
        Step::Window { inputs, outputs } => window(inputs, outputs, zone),
        Step::Query { inputs, outputs } => query(inputs, outputs),
        Step::NewRows { inputs, outputs } => new_rows(inputs, outputs),
        Step::Condition { inputs, outputs } => condition(inputs, outputs),
        Step::Render { inputs, outputs } => render(inputs, outputs),
        Step::Commit { inputs, outputs } => commit(inputs, outputs, zone),
        Step::Other { inputs, outputs, .. } => other(inputs, outputs),
    }
}

/// Those that have a value.
fn known<const N: usize>(facts: [(&str, Option<String>); N]) -> Vec<Fact> {
    facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn window(inputs: &WindowInputs, outputs: &WindowOutputs, zone: &TimeZone) -> Vec<Fact> {
    let moment = |at: Timestamp| Some(output::moment(at, zone));
    let to = match inputs {
        WindowInputs::Replay { to, .. } => moment(*to),
        WindowInputs::Covering(_) | WindowInputs::Fixed { .. } => None,
    };
    let mut facts = known([
        ("reads rows later than", moment(outputs.past_time)),
        ("and not later than", to),
        ("which is", Some(outputs.reason.clone())),
    ]);
    facts.extend(match inputs {
        WindowInputs::Covering(CoveringInputs::First { window_s, table }) => known([
            ("mode", Some("covering".to_owned())),
            ("window", Some(length(*window_s))),
            ("table", Some(table.clone())),
        ]),
        WindowInputs::Covering(CoveringInputs::Later { window_s, overlap_s, baseline, watermark }) => {
            known([
                ("mode", Some("covering".to_owned())),
                ("window", Some(length(*window_s))),
                ("overlap", Some(length(*overlap_s))),
                ("baseline", moment(*baseline)),
                ("watermark", watermark.and_then(moment)),
            ])
        }
        WindowInputs::Fixed { window_s, server_time } => known([
            ("mode", Some("fixed".to_owned())),
            ("window", Some(length(*window_s))),
            ("server's time", moment(*server_time)),
        ]),
        // The range's begin is its past time.
        WindowInputs::Replay { again, .. } => {
            known([("mode", Some("past".to_owned())), ("mailed rows again", Some(again.to_string()))])
        }
    });
    facts.extend(known([("earlier rows", outputs.rows_before.map(|rows| rows.to_string()))]));
    facts
}

fn query(inputs: &QueryInputs, outputs: &QueryOutputs) -> Vec<Fact> {
    let took = i64::try_from(outputs.service_ms).unwrap_or(i64::MAX);
    known([
        ("table", Some(inputs.table.clone())),
        ("filter", inputs.filter.clone()),
        ("columns", inputs.select.as_ref().map(|columns| columns.join(", "))),
        ("pages", Some(outputs.pages.to_string())),
        ("rows scanned", Some(outputs.rows.to_string())),
        ("service time", Some(output::duration(SignedDuration::from_millis(took)))),
        ("failure", outputs.failure.clone()),
    ])
}

fn new_rows(inputs: &NewRowsInputs, outputs: &NewRowsOutputs) -> Vec<Fact> {
    known([
        ("rows scanned", Some(inputs.rows.to_string())),
        ("new", Some(outputs.new.to_string())),
        ("already processed", Some(outputs.seen.to_string())),
        ("hidden test leads", outputs.hidden_test_leads.flatten().map(|leads| leads.to_string())),
    ])
}

fn condition(inputs: &ConditionInputs, outputs: &ConditionOutputs) -> Vec<Fact> {
    known([
        ("condition", Some(inputs.condition.clone())),
        ("length", Some(inputs.length.to_string())),
        ("result", Some(outputs.result.to_string())),
        ("rows", Some(outputs.then.as_str().to_owned())),
    ])
}

fn render(inputs: &RenderInputs, outputs: &RenderOutputs) -> Vec<Fact> {
    let mut facts = known([
        ("rows", Some(inputs.rows.to_string())),
        ("rows in the body at most", Some(inputs.max_rows.to_string())),
    ]);
    match outputs {
        RenderOutputs::Made { mails, bytes, notes } => {
            facts.extend(mail_facts(mails));
            facts.push(("size".to_owned(), format!("{bytes} bytes")));
            facts.extend(notes.iter().map(|note| ("note".to_owned(), note.clone())));
        }
        RenderOutputs::Forgotten { forgotten } => {
            facts.extend(known([("forgotten", Some(forgotten.to_string()))]));
        }
    }
    facts
}

fn mail_facts(mails: &[RenderedMail]) -> Vec<Fact> {
    let one = |RenderedMail { subject, rows }: &RenderedMail| {
        ("mail".to_owned(), format!("{subject} ({})", output::counted(*rows, "row")))
    };
    let mut facts: Vec<_> = mails.iter().take(MOST_MAILS).map(one).collect();
    if let Some(more) = mails.len().checked_sub(MOST_MAILS).filter(|more| *more > 0) {
        facts.push(("mail".to_owned(), format!("and {more} more")));
    }
    facts
}

fn commit(inputs: &CommitInputs, outputs: &CommitOutputs, zone: &TimeZone) -> Vec<Fact> {
    known([
        ("rows", Some(inputs.verdict.as_str().to_owned())),
        ("mails", Some(outputs.mails.to_string())),
        ("watermark", outputs.watermark.map(|at| output::moment(at, zone))),
    ])
}

/// What this version has no words for, by its keys.
fn other(inputs: &Value, outputs: &Value) -> Vec<Fact> {
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        value => Some(value.to_string()),
    };
    let all = [inputs, outputs].into_iter().filter_map(Value::as_object).flatten();
    all.filter_map(|(key, value)| Some((key.replace('_', " "), text(value)?))).collect()
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

    fn owned<const N: usize>(facts: [(&str, &str); N]) -> Vec<Fact> {
        facts.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn a_step_is_shown_in_words_and_an_unknown_one_by_its_keys() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let step = Step::Window {
            inputs: WindowInputs::Covering(CoveringInputs::Later {
                window_s: 3_600,
                overlap_s: 900,
                baseline: at("2026-02-01T00:00:00Z"),
                watermark: None,
            }),
            outputs: WindowOutputs {
                past_time: at("2026-03-01T00:00:00Z"),
                reason: "now − window".to_owned(),
                rows_before: None,
            },
        };
        let expected = owned([
            ("reads rows later than", "2026-03-01 09:00:00"),
            ("which is", "now − window"),
            ("mode", "covering"),
            ("window", "1 hour"),
            ("overlap", "15 minutes"),
            ("baseline", "2026-02-01 09:00:00"),
        ]);
        assert_eq!(facts(&step, &TimeZone::get("Asia/Seoul").unwrap()), expected);
        let other = Step::Other {
            name: "progress".to_owned(),
            inputs: json!({ "asked_by": "resubmit", "place": null }),
            outputs: json!({ "rows": 3 }),
        };
        assert_eq!(facts(&other, &TimeZone::UTC), owned([("asked by", "resubmit"), ("rows", "3")]));
    }

    #[test]
    fn lengths_are_shown_in_the_largest_unit_that_fits() {
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
        let many: Vec<_> = (1..=7).map(|rows| RenderedMail { subject: "new".to_owned(), rows }).collect();
        let facts = mail_facts(&many);
        assert_eq!((facts.len(), facts[0].1.as_str()), (6, "new (1 row)"));
        assert_eq!(facts[5].1, "and 2 more");
    }
}

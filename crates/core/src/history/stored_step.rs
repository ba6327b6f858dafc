//! A step as the state keeps it: a name, and JSON for what went in and what came out.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Map;

use super::Step;

/// A step's name and JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredStep {
    /// The step's name.
    pub name: String,
    /// JSON of what went in.
    pub inputs: String,
    /// JSON of what came out.
    pub outputs: String,
}

impl StoredStep {
    fn new(name: &str, inputs: &impl Serialize, outputs: &impl Serialize) -> Self {
        Self { name: name.to_owned(), inputs: written(inputs), outputs: written(outputs) }
    }

    /// Inputs and outputs, where these types say all that is there and nothing else.
    fn read<I, O>(&self) -> Option<(I, O)>
    where
        I: Serialize + DeserializeOwned,
        O: Serialize + DeserializeOwned,
    {
        Some((read(&self.inputs)?, read(&self.outputs)?))
    }
}

impl From<&Step> for StoredStep {
    fn from(step: &Step) -> Self {
        let name = step.name();
        match step {
            Step::Turn => Self::new(name, &Map::new(), &Map::new()),
            Step::Window { inputs, outputs } => Self::new(name, inputs, outputs),
            Step::Query { inputs, outputs } => Self::new(name, inputs, outputs),
            Step::NewRows { inputs, outputs } => Self::new(name, inputs, outputs),
            Step::Condition { inputs, outputs } => Self::new(name, inputs, outputs),
            Step::Render { inputs, outputs } => Self::new(name, inputs, outputs),
            Step::Commit { inputs, outputs } => Self::new(name, inputs, outputs),
            Step::Other { inputs, outputs, .. } => Self::new(name, inputs, outputs),
        }
    }
}

impl From<StoredStep> for Step {
    fn from(stored: StoredStep) -> Self {
        let known = match stored.name.as_str() {
            "turn" if stored.inputs == "{}" && stored.outputs == "{}" => Some(Self::Turn),
            "window" => stored.read().map(|(inputs, outputs)| Self::Window { inputs, outputs }),
            "query" => stored.read().map(|(inputs, outputs)| Self::Query { inputs, outputs }),
            "new rows" => stored.read().map(|(inputs, outputs)| Self::NewRows { inputs, outputs }),
            "condition" => stored.read().map(|(inputs, outputs)| Self::Condition { inputs, outputs }),
            "render" => stored.read().map(|(inputs, outputs)| Self::Render { inputs, outputs }),
            "commit" => stored.read().map(|(inputs, outputs)| Self::Commit { inputs, outputs }),
            _ => None,
        };
        known.unwrap_or_else(|| Self::Other {
            inputs: serde_json::from_str(&stored.inputs).unwrap_or_default(),
            outputs: serde_json::from_str(&stored.outputs).unwrap_or_default(),
            name: stored.name,
        })
    }
}

fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A value that is written as it was read, so that the history shows what is stored.
fn read<T: Serialize + DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok().filter(|value| written(value) == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored([name, inputs, outputs]: [&str; 3]) -> StoredStep {
        StoredStep { name: name.to_owned(), inputs: inputs.to_owned(), outputs: outputs.to_owned() }
    }

    /// As states of this version have them.
    const KNOWN: [[&str; 3]; 15] = [
        ["turn", "{}", "{}"],
        [
            "window",
            r#"{"mode":"covering","window_s":3600,"table":"embedded:demo.db/leads"}"#,
            r#"{"past_time":"2025-11-03T07:00:01.204624Z","reason":"the flow's first run: rows before it are not mailed","rows_before":0}"#,
        ],
        [
            "window",
            r#"{"mode":"covering","window_s":3600,"overlap_s":900,"begin":"2025-11-03T07:00:01Z","watermark":null}"#,
            r#"{"past_time":"2025-11-03T07:00:01Z","reason":"the flow's begin"}"#,
        ],
        [
            "window",
            r#"{"mode":"covering","window_s":3600,"overlap_s":900,"begin":"2025-11-03T07:00:01Z","watermark":"2025-11-03T08:00:01Z"}"#,
            r#"{"past_time":"2025-11-03T07:45:01Z","reason":"watermark − overlap"}"#,
        ],
        [
            "window",
            r#"{"mode":"fixed","window_s":3600,"server_time":"2025-11-03T08:00:00Z"}"#,
            r#"{"past_time":"2025-11-03T07:00:00Z","reason":"now − window"}"#,
        ],
        [
            "window",
            r#"{"mode":"past","from":"2025-11-03T07:00:00Z","to":"2025-11-03T08:00:00Z","again":true}"#,
            r#"{"past_time":"2025-11-03T07:00:00Z","reason":"as it was asked"}"#,
        ],
        [
            "query",
            r#"{"table":"embedded:demo.db/leads","filter":null,"select":["RowKey","\"ö"]}"#,
            r#"{"pages":1,"rows":3,"service_ms":0}"#,
        ],
        [
            "query",
            r#"{"table":"embedded:demo.db/leads","filter":"Timestamp gt datetime'x'","select":null}"#,
            r#"{"pages":1,"rows":3,"service_ms":30,"failure":"no answer within 30 s"}"#,
        ],
        ["new rows", r#"{"rows":3}"#, r#"{"new":1,"known":0,"hidden_test_leads":2}"#],
        ["new rows", r#"{"rows":3}"#, r#"{"new":3,"known":0,"hidden_test_leads":null}"#],
        // Before test leads could be hidden.
        ["new rows", r#"{"rows":3}"#, r#"{"new":3,"known":0}"#],
        [
            "condition",
            r#"{"condition":"length >= 5","length":3}"#,
            r#"{"result":false,"then":"gather until the condition holds"}"#,
        ],
        [
            "render",
            r#"{"rows":3,"max_rows":200}"#,
            r#"{"mails":[{"subject":"3 new rows","rows":3}],"bytes":5140,"notes":["1 column is left out"]}"#,
        ],
        ["render", r#"{"rows":3,"max_rows":200}"#, r#"{"forgotten":true}"#],
        ["commit", r#"{"verdict":"mailed"}"#, r#"{"watermark":"2025-11-03T08:00:00.219767Z","mails":1}"#],
    ];

    #[test]
    fn each_known_step_is_written_as_it_was_read() {
        for known in KNOWN {
            let step = Step::from(stored(known));
            assert!(!matches!(step, Step::Other { .. }), "{known:?}");
            assert_eq!(StoredStep::from(&step), stored(known));
        }
    }

    #[test]
    fn what_is_not_known_is_kept_as_it_is() {
        for other in [
            ["query", r#"{"forgotten":true}"#, r#"{"pages":1,"rows":3,"service_ms":0}"#],
            ["commit", r#"{"verdict":"postponed"}"#, r#"{"watermark":null,"mails":0}"#],
            ["commit", r#"{"verdict":"mailed","by":"a later version"}"#, r#"{"watermark":null,"mails":0}"#],
            ["turn", r#"{"place":3}"#, "{}"],
            ["ask", r#"{"b":1,"a":[2]}"#, "null"],
        ] {
            let step = Step::from(stored(other));
            assert!(matches!(step, Step::Other { .. }), "{step:?}");
            assert_eq!(StoredStep::from(&step), stored(other));
        }
        let broken = Step::from(stored(["query", "{", "{}"]));
        assert_eq!(StoredStep::from(&broken), stored(["query", "null", "{}"]));
    }
}

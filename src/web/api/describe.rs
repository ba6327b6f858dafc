//! The description of the API, made from its types: `openapi.json`, which [`super::document`] answers.
//!
//! What all operations have in common is added here, so that no handler can leave it out.

use serde_json::{Value, json};
use utoipa::OpenApi as _;

use super::reads::{MOST_DAYS, MOST_RUNS};
use super::{ROOT, acts, document, is_for_all, reads};
use crate::alarm::AlarmKind;
use crate::config::Level;
use crate::history::{Cause, Outcome};
use crate::outbox::RecipientState;
use crate::views::api::FailureView;

const ABOUT: &str = "What the daemon's page shows and does, for programs. The JSON is that of the commands: docs/json.md \
                     says what each key means. Keys and words are only added. A method that a path does not have is \
                     answered with 405, and its header Allow names those that it has.";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "leadflow", version = "1", description = ABOUT,
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    paths(
        document::openapi, reads::flows, reads::flow, reads::stats, reads::runs, reads::run, reads::outbox, reads::mail,
        reads::search_leads, reads::prove_lead, reads::health, reads::nodes, reads::check, acts::run_flow,
        acts::turn_flow_on, acts::turn_flow_off, acts::replay_flow, acts::resubmit_run, acts::retry_mails,
        acts::retry_mail, acts::drop_mail
    ),
    components(schemas(FailureView))
)]
struct Api;

/// Why an operation is refused, by the status of the answer.
const FAILURES: [(&str, &str); 11] = [
    ("400", "The path, the query or the body cannot be read, or a value is out of range."),
    ("401", "There is no token where one is needed, or it is not known, or it has ended."),
    ("403", "The role of who asks is not enough."),
    ("404", "There is no flow, run, mail or lead of this name or number."),
    ("409", "It cannot be done now, or not any more."),
    ("413", "The body is larger than 64 KiB."),
    ("415", "The body is not said to be application/json."),
    ("421", "The page is not served under the name in the header Host."),
    ("422", "The body is JSON, and not what it is to be."),
    ("502", "The table cannot be read."),
    ("503", "The state cannot be used now."),
];

/// The description as it is to be.
pub(super) fn description() -> Value {
    // Written for who reads the code.
    let text = Api::openapi().to_json().unwrap().replace("`None`", "null");
    let mut api: Value = serde_json::from_str(&text).unwrap();
    let paths = api["paths"].as_object_mut().unwrap();
    *paths = std::mem::take(paths)
        .into_iter()
        .map(|(path, mut item)| {
            let path = format!("{}{}", ROOT.trim_end_matches('/'), path);
            item.as_object_mut().unwrap().values_mut().for_each(|operation| complete(&path, operation));
            (path, item)
        })
        .collect();
    for (name, schema) in api["components"]["schemas"].as_object_mut().unwrap() {
        complete_schema(name, schema);
    }
    let token =
        json!({ "type": "http", "scheme": "bearer", "description": "`leadflow page token` makes one." });
    api["components"]["securitySchemes"] = json!({ "token": token });
    api["components"]["responses"] = FAILURES.into_iter().map(failure).collect();
    api
}

fn failure((status, description): (&str, &str)) -> (String, Value) {
    let schema = json!({ "$ref": "#/components/schemas/FailureView" });
    let mut response =
        json!({ "description": description, "content": { "application/json": { "schema": schema } } });
    if status == "401" {
        let header = json!({ "description": "Bearer", "required": true, "schema": { "type": "string" } });
        response["headers"] = json!({ "WWW-Authenticate": header });
    }
    (format!("Failure{status}"), response)
}

/// With its parameters, answers and who may ask for it.
fn complete(path: &str, operation: &mut Value) {
    operation.as_object_mut().unwrap().remove("tags");
    let names = path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    let in_path: Vec<Value> = names.map(path_parameter).collect();
    let has_path = !in_path.is_empty();
    let in_query = operation["parameters"].as_array().cloned().unwrap_or_default();
    let parameters: Vec<Value> = in_path.into_iter().chain(in_query.into_iter().map(narrowed)).collect();
    let is_act = operation["responses"]["200"].to_string().contains("PerformedView");
    let has_body = operation.get("requestBody").is_some();
    let mut statuses = vec!["401", "403", "421"];
    statuses.extend((!is_for_all(path)).then_some("503"));
    statuses.extend((has_body || !parameters.is_empty()).then_some("400"));
    statuses.extend(has_path.then_some("404"));
    statuses.extend(has_body.then_some(["413", "415", "422"]).into_iter().flatten());
    let responses = operation["responses"].as_object_mut().unwrap();
    responses["200"]["description"] = json!("It is so, or it is done.");
    if is_act {
        statuses.push("409");
        let mut queued = responses["200"].clone();
        queued["description"] = json!("The daemon has not picked it up yet; it remains queued.");
        responses.insert("202".to_owned(), queued);
    }
    let more: Vec<_> = responses.keys().filter(|status| status.as_str() >= "400").cloned().collect();
    for status in more.iter().map(String::as_str).chain(statuses) {
        let response = json!({ "$ref": format!("#/components/responses/Failure{status}") });
        responses.insert(status.to_owned(), response);
    }
    responses.sort_keys();
    if operation.get("security").is_none() {
        operation["security"] = json!([{}, { "token": [] }]);
    }
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
}

fn path_parameter(name: &str) -> Value {
    let (description, schema) = match name {
        "flow" => ("Its name in flows.toml.", json!({ "type": "string" })),
        _ => ("Its number.", json!({ "type": "integer", "format": "int64" })),
    };
    json!({ "name": name, "in": "path", "required": true, "description": description, "schema": schema })
}

/// With what the type of a parameter does not say.
fn narrowed(mut parameter: Value) -> Value {
    let schema = match parameter["name"].as_str().unwrap() {
        "days" => json!({ "type": "integer", "minimum": 1, "maximum": MOST_DAYS, "default": 7 }),
        "limit" => json!({ "type": "integer", "minimum": 1, "maximum": MOST_RUNS, "default": 20 }),
        "outcome" => {
            parameter["style"] = json!("form");
            parameter["explode"] = json!(false);
            let words = Outcome::all().map(Outcome::as_str);
            json!({ "type": "array", "items": { "type": "string", "enum": words } })
        }
        "since" | "until" => {
            json!({ "anyOf": [{ "type": "string", "format": "date-time" }, { "type": "string", "format": "date" }] })
        }
        _ => return parameter,
    };
    parameter["schema"] = schema;
    parameter
}

/// With what docs/json.md promises: a key is always there, and words may be added.
fn complete_schema(name: &str, schema: &mut Value) {
    if !name.ends_with("View") && !name.starts_with("RunView") {
        return;
    }
    // A run has all that its number has.
    if name == "RunOrNumberView" {
        schema["anyOf"] = schema.as_object_mut().unwrap().remove("oneOf").unwrap();
    }
    if name == "RunView" {
        schema["properties"]["mails"] =
            json!({ "type": "integer", "minimum": 0, "description": "How many." });
    }
    let parts = schema.get_mut("allOf").and_then(Value::as_array_mut);
    parts.into_iter().flatten().for_each(|part| complete_schema(name, part));
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (key, property) in properties.iter_mut() {
        if let Some(words) = words(name, key) {
            property["examples"] = json!(words);
        }
    }
    let keys: Vec<_> = properties.keys().cloned().collect();
    schema["required"] = json!(keys);
}

/// The words that a key has as yet.
fn words(schema: &str, key: &str) -> Option<Vec<&'static str>> {
    match (schema, key) {
        (_, "outcome") => Some(Outcome::all().map(Outcome::as_str).to_vec()),
        (_, "cause") => Some(Cause::all().map(Cause::as_str).to_vec()),
        ("AlarmView", "kind") => Some(AlarmKind::all().map(AlarmKind::as_str).collect()),
        ("ProblemView", "severity") => {
            Some([Level::Error, Level::Warning, Level::Note].map(Level::word).to_vec())
        }
        ("RecipientView", "state") => Some(RecipientState::all().map(RecipientState::as_str).to_vec()),
        ("PerformedView", "state") => Some(vec!["done", "begun", "queued"]),
        _ => None,
    }
}

mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::sync::Arc;

    use axum::body::Body;
    use axum::http::{Request, header};
    use leadflow_core::testing::config;
    use tower::ServiceExt as _;

    use super::*;
    use crate::engine::Meters;
    use crate::platform::clock::{Clock, DrivenClock};
    use crate::web::api::table;
    use crate::web::site::{DaemonSigns, Site};

    /// `INSTA_UPDATE=always` writes it, as it writes snapshots.
    #[test]
    fn the_document_is_what_the_types_say() {
        let text = serde_json::to_string_pretty(&description()).unwrap() + "\n";
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/api/openapi.json");
        if std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always") {
            std::fs::write(&file, &text).unwrap();
        }
        let kept = std::fs::read_to_string(file).unwrap();
        let differs = kept.lines().zip(text.lines()).find(|(kept, now)| kept != now);
        assert!(kept == text, "run it with INSTA_UPDATE=always, and look at what changes: {differs:?}");
    }

    #[tokio::test]
    async fn the_document_has_every_path_and_method_and_no_other() {
        let clock = Clock::Driven(DrivenClock::new("2026-11-01T00:00:00Z".parse().unwrap()));
        let (_, receiver) = tokio::sync::watch::channel(Arc::new(config([])));
        let site = Arc::new(Site::new(receiver, clock, DaemonSigns::new(Meters::new())));
        let mut answered = BTreeSet::new();
        for (path, methods) in table() {
            // What the path does not take is answered with what it takes.
            let request = Request::builder().method("BREW").body(Body::empty()).unwrap();
            let response = methods.with_state(Arc::clone(&site)).oneshot(request).await.unwrap();
            let allowed = response.headers()[header::ALLOW].to_str().unwrap().to_ascii_lowercase();
            let methods = allowed.split(',').filter(|method| *method != "head");
            answered.extend(methods.map(|method| format!("{method} /api/v1{path}")));
        }
        let description = description();
        let mut described = BTreeSet::new();
        let mut names = BTreeSet::new();
        for (path, item) in description["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                described.insert(format!("{method} {path}"));
                assert!(names.insert(operation["operationId"].to_string()), "two operations have one name");
            }
        }
        assert_eq!(answered, described);
    }

    #[test]
    fn every_reference_leads_to_something() {
        let description = description();
        let text = description.to_string();
        let references = text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next());
        let mut count = 0;
        for reference in references {
            assert!(description.pointer(reference).is_some(), "{reference}");
            count += 1;
        }
        assert!(count > 100, "{count}");
    }
}

//! The API of a real daemon, by HTTP over its socket.

use reqwest::header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::embedded::rows;
use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::scripted::smtp;
use crate::support::{done, eventually, now};

/// A daemon with a flow whose mail is held, for the server refuses all.
struct Served {
    sandbox: Sandbox,
    client: reqwest::Client,
    /// Of a program that may operate, one that may only look, and one whose time is over.
    tokens: [String; 3],
    _daemon: Daemon,
}

/// What came of an HTTP request.
#[derive(Debug)]
struct Answer {
    status: u16,
    kind: String,
    allow: String,
    challenge: String,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Served {
    fn new() -> Self {
        let (port, _) = smtp(|_| Some("554 this is spam"));
        let flows =
            FlowsToml::new().smtp("relay", port).embedded("demo").flow("leads").every("day").filter(SINCE);
        let flows = flows.subject("{{length}} rows").body(KEYS);
        let sandbox = Sandbox::new(&flows);
        sandbox.table().insert_at(&rows(["a"]), now());
        assert_eq!(sandbox.run(&["run", "--once"]).code, 1);
        let mut flows = flows
            .section("settings.page", &format!("listen = \"unix:{}\"", sandbox.path("page.sock").display()));
        let tokens = [
            ("robot", "operate", "2199-06-01"),
            ("grafana", "view", "2199-06-01"),
            ("old", "operate", "2021-06-01"),
        ]
        .map(|(name, role, until)| {
            let made = sandbox.json(&["page", "token", name, "--role", role, "--json"]);
            let lines = format!("hash = {}\nrole = \"{role}\"\nuntil = \"{until}\"", made["hash"]);
            flows = std::mem::take(&mut flows).section(&format!("settings.page.tokens.{name}"), &lines);
            made["token"].as_str().unwrap().to_owned()
        });
        sandbox.write("flows.toml", &flows.to_string());
        let daemon = sandbox.daemon();
        daemon.wait_for_log("the page is served");
        eventually("the end of the daemon's own run", || {
            let runs = sandbox.runs();
            (runs.len() == 2 && runs.iter().all(|run| !run["ended"].is_null())).then_some(())
        });
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().unix_socket(sandbox.path("page.sock"));
        let client = client.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { sandbox, client, tokens, _daemon: daemon }
    }

    /// As this program, or as nobody; a body is JSON.
    fn ask(&self, token: Option<&str>, method: &str, path: &str, body: Option<&str>) -> Answer {
        self.ask_of_kind(token, method, path, body.map(|body| (JSON, body.to_owned())))
    }

    fn ask_of_kind(
        &self,
        token: Option<&str>,
        method: &str,
        path: &str,
        body: Option<(&str, String)>,
    ) -> Answer {
        let mut request = self.client.request(method.parse().unwrap(), format!("http://localhost{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some((kind, body)) = body {
            request = request.header(CONTENT_TYPE, kind).body(body);
        }
        done(async move {
            let response = request.send().await.unwrap();
            let header = |name| {
                let value = response.headers().get(name);
                value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
            };
            Answer {
                status: response.status().as_u16(),
                kind: header(CONTENT_TYPE),
                allow: header(ALLOW),
                challenge: header(WWW_AUTHENTICATE),
                text: response.text().await.unwrap(),
            }
        })
    }

    fn robot(&self) -> &str {
        &self.tokens[0]
    }

    /// What a program that may operate reads.
    fn read(&self, path: &str) -> Value {
        let answer = self.ask(Some(self.robot()), "GET", path, None);
        assert_eq!((answer.status, answer.kind.as_str()), (200, JSON), "{path}: {answer:?}");
        answer.json()
    }

    /// What becomes of what it asks for.
    fn act(&self, path: &str, body: Option<&str>) -> Value {
        let answer = self.ask(Some(self.robot()), "POST", path, body);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }
}

#[test]
fn programs_read_what_commands_print() {
    let served = Served::new();
    for (path, command) in [
        ("/api/v1/flows", "list --json"),
        ("/api/v1/stats?days=2", "stats --json --days 2"),
        ("/api/v1/runs", "history --json"),
        ("/api/v1/runs?outcome=held&flow=leads&limit=1", "history leads --status held --json -n 1"),
        ("/api/v1/runs?before=2", "history --before 2 --json"),
        ("/api/v1/runs/1", "history show 1 --json"),
        ("/api/v1/outbox", "outbox list --json"),
        ("/api/v1/mails/1", "outbox show 1 --json"),
        ("/api/v1/health", "health --json"),
    ] {
        let printed = served.sandbox.run(&command.split(' ').collect::<Vec<_>>()).stdout;
        let printed: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(served.read(path), printed, "{path}");
    }
    let names = |nodes: &Value| -> Vec<Value> {
        nodes.as_array().unwrap().iter().map(|node| node["node"].clone()).collect()
    };
    assert_eq!(names(&served.read("/api/v1/nodes")), names(&served.sandbox.json(&["nodes", "--json"])));
    assert_eq!(served.read("/api/v1/flows/leads"), served.sandbox.json(&["list", "--json"])[0]);
    let found = served.act("/api/v1/leads/search", Some(r#"{"flow": "leads", "text": "A"}"#));
    assert_eq!(found, served.sandbox.json(&["lead", "list", "leads", "--json"]));
    let proof = served.act("/api/v1/leads/proof", Some(r#"{"flow": "leads", "key": "a"}"#));
    assert_eq!(proof, served.sandbox.json(&["lead", "show", "leads", "a", "--json"]));
}

#[test]
fn what_a_program_asks_for_is_done_under_its_name() {
    let served = Served::new();
    served.sandbox.table().insert_at(&rows(["b"]), now());
    let begun = served.act("/api/v1/flows/leads/run", None);
    assert_eq!(begun["state"], "begun");
    let run = begun["run"].clone();
    let shown = eventually("the end of its run", || {
        let shown = served.sandbox.shown(&run);
        (shown["outcome"] == "held").then_some(shown)
    });
    assert_eq!((&shown["cause"], &shown["asked_by"]), (&json!("trigger"), &json!("robot (token)")));
    assert_eq!(served.read(&format!("/api/v1/runs/{run}")), shown);

    let again = served.act("/api/v1/runs/1/resubmit", Some(r#"{"again": true}"#));
    assert_eq!(served.read(&format!("/api/v1/runs/{}", again["run"]))["cause"], "resubmit");
    let range = r#"{"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}"#;
    let replayed = served.act("/api/v1/flows/leads/replay", Some(range));
    assert_eq!(served.read(&format!("/api/v1/runs/{}", replayed["run"]))["asked_by"], "robot (token)");

    assert_eq!(served.act("/api/v1/flows/leads/off", None), json!({ "state": "done", "run": null }));
    assert_eq!(served.read("/api/v1/flows/leads")["off_by"], "robot (token)");
    assert_eq!(served.act("/api/v1/flows/leads/on", None)["state"], "done");
    assert_eq!(served.read("/api/v1/flows/leads")["on"], true);

    assert_eq!(served.act("/api/v1/mails/1/retry", None)["state"], "done");
    eventually("its end", || served.read("/api/v1/mails/1")["next_try"].is_null().then_some(()));
    assert_eq!(served.act("/api/v1/mails/1/drop", None)["state"], "done");
    let mail = served.read("/api/v1/mails/1");
    assert_eq!(
        (&mail["asked_by"], &mail["recipients"][0]["state"]),
        (&json!("robot (token)"), &json!("dropped"))
    );
    let refused = served.ask(Some(served.robot()), "POST", "/api/v1/mails/1/drop", None);
    assert_eq!(refused.status, 409, "it is dropped already: {refused:?}");
    assert_eq!(served.act("/api/v1/outbox/retry", None)["state"], "done");
}

/// The description says who may ask for what.
#[test]
fn what_needs_a_token_is_refused_without_one_that_is_enough() {
    let served = Served::new();
    let [_, looks, ended] = &served.tokens;
    let description = served.ask(None, "GET", "/api/v1/openapi.json", None).json();
    let mut refused = 0;
    for (template, item) in description["paths"].as_object().unwrap() {
        let path = template.replace("{flow}", "leads").replace("{run}", "1").replace("{mail}", "1");
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_ascii_uppercase();
            let ask = |token| served.ask(token, &method, &path, None);
            let answer = ask(Some(ended.as_str()));
            assert_eq!((answer.status, answer.challenge.as_str()), (401, "Bearer"), "{path}: {answer:?}");
            if operation["security"][0] == json!({}) {
                assert_eq!(ask(None).status, 200, "{path}");
                continue;
            }
            refused += 1;
            assert_eq!(ask(None).status, 401, "{path}");
            let acts = operation["responses"].get("202").is_some();
            let status = ask(Some(looks.as_str())).status;
            assert_eq!(status == 403, acts, "{path}: {status}");
        }
    }
    assert_eq!(refused, 14);
    assert_eq!(served.sandbox.runs().len(), 2, "nothing was begun");
}

const JSON: &str = "application/json";

/// Method, path, kind of the body, body, and the status of the answer.
const CASES: [(&str, &str, &str, &str, u16); 34] = [
    ("GET", "/api/v1/runs/x", "", "", 400),
    ("GET", "/api/v1/runs/9223372036854775808", "", "", 400),
    ("GET", "/api/v1/runs/9223372036854775807", "", "", 404),
    ("GET", "/api/v1/runs/-1", "", "", 404),
    ("GET", "/api/v1/runs?before=9223372036854775808", "", "", 400),
    ("GET", "/api/v1/runs?limit=0", "", "", 400),
    ("GET", "/api/v1/runs?limit=x", "", "", 400),
    ("GET", "/api/v1/runs?limit=1&limit=2", "", "", 400),
    ("GET", "/api/v1/runs?since=yesterday", "", "", 400),
    ("GET", "/api/v1/runs?since=", "", "", 400),
    ("GET", "/api/v1/runs?outcome=well", "", "", 400),
    ("GET", "/api/v1/runs?flow=%00&unknown=1", "", "", 200),
    ("GET", "/api/v1/stats?days=70000", "", "", 400),
    ("GET", "/api/v1/stats?flow=%00", "", "", 404),
    ("GET", "/api/v1/flows/%00%1b", "", "", 404),
    ("GET", "/api/v1/flows/%ff", "", "", 400),
    ("POST", "/api/v1/flows/%00/run", "", "", 404),
    ("POST", "/api/v1/leads/search", JSON, "{", 400),
    ("POST", "/api/v1/leads/search", JSON, "{}", 422),
    ("POST", "/api/v1/leads/search", JSON, r#"["leads"]"#, 422),
    ("POST", "/api/v1/leads/search", "text/plain", "{}", 415),
    ("POST", "/api/v1/leads/search", "", "{}", 415),
    ("POST", "/api/v1/leads/proof", JSON, r#"{"flow": "leads", "key": "\u0000"}"#, 404),
    ("POST", "/api/v1/flows/leads/replay", JSON, r#"{"from": "x", "to": "y"}"#, 422),
    ("GET", "/api/v1/nothing", "", "", 404),
    ("DELETE", "/api/v1/runs/1", "", "", 405),
    ("OPTIONS", "/api/v1/flows/leads/run", "", "", 405),
    ("GET", "/runs/x", "", "", 400),
    ("GET", "/runs?flow=%00", "", "", 200),
    ("GET", "/runs?before=x", "", "", 400),
    ("GET", "/flows/%00", "", "", 404),
    ("GET", "/flows/%ff", "", "", 400),
    ("GET", "/outbox/x", "", "", 400),
    ("DELETE", "/runs/1", "", "", 405),
];

#[test]
fn what_cannot_be_understood_is_refused_in_json_and_on_pages() {
    let served = Served::new();
    for (method, path, kind, body, status) in CASES {
        let body = (!body.is_empty()).then(|| (kind, body.to_owned()));
        // Who has a token is a program, which reads no page.
        let token = path.starts_with("/api/").then(|| served.robot());
        let answer = served.ask_of_kind(token, method, path, body);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        if path.starts_with("/api/") {
            assert_eq!(answer.kind, JSON, "{method} {path}: {answer:?}");
            let message = answer.json()["message"].as_str().map(str::to_owned);
            assert!(
                status == 200 || message.is_some_and(|message| !message.is_empty()),
                "{path}: {answer:?}"
            );
        } else {
            assert!(
                answer.kind.starts_with("text/html") && answer.text.contains("<nav"),
                "{path}: {answer:?}"
            );
        }
        let allowed = if path.ends_with("/run") { "POST" } else { "GET,HEAD" };
        assert!(status != 405 || answer.allow == allowed, "{path}: {answer:?}");
    }
    let large = format!(r#"{{"flow": "leads", "text": "{}"}}"#, "x".repeat(70_000));
    let refused = served.ask(Some(served.robot()), "POST", "/api/v1/leads/search", Some(&large));
    assert_eq!((refused.status, refused.kind.as_str()), (413, JSON));
    let head = served.ask(Some(served.robot()), "HEAD", "/api/v1/flows", None);
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

//! Text that wants to be markup, wherever others can write something: rows, mails, replies, flows.toml, addresses.

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::flows_toml::{FlowsToml, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::page::{Place, READ, ROBOT, Reply, Visitor, free_port, page_on, served};
use crate::support::smtp_script::{Script, Step, good};
use crate::support::{eventually, has, markup, now};

/// Each ends with a mark by which it is found.
const PAYLOADS: [&str; 14] = [
    "<script>alert(1)</script>zz0",
    "\"><img src=x onerror=alert(1)>zz1",
    "' onmouseover='alert(1)' zz2",
    "javascript:alert(1)//zz3",
    "{{7*7}}${7*7}<%= 7*7 %>zz4",
    "</title></textarea></style></script><b>zz5",
    "<!-- zz6",
    "]]><svg/onload=alert(1)>zz7",
    "&lt;script&gt;&#60;b&#62;zz8",
    "\u{202e}\u{2066}\u{200b}\u{feff}\u{1b}[31m\u{7}zz9",
    "<base href=//evil.example>zza",
    "\u{ff1c}script\u{ff1e}\u{2028}zzb",
    "<iframe srcdoc='<script>1</script>'>zzc",
    "`${alert(1)}`\\\"\\u003cscript\\u003ezzd",
];

/// All of them in one text.
fn all() -> String {
    PAYLOADS.join(" ")
}

/// A row whose every column is hostile.
fn row(key: &str) -> Value {
    let customer = json!({ "FirstName": all(), "LastName": all(), "Email": "ana@x.example", "Company": all(), "Title": all() });
    json!({
        "PartitionKey": "p", "RowKey": key, "LeadSource": all(), "OfferDisplayName": all(), "Description": all(),
        "CreatedTime": all(), "CustomerInfo": customer.to_string(), "Long": format!("{}zz-long", "<b>".repeat(20_000)),
        "Surrogate": "\\ud800\\udc00\\ud800", "<b onclick=1>": all(), "Country": "\0<b>nul",
    })
}

fn toml(text: &str) -> String {
    serde_json::to_string(
        &text.replace(|c: char| c.is_control() || "\u{202e}\u{2066}\u{200b}\u{feff}\u{2028}".contains(c), ""),
    )
    .unwrap()
}

/// The daemon of a flow whose description, subject and mails are hostile, with a server that says hostile things.
fn daemon(port: u16) -> (Sandbox, Daemon) {
    let refusing = Script::start(|step, _| match step {
        "RCPT" => Step::Say(format!("550 {}\r\n", all().replace('\u{2028}', "")).into_bytes()),
        _ => good(step),
    });
    let flows = FlowsToml::new().raw(&page_on(port)).embedded("demo").smtp("relay", refusing.port);
    let flow =
        flows.flow("leads").every("day").filter(SINCE).of_flow(&format!("description = {}", toml(&all())));
    let flow =
        flow.subject("{{#each rows}}{{lead.company}} {{/each}}").more("template = \"marketplace-leads\"");
    let sandbox = Sandbox::new(flow);
    sandbox.table().insert_at(&[row("r"), row("<script>zz-key</script>\"'")], now());
    let daemon = sandbox.daemon();
    served(&daemon);
    eventually("the mail to be held", || (sandbox.runs().first()?["outcome"] == "held").then_some(()));
    (sandbox, daemon)
}

/// Nothing of an answer is markup that the page has not written; the texts of a page.
#[track_caller]
fn is_harmless(path: &str, reply: &Reply) -> Vec<String> {
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
    assert!(reply.header("content-security-policy").is_some(), "{path}");
    let kind = reply.header("content-type").unwrap_or_default();
    if kind.starts_with("text/html") && !path.ends_with("/html") {
        let policy = reply.header("content-security-policy").unwrap();
        has(
            policy,
            &["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"],
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        return markup::read(&reply.body);
    }
    if kind.starts_with("application/json") {
        serde_json::from_str::<Value>(&reply.body).unwrap_or_else(|error| panic!("{path}: {error}"));
        let is_moving =
            |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2066}\u{200b}\u{feff}\u{2028}".contains(c);
        assert!(!reply.body.contains(is_moving), "{path}: {:?}", reply.body);
    }
    Vec::new()
}

#[test]
fn no_text_of_others_is_markup_on_any_page() {
    let port = free_port();
    let (_sandbox, daemon) = daemon(port);
    let anna = Visitor::guest(port).signed_in("anna");
    let mut texts = Vec::new();
    for path in READ {
        texts.extend(is_harmless(path, &anna.get(path)));
        is_harmless(path, &Visitor::guest(port).get(path));
        is_harmless(path, &anna.clone().with("accept-language", "ko").get(path));
        is_harmless(path, &anna.clone().with_token(ROBOT).get(path));
    }
    for payload in PAYLOADS.iter().chain(&["zz-key"]) {
        for fields in [
            vec![("flow", "leads"), ("text", *payload)],
            vec![("flow", *payload)],
            vec![("flow", "leads"), ("partition", "p"), ("row", *payload)],
        ] {
            for path in ["/leads", "/leads/proof", "/leads/export"] {
                texts.extend(is_harmless(path, &anna.post(path, &fields)));
            }
        }
    }
    let shown = anna.post(
        "/leads/proof",
        &[("flow", "leads"), ("partition", "p"), ("row", "<script>zz-key</script>\"'")],
    );
    texts.extend(is_harmless("/leads/proof", &shown));
    // Each was there, as text.
    for payload in PAYLOADS {
        let mark = &payload[payload.len() - 3..];
        assert!(texts.iter().any(|text| text.contains(mark)), "{payload} is on no page");
    }
    assert!(texts.iter().any(|text| text.contains(PAYLOADS[0]) && text.contains(PAYLOADS[5])));
    assert!(texts.iter().any(|text| text.contains("zz-key")));
    assert!(daemon.stop().success());
}

#[test]
fn the_html_of_a_mail_can_do_nothing() {
    let port = free_port();
    let (_sandbox, daemon) = daemon(port);
    let anna = Visitor::guest(port).signed_in("anna");
    let reply = anna.get("/outbox/1/html");
    assert_eq!(reply.status, 200);
    let policy = reply.header("content-security-policy").unwrap();
    assert!(policy.ends_with("; sandbox") && policy.starts_with("default-src 'none';"), "{policy}");
    assert!(!policy.contains("script") && !policy.contains("allow"), "{policy}");
    assert!(
        !reply.body.contains("<script>alert") && !reply.body.contains("<img src=x"),
        "the template escapes, too"
    );
    has(&anna.get("/outbox/1").body, &["src=\"/outbox/1/html\" sandbox=\"\""]);
    assert!(daemon.stop().success());
}

/// Paths and queries with this in each place.
fn addresses(text: &str) -> Vec<String> {
    let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let with = |place: &str| place.replace("{}", &encoded.replace('+', "%20"));
    [
        "/{}",
        "/flows/{}",
        "/flows/leads/{}",
        "/flows/{}/run",
        "/runs/{}",
        "/outbox/{}",
        "/outbox/1/{}",
        "/assets/{}/style.css",
        "/runs?flow={}",
        "/runs?outcome={}",
        "/runs?since={}",
        "/runs?before={}",
        "/leads?flow={}",
        "/sign-in?next={}",
        "/language?to={}",
        "/language?to=ko&back={}",
        "/flows/leads/replay?from={}&to={}",
        "/api/v1/flows/{}",
        "/api/v1/runs/{}",
        "/api/v1/runs?outcome={}",
        "/api/v1/stats?days={}",
        "/api/v1/{}",
    ]
    .map(with)
    .into()
}

#[test]
fn addresses_are_repeated_as_text_alone() {
    let port = free_port();
    let (_sandbox, daemon) = daemon(port);
    let (anna, guest) = (Visitor::guest(port).signed_in("anna"), Visitor::guest(port));
    let more = ["\0", "\r\nset-cookie: a=b\r\n\r\n<script>", "../../etc/passwd", "%"];
    for path in PAYLOADS.iter().chain(&more).flat_map(|text| addresses(text)) {
        for visitor in [&anna, &guest] {
            let reply = visitor.get(&path);
            assert!(reply.status < 500, "{path}: {reply:?}");
            assert!(reply.header("set-cookie").is_none_or(|cookie| !cookie.contains("a=b")), "{path}");
            let location = reply.header("location").unwrap_or("/");
            assert!(location.starts_with('/') && !location.starts_with("//"), "{path}: {location}");
            is_harmless(&path, &reply);
            let kind = reply.header("content-type").unwrap_or_default();
            assert!(!path.starts_with("/api") || !kind.contains("html"), "{path}: {kind}");
        }
    }
    // Not UTF-8, a lone surrogate, numbers that are none.
    for path in [
        "/flows/%ff",
        "/flows/%ed%a0%80",
        "/runs?flow=%ff",
        "/flows/%zz",
        "/%00",
        "/runs/99999999999999999999",
        "/runs/-1",
    ] {
        let reply = anna.get(path);
        assert!((200..500).contains(&reply.status), "{path}: {reply:?}");
        is_harmless(path, &reply);
    }
    assert!(daemon.stop().success());
}

#[test]
fn what_is_posted_is_bounded_and_read_strictly() {
    let port = free_port();
    let (_sandbox, daemon) = daemon(port);
    let anna = Visitor::at(Place::Port(port)).signed_in("anna");
    let long = "<".repeat(64 << 10);
    assert_eq!(anna.post("/leads", &[("flow", "leads"), ("text", &long)]).status, 413);
    assert_eq!(anna.post("/flows/leads/test-mail", &[("to", "<script>@x.example")]).status, 400);
    let many: Vec<_> = (0..5_000).map(|number| (number.to_string(), String::new())).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    is_harmless("/leads", &anna.post("/leads", &many));
    let robot = anna.with_token(ROBOT);
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    for body in ["", "{", "null", "{\"flow\": 1}", "{\"flow\": \"\\ud800\"}", deep.as_str()] {
        for path in ["/api/v1/leads/search", "/api/v1/flows/leads/replay", "/api/v1/runs/1/resubmit"] {
            let reply = robot.send("POST", path, &[("content-type", "application/json")], body.as_bytes());
            assert!((400..500).contains(&reply.status), "{path} {}: {reply:?}", &body[..body.len().min(20)]);
        }
    }
    assert!(daemon.stop().success());
}

//! What whoever has not signed in gets of the page: no person, no text of a lead, and nothing that changes anything.

use std::path::Path;

use leadflow::alarm::AlarmKind;
use leadflow::store::ConnectionFailure;
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::flows_toml::{FlowsToml, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::page::{
    ACTIONS, API_ACTIONS, ASKED, READ, ROBOT, Visitor, free_port, page, page_on, served,
};
use crate::support::past::{self, PastState};
use crate::support::smtp_script::{Script, good, say};
use crate::support::{done, eventually, has, now};

/// Of the lead, of who gets the mail, and of who operates.
const SECRETS: [&str; 3] = ["Zanzibar", "recipient-zz", "anna"];

/// A server that repeats whatever it hears: it refuses one flow's mail for good and the other's for now.
fn repeating() -> Script {
    Script::start(|step, line| match step {
        "RCPT" if line.contains("held") => say(&format!("550 {line} who likes Zanzibar")),
        "RCPT" => say(&format!("450 {line} about Zanzibar, not now")),
        _ => good(step),
    })
}

/// Flows with a mail that is held, a mail that waits, a run that fails, and a connection that fails.
fn flows(relay: u16, refusing: u16, page: &str) -> FlowsToml {
    let mailing = |flows: FlowsToml, name: &str, to: &str| {
        let flow = flows.flow(name).every("day").filter(SINCE).to(to);
        flow.subject("Lead of {{rows.[0].Company}}").body("{{#each rows}}{{Company}}{{/each}}")
    };
    let flows = FlowsToml::new().raw(page).embedded("demo").smtp("refusing", refusing).smtp("relay", relay);
    let flows = mailing(flows, "leads", "recipient-zz-held@contoso.example");
    let flows = flows.of_flow("description = \"for recipient-zz@contoso.example\"");
    let flows = mailing(flows, "waits", "recipient-zz-waits@contoso.example");
    let flows = mailing(flows, "stuck", "recipient-zz-stuck@contoso.example").mails_by("refusing");
    let flows = flows.table_connection("spoilt", "embedded_table", "file = \"spoilt.db\"");
    mailing(flows, "unread", "recipient-zz@contoso.example").mails_by("relay")
}

/// The daemon when each flow has done what it does.
fn daemon(page: &str) -> (Sandbox, Daemon) {
    let (relay, refusing) = (
        repeating(),
        Script::start(|step, line| match step {
            "MAIL" => say(&format!("550 {line} may not send what recipient-zz@contoso.example gets")),
            _ => good(step),
        }),
    );
    let sandbox = Sandbox::new(flows(relay.port, refusing.port, page));
    let lead = json!({ "PartitionKey": "p", "RowKey": "r", "Company": "Zanzibar Ltd" });
    sandbox.table().insert_at(&[lead], now());
    std::fs::write(sandbox.path("state/spoilt.db"), "no database at all, but a text of some length").unwrap();
    let daemon = sandbox.daemon();
    served(&daemon);
    eventually("each flow's first run", || (sandbox.runs().len() >= 4).then_some(()));
    eventually("the mails' first attempts", || {
        let mails = sandbox.json(&["outbox", "list", "--json"]);
        let tried =
            mails.as_array()?.iter().filter(|mail| mail["recipients"][0]["reply"].is_string()).count();
        (tried >= 2).then_some(())
    });
    daemon.wait_for_log("the mail connection fails");
    (sandbox, daemon)
}

#[test]
fn a_guest_sees_how_flows_run_and_nothing_of_persons_and_leads() {
    let port = free_port();
    let (_sandbox, daemon) = daemon(&page_on(port));
    let guest = Visitor::guest(port);
    let robot = Visitor::guest(port).with_token(ROBOT);
    assert_eq!(robot.post_json("/api/v1/flows/leads/run", &json!({})).status, 200);
    assert_eq!(robot.post_json("/api/v1/flows/waits/off", &json!({})).status, 200);
    let runs = guest.get("/api/v1/runs?limit=100").json();
    let numbers: Vec<_> =
        runs.as_array().unwrap().iter().map(|run| format!("/runs/{}", run["run"])).collect();
    let more =
        ["/flows/waits", "/flows/stuck", "/flows/unread", "/runs?outcome=failed", "/runs?outcome=held"];
    for path in READ.into_iter().chain(more).chain(numbers.iter().map(String::as_str)) {
        for language in ["en", "ko"] {
            let reply = guest.clone().with("accept-language", language).get(path);
            for secret in SECRETS.into_iter().chain(["robot (token)", "@contoso.example"]) {
                assert!(!reply.body.contains(secret), "`{secret}` is in {path}: {}", reply.body);
            }
        }
    }
    has(&guest.get("/").body, &["leads", "waits", "things need attention", "for …"]);
    has(&guest.get("/health").body, &["mails of leads are held", "unread fails", "refusing"]);
    has(&guest.get("/runs").body, &["1 new row in 1 mail"]);
    has(&guest.get("/flows/leads").body, &["shown after sign-in", "Timestamp"]);
    let operator = Visitor::guest(port).signed_in("anna");
    has(&operator.get("/outbox/1").body, &["Zanzibar", "recipient-zz"]);
    has(&operator.get("/flows/waits").body, &["robot (token)"]);
    assert!(daemon.stop().success());
}

#[test]
fn a_guest_does_not_read_what_mail_servers_say() {
    let port = free_port();
    let address = "zz-canary@x.example";
    let sandbox = Sandbox::new(past::flows().smtp("unused", 1).raw(&page_on(port)));
    let mut past = PastState::make_saying(&sandbox, address);
    past.alarm(AlarmKind::File, "", &format!("`{address}` is not a valid mail address"));
    for _ in 0..9 {
        let failure = ConnectionFailure {
            connection: "unused".to_owned(),
            what: "554 Zanzibar Ltd is spam".to_owned(),
            help: Some("ask Zanzibar".to_owned()),
            rest_until: None,
        };
        done(past.store.record_connection_failure(failure, now())).unwrap();
    }
    drop(past);
    let daemon = sandbox.daemon();
    served(&daemon);
    let guest = Visitor::guest(port);
    let numbers = (1..=6).map(|run| format!("/runs/{run}"));
    let flows = ["/flows/marketplace-leads", "/flows/renewals", "/api/v1/flows/renewals"].map(str::to_owned);
    for path in READ.into_iter().map(str::to_owned).chain(numbers).chain(flows) {
        let reply = guest.get(&path);
        assert!(
            !reply.body.contains("zz-canary") && !reply.body.contains("Zanzibar"),
            "{path}: {}",
            reply.body
        );
    }
    has(&guest.get("/health").body, &["the mail connection unused fails (9 times in a row): …"]);
    has(
        &Visitor::guest(port).signed_in("ben").get("/health").body,
        &["554 Zanzibar Ltd is spam", "ask Zanzibar"],
    );
    assert!(daemon.stop().success());
}

#[test]
fn personal_data_needs_a_sign_in() {
    let port = free_port();
    let (_sandbox, daemon) = daemon(&page_on(port));
    let guest = Visitor::guest(port);
    for path in
        ["/outbox", "/outbox/1", "/outbox/1/html", "/leads", "/check", "/flows/leads/run", "/outbox/retry"]
    {
        let reply = guest.get(path);
        let next: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
        assert_eq!(
            (reply.status, reply.header("location")),
            (303, Some(format!("/sign-in?next={next}").as_str()))
        );
    }
    for path in ["/api/v1/outbox", "/api/v1/mails/1", "/api/v1/runs/1", "/api/v1/check"] {
        let reply = guest.get(path);
        assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some("Bearer")), "{path}");
    }
    let search = guest.post_json("/api/v1/leads/search", &json!({ "flow": "leads", "text": "Zanzibar" }));
    let proof = guest.post_json("/api/v1/leads/proof", &json!({ "flow": "leads", "key": "p/r" }));
    assert_eq!((search.status, proof.status), (401, 401));
    for path in ["/leads", "/leads/proof", "/leads/export"] {
        let fields = [("flow", "leads"), ("partition", "p"), ("row", "r")];
        assert_eq!(guest.post(path, &fields).status, 303, "{path}");
    }
    assert!(daemon.stop().success());
}

/// What the state says of flows, runs and mails.
fn state(sandbox: &Sandbox) -> [Value; 3] {
    let flows = sandbox.json(&["list", "--json"]);
    let mails = sandbox.json(&["outbox", "list", "--json"]);
    [flows, Value::Array(sandbox.runs()), mails]
}

#[test]
fn what_is_read_changes_nothing_whoever_reads_it() {
    let port = free_port();
    let (sandbox, daemon) = daemon(&page_on(port));
    // The mail that waits is tried again after a while, whoever looks.
    sandbox.exits(0, &["outbox", "drop", "2"]);
    let before = state(&sandbox);
    let log = daemon.log().len();
    for visitor in
        [Visitor::guest(port), Visitor::guest(port).signed_in("anna"), Visitor::guest(port).with_token(ROBOT)]
    {
        for path in READ.iter().chain(&ACTIONS).chain(&API_ACTIONS) {
            let reply = visitor.get(path);
            assert!(reply.status < 500, "{path}: {reply:?}");
            assert_eq!(visitor.send("HEAD", path, &[], b"").body, "", "{path}");
        }
        for path in ACTIONS.iter().chain(&API_ACTIONS) {
            for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY"] {
                let status = visitor.send(method, path, &[], b"").status;
                assert!((400..500).contains(&status), "{method} {path}: {status}");
            }
        }
    }
    assert_eq!(state(&sandbox), before);
    assert!(!daemon.log()[log..].contains("asked for"), "{}", daemon.log());
    assert!(daemon.stop().success());
}

/// The paths of the router, each of which one of the lists has.
#[test]
fn the_lists_of_paths_have_every_route() {
    let source = |name: &str| {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web").join(name))
    };
    let routes = |name: &str, root: &str, before: &str| {
        let text = source(name).unwrap();
        let found: Vec<_> = text
            .split(before)
            .skip(1)
            .map(|rest| format!("{root}{}", rest.split('"').next().unwrap()))
            .collect();
        found
    };
    let all = [routes("routes.rs", "", ".route(\""), routes("api/mod.rs", "/api/v1", "        (\"")].concat();
    assert!(all.len() > 40, "{all:?}");
    let known = READ.iter().chain(&ASKED).chain(&ACTIONS).chain(&API_ACTIONS);
    let known: Vec<_> = known.map(|path| path.split('?').next().unwrap()).collect();
    let free = ["/sign-out", "/assets/{version}/{name}", "/healthz", "/readyz", "/api/v1/openapi.json"];
    for route in all.iter().filter(|route| !free.contains(&route.as_str())) {
        let is_it = |path: &&str| {
            let (left, right): (Vec<_>, Vec<_>) = (route.split('/').collect(), path.split('/').collect());
            left.len() == right.len()
                && left.iter().zip(&right).all(|(left, right)| left == right || left.starts_with('{'))
        };
        assert!(known.iter().any(is_it), "{route} is in no list of tests/it/support/page.rs");
    }
}

/// Another machine's address, and a proxy: nothing without a sign-in but what signs in.
#[test]
fn beyond_this_machine_everything_needs_a_sign_in() {
    let port = free_port();
    let lines = format!("listen = \"127.0.0.1:{port}\"\n[settings.page.proxy]\nfrom = [\"127.0.0.1\"]");
    let (_sandbox, daemon) = daemon(&page(&lines));
    let guest = Visitor::guest(port);
    let is_for_all = |path: &str| path.starts_with("/sign-in") || path.starts_with("/language");
    for path in READ.into_iter().filter(|path| !is_for_all(path)) {
        let reply = guest.get(path);
        let expected = if path.starts_with("/api/") || path == "/metrics" { 401 } else { 303 };
        assert_eq!(reply.status, expected, "{path}");
        assert!(!reply.body.contains("leads"), "{path}: {}", reply.body);
    }
    for path in ["/sign-in", "/healthz", "/readyz", "/api/v1/openapi.json"] {
        assert_eq!(guest.get(path).status, 200, "{path}");
    }
    let form = guest.get("/sign-in").body;
    let style = form.split("href=\"").find(|rest| rest.contains("style.css\"")).unwrap();
    assert_eq!(guest.get(style.split('"').next().unwrap()).status, 200);
    assert_eq!(guest.get("/language?to=ko&back=//evil.example").header("location"), Some("/"));
    assert_eq!(guest.with_token(ROBOT).get("/metrics").status, 200);
    assert!(daemon.stop().success());
}

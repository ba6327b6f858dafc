//! Who may do what at the page: sessions, tokens, roles, proxies, names of the host, forms of other sites.

use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::embedded::rows;
use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::page::{
    ACTIONS, API_ACTIONS, PASSWORD, READER, ROBOT, Visitor, free_port, page, page_on, served,
};
use crate::support::{eventually, has, now};

const OTHER_PASSWORD: &str = "another battery horse";

fn sandbox(page: &str) -> Sandbox {
    let flow = FlowsToml::new().raw(page).embedded("demo").folder("folder").flow("leads").every("day");
    let sandbox = Sandbox::new(flow.filter(SINCE).body(KEYS));
    sandbox.table().insert_at(&rows(["a"]), now());
    sandbox
}

/// The daemon once its flow has run and its mail is sent.
fn daemon(sandbox: &Sandbox) -> Daemon {
    let daemon = sandbox.daemon();
    served(&daemon);
    eventually("the first run", || (sandbox.runs().first()?["outcome"] == "sent").then_some(()));
    daemon
}

#[test]
fn a_sign_in_is_a_cookie_that_no_script_reads_and_a_sign_out_ends_it() {
    let port = free_port();
    let sandbox = sandbox(&page_on(port));
    let daemon = daemon(&sandbox);
    let guest = Visitor::guest(port);
    let (reply, cookie) = guest.sign_in("anna", PASSWORD);
    assert_eq!((reply.status, reply.header("location")), (303, Some("/")));
    let set = reply.header("set-cookie").unwrap();
    assert!(set.ends_with("; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax"), "{set}");
    let name = cookie.unwrap();
    let anna = guest.clone().with("cookie", &name);
    assert_eq!(anna.get("/outbox").status, 200);
    has(&anna.get("/").body, &["anna", "Sign out"]);
    let anna = guest.clone().signed_in("anna");
    assert_eq!(anna.post("/sign-out", &[]).status, 303);
    assert_eq!(anna.get("/outbox").status, 303, "the session is over, whoever kept the cookie");
    assert_eq!(guest.clone().with("cookie", &name).get("/outbox").status, 200, "another session is not");
    assert_eq!(guest.clone().with("cookie", "leadflow_session=").get("/outbox").status, 303);
    let next = [("user", "anna"), ("password", PASSWORD), ("next", "//evil.example/")];
    assert_eq!(guest.post_plain("/sign-in", &next).header("location"), Some("/"));
    assert!(daemon.stop().success());
}

#[test]
fn a_session_ends_with_the_user_and_with_the_password() {
    let port = free_port();
    let other = leadflow::platform::passwords::hash(OTHER_PASSWORD).unwrap();
    let lines = format!(
        "listen = \"127.0.0.1:{port}\"\n[settings.page.users.carl]\npassword = {{ file = \"carl\" }}\nrole = \"view\""
    );
    let sandbox = sandbox(&page(&lines));
    sandbox.write("carl", &leadflow::platform::passwords::hash(PASSWORD).unwrap());
    let daemon = daemon(&sandbox);
    let guest = Visitor::guest(port);
    let [anna, ben, carl] = ["anna", "ben", "carl"].map(|name| Visitor::guest(port).signed_in(name));
    let is_in = |visitor: &Visitor| visitor.get("/outbox").status == 200;
    assert!(is_in(&anna) && is_in(&ben) && is_in(&carl));
    // A password that lies in a file of its own ends sessions without a reload.
    sandbox.write("carl", &other);
    assert!(!is_in(&carl));
    assert_eq!(guest.sign_in("carl", PASSWORD).0.status, 401);
    assert_eq!(guest.sign_in("carl", OTHER_PASSWORD).0.status, 303);

    let text = std::fs::read_to_string(sandbox.path("flows.toml")).unwrap();
    let (_, rest) = text.split_once("[settings.page.users.ben]").unwrap();
    let hash = rest.split('"').nth(1).unwrap();
    let section = format!("[settings.page.users.ben]\npassword = \"{hash}\"\nrole = \"view\"\n");
    sandbox.edit(&section, "");
    eventually("ben to be gone", || (!is_in(&ben)).then_some(()));
    assert!(is_in(&anna));
    assert_eq!(guest.sign_in("ben", PASSWORD).0.status, 401);
    sandbox.edit(hash, &other);
    eventually("anna's password to be another one", || (!is_in(&anna)).then_some(()));
    assert_eq!(guest.sign_in("anna", OTHER_PASSWORD).0.status, 303);
    assert!(daemon.stop().success());
}

#[test]
fn who_guesses_passwords_must_wait_and_others_sign_in_meanwhile() {
    let port = free_port();
    let sandbox = sandbox(&page_on(port));
    let daemon = daemon(&sandbox);
    let guest = Visitor::guest(port);
    for number in 0..5 {
        let (reply, cookie) = guest.sign_in("anna", &format!("guess {number} of many"));
        assert_eq!((reply.status, cookie), (401, None));
    }
    // As does somebody who is not there, so that names cannot be found out.
    (0..5).for_each(|_| assert_eq!(guest.sign_in("nobody", PASSWORD).0.status, 401));
    for name in ["anna", "nobody"] {
        let (reply, cookie) = guest.sign_in(name, PASSWORD);
        assert_eq!((reply.status, cookie), (429, None), "{name}: the right password does not help either");
        let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=900).contains(&seconds), "{seconds}");
    }
    assert_eq!(guest.sign_in("ben", PASSWORD).0.status, 303);
    let typed = "my-secret-typed-as-the-name";
    assert_eq!(guest.sign_in(typed, "x").0.status, 401);
    assert_eq!(guest.sign_in(&"n".repeat(65), "x").0.status, 400);
    assert_eq!(guest.sign_in("ben", &"x".repeat(1_025)).0.status, 400);
    let log = daemon.log();
    has(
        &log,
        &[
            "a sign-in was refused",
            "user=\"anna\"",
            "user=\"(unknown)\"",
            "too many failed sign-ins",
            "signed in",
            "user=\"ben\"",
        ],
    );
    assert!(
        !log.contains(typed) && !log.contains("guess") && !log.contains("horse") && !log.contains("nobody"),
        "{log}"
    );
    assert!(daemon.stop().success());
}

#[test]
fn other_names_of_the_host_and_forms_of_other_sites_are_refused() {
    let port = free_port();
    let sandbox =
        sandbox(&page(&format!("listen = \"127.0.0.1:{port}\"\nhosts = [\"leads.contoso.example\"]")));
    let daemon = daemon(&sandbox);
    let anna = Visitor::guest(port).signed_in("anna");
    for host in [
        "evil.example",
        "evil.example:80",
        "",
        "127.0.0.1.evil.example",
        "169.254.169.254",
        "[::2]",
        "localhost.",
    ] {
        for path in ["/", "/healthz", "/sign-in", "/api/v1/flows", "/metrics", "/no/page"] {
            let reply = anna.clone().with("host", host).get(path);
            assert_eq!(reply.status, 421, "{host}{path}");
            assert!(!reply.body.contains("anna"), "{}", reply.body);
        }
    }
    assert_eq!(anna.clone().with("host", "LEADS.contoso.example:443").get("/").status, 200);
    assert_eq!(anna.clone().with("host", "localhost").with("host", "evil.example").get("/").status, 421);
    let before = sandbox.runs().len();
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:1"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        for path in ACTIONS.iter().chain(&["/sign-in", "/sign-out", "/leads", "/leads/export"]) {
            assert_eq!(anna.clone().with(name, value).post(path, &[]).status, 403, "{name}: {value} {path}");
        }
    }
    assert_eq!(sandbox.runs().len(), before);
    assert_eq!(anna.get("/outbox").status, 200, "nobody has signed her out");
    let own = format!("http://127.0.0.1:{port}");
    assert_eq!(
        anna.with("origin", &own).with("sec-fetch-site", "same-origin").post("/flows/leads/run", &[]).status,
        303
    );
    assert!(daemon.stop().success());
}

#[test]
fn a_form_is_taken_from_its_own_session_alone() {
    let port = free_port();
    let sandbox = sandbox(&page_on(port));
    let daemon = daemon(&sandbox);
    let (anna, again) = (Visitor::guest(port).signed_in("anna"), Visitor::guest(port).signed_in("anna"));
    let before = sandbox.runs().len();
    for path in ACTIONS.iter().chain(&["/sign-out", "/leads", "/leads/proof", "/leads/export"]) {
        assert_eq!(anna.post_plain(path, &[]).status, 403, "{path} without a token");
        for token in ["", "x", again.form_token.as_str()] {
            assert_eq!(anna.post_plain(path, &[("form_token", token)]).status, 403, "{path} with {token}");
        }
        let query = format!("{path}?form_token={}", anna.form_token);
        assert_eq!(anna.post_plain(&query, &[]).status, 403, "{path} in the address");
        let json = anna.post_json(path, &json!({ "form_token": anna.form_token }));
        assert_eq!(json.status, 415, "{path} as JSON");
    }
    assert_eq!(sandbox.runs().len(), before);
    assert!(daemon.stop().success());
}

#[test]
fn who_may_look_does_nothing() {
    let port = free_port();
    let sandbox = sandbox(&page_on(port));
    let daemon = daemon(&sandbox);
    let flows = sandbox.json(&["list", "--json"]);
    let ben = Visitor::guest(port).signed_in("ben");
    for path in ACTIONS {
        let fields = [("from", "2026-01-01"), ("to", "2026-01-02")];
        assert_eq!(ben.post(path, &fields).status, 403, "{path}");
        assert_eq!(ben.get(path).status, 403, "{path}");
    }
    for path in ["/", "/flows/leads", "/runs/1", "/outbox", "/outbox/1"] {
        let shown = ben.get(path).body;
        assert!(!ACTIONS.iter().any(|action| shown.contains(&format!("\"{action}\""))), "{path}: {shown}");
    }
    let reader = Visitor::guest(port).with_token(READER);
    for path in API_ACTIONS {
        let range = json!({ "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z" });
        let range = if path.ends_with("/replay") { range } else { json!({}) };
        assert_eq!(reader.post_json(path, &range).status, 403, "{path}");
        assert_eq!(ben.post_json(path, &range).status, 401, "{path}: a cookie is not enough");
        let anna = Visitor::guest(port).signed_in("anna");
        assert_eq!(anna.post_json(path, &range).status, 401, "{path}: whoever has it");
    }
    for path in ACTIONS {
        assert_eq!(reader.post(path, &[]).status, 403, "{path}");
    }
    assert_eq!(ben.post("/leads", &[("flow", "leads")]).status, 200, "looking is what he may");
    assert_eq!(reader.post_json("/api/v1/leads/search", &json!({ "flow": "leads" })).status, 200);
    assert_eq!(sandbox.json(&["list", "--json"]), flows);
    assert_eq!(sandbox.runs().len(), 1);
    assert!(!daemon.log().contains("asked for"), "{}", daemon.log());
    assert!(daemon.stop().success());
}

#[test]
fn a_token_counts_in_its_header_alone_and_until_it_ends() {
    let port = free_port();
    let sandbox = sandbox(&page_on(port));
    let daemon = daemon(&sandbox);
    let guest = Visitor::guest(port);
    let status = |visitor: &Visitor, path: &str| visitor.get(path).status;
    assert_eq!(status(&guest.clone().with_token(ROBOT), "/api/v1/outbox"), 200);
    assert_eq!(
        status(&guest.clone().with("authorization", &format!("bearer  {ROBOT}")), "/api/v1/outbox"),
        200
    );
    for unknown in ["", "lf_unknown", &ROBOT[..44], &ROBOT.to_uppercase()] {
        // Who has a wrong one gets less than who has none.
        assert_eq!(status(&guest.clone().with_token(unknown), "/"), 401, "{unknown}");
    }
    assert_eq!(
        status(&guest.clone().with("authorization", &format!("Basic {ROBOT}")), "/api/v1/outbox"),
        401
    );
    for cookie in ["leadflow_session", "token", "authorization"] {
        assert_eq!(
            status(&guest.clone().with("cookie", &format!("{cookie}={ROBOT}")), "/api/v1/outbox"),
            401
        );
    }
    for query in ["token", "access_token", "authorization"] {
        assert_eq!(status(&guest, &format!("/api/v1/outbox?{query}={ROBOT}")), 401);
    }
    let run = guest.clone().with_token(ROBOT).post_json("/api/v1/flows/leads/run", &json!({}));
    let run = run.json()["run"].as_i64().unwrap();
    assert_eq!(sandbox.shown(run)["asked_by"], "robot (token)");

    // `until` must lie ahead when the file is read.
    let until = now() + jiff::SignedDuration::from_secs(4);
    sandbox.edit(
        "[settings.page.tokens.robot]\n",
        &format!("[settings.page.tokens.robot]\nuntil = \"{until}\"\n"),
    );
    eventually("the token to end", || {
        (status(&guest.clone().with_token(ROBOT), "/api/v1/flows") == 401).then_some(())
    });
    assert!(now() >= until);
    has(&daemon.log(), &["asked for", "by=\"robot (token)\""]);
    assert!(!daemon.log().contains(ROBOT) && !daemon.log().contains("access_token"), "{}", daemon.log());
    assert!(daemon.stop().success());
}

#[test]
fn a_proxy_names_its_users_and_nobody_else_does() {
    let port = free_port();
    let lines = |from: &str| {
        format!(
            "listen = \"127.0.0.1:{port}\"\n[settings.page.proxy]\nfrom = [\"{from}\"]\nuser_header = \"X-User\"\nothers = \"view\""
        )
    };
    let sandbox = sandbox(&page(&lines("127.0.0.1")));
    let daemon = daemon(&sandbox);
    let named = |name: &str| Visitor::guest(port).with("x-user", name);
    assert_eq!(named("anna").get("/flows/leads/run").status, 200);
    assert_eq!(named("zoe").get("/outbox").status, 200);
    assert_eq!(named("zoe").get("/flows/leads/run").status, 403);
    assert_eq!(named("anna").with("x-user", "zoe").get("/outbox").status, 303, "two names are none");
    assert_eq!(named("an na").get("/outbox").status, 303);
    // Another site's form comes with the proxy's header, too.
    assert_eq!(named("anna").post("/flows/leads/run", &[]).status, 403);
    let page = named("anna").get("/flows/leads/run").body;
    let token =
        page.split("name=\"form_token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(named("zoe").post_plain("/flows/leads/run", &[("form_token", &token)]).status, 403);
    assert_eq!(named("anna").post_plain("/flows/leads/run", &[("form_token", &token)]).status, 303);
    assert_eq!(sandbox.runs()[0]["asked_by"], "anna (page)");
    let (reply, _) = Visitor::guest(port).sign_in("anna", PASSWORD);
    assert!(reply.header("set-cookie").unwrap().ends_with("; Secure"), "{reply:?}");

    sandbox.edit("from = [\"127.0.0.1\"]", "from = [\"127.0.0.9\"]");
    eventually("the proxy to be another one", || (named("anna").get("/outbox").status == 303).then_some(()));
    assert_eq!(named("anna").get("/api/v1/outbox").status, 401);
    assert!(daemon.stop().success());
}

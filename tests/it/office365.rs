//! Mail by Microsoft Graph, and by SMTP with tokens, against the stand-in of `support/microsoft`.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::azurite::Table;
use crate::support::flows_toml::{FlowsToml, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::leads::{keys, leads};
use crate::support::mail::Mail;
use crate::support::mail_server::MailServer;
use crate::support::microsoft::connections::{MANAGED, application, smtp_server};
use crate::support::microsoft::{
    APPLICATION, GRAPH, MAILBOX, Microsoft, SMTP, STORAGE, Scripted, USER_ASSIGNED,
};
use crate::support::now;

/// The guide's flow on an embedded table with one lead, mailed by the connection of `mail`.
fn sandbox(microsoft: &Microsoft, mail: FlowsToml) -> Sandbox {
    with_lead(microsoft, mail.embedded("marketplace").guide_flow("leads"))
}

fn with_lead(microsoft: &Microsoft, flows: FlowsToml) -> Sandbox {
    let sandbox = Sandbox::with_microsoft(flows, microsoft);
    insert(&sandbox, 0..1);
    sandbox
}

fn graph(sign_in: &str) -> FlowsToml {
    FlowsToml::new().graph(sign_in)
}

fn xoauth2(port: u16) -> FlowsToml {
    FlowsToml::new().xoauth2(port, &application("oauth"))
}

fn insert(sandbox: &Sandbox, numbers: std::ops::Range<usize>) {
    sandbox.table().insert(&leads(numbers));
}

fn first_mail(sandbox: &Sandbox) -> Value {
    sandbox.shown(1)["mails"][0].clone()
}

fn state_and_reply(sandbox: &Sandbox) -> (String, String) {
    let recipient = first_mail(sandbox)["recipients"][0].clone();
    let text = |key: &str| recipient[key].as_str().unwrap_or_default().to_owned();
    (text("state"), text("reply"))
}

/// A run whose mail stays behind: the recipient's state and reply, and the log.
fn stays_behind(sandbox: &Sandbox, state: &str, words: &[&str]) -> String {
    let output = sandbox.exits(1, &["run", "--once"]);
    let (found, reply) = state_and_reply(sandbox);
    assert_eq!(found, state, "{reply}");
    let said = format!("{reply}\n{}", output.stderr);
    for word in words {
        assert!(said.contains(word), "`{word}` is not in {said}");
    }
    assert!(!output.stderr.contains("@contoso"), "an address is logged: {}", output.stderr);
    sandbox.keeps_no_canary();
    said
}

#[tokio::test]
async fn the_whole_job_with_nothing_but_a_managed_identity() {
    let microsoft = Microsoft::start();
    for (sign_in, who) in [
        (MANAGED.to_owned(), ""),
        (format!("entra = {{ managed_identity = true, client_id = \"{USER_ASSIGNED}\" }}"), USER_ASSIGNED),
    ] {
        let leads_table = Table::create().await;
        leads_table.insert(&leads(0..3)).await;
        let flow = graph(&sign_in).contoso(&sign_in).guide_flow(&leads_table.name);
        let sandbox = Sandbox::with_microsoft(flow.more("bcc = \"audit@contoso.example\""), &microsoft);
        sandbox.run_once();
        let sent = microsoft.state().mails.pop().unwrap();
        assert_eq!(
            sent.recipients,
            ["sales@contoso.example", "partners@contoso.example", "audit@contoso.example"]
        );
        let mail = Mail::of_bytes(sent.bytes);
        assert_eq!(mail.row_keys(), keys(0..3));
        assert!(!String::from_utf8_lossy(&mail.bytes).contains("audit@"), "a hidden recipient is shown");
        let recipients = first_mail(&sandbox)["recipients"].clone();
        assert!(recipients.as_array().unwrap().iter().all(|to| to["state"] == "sent"), "{recipients}");
        assert!(
            recipients[0]["reply"].as_str().unwrap().starts_with("202 Accepted (request-id "),
            "{recipients}"
        );
        sandbox.keeps_no_canary();
        let state = microsoft.state();
        let mut of_identity = state.tokens.iter().filter(|token| token.to == who);
        assert!(
            of_identity.clone().count() == 2
                && of_identity.all(|token| {
                    [STORAGE, GRAPH].iter().any(|resource| token.audience == format!("https://{resource}"))
                })
        );
    }
    assert_eq!(microsoft.asked("login."), 0, "no other sign-in");
}

#[tokio::test]
async fn a_client_secret_and_xoauth2_over_starttls() {
    let (microsoft, leads_table) = (Microsoft::start(), Table::create().await);
    leads_table.insert(&leads(0..3)).await;
    let (server, _tokens) = smtp_server(&microsoft, &[]);
    let flows = xoauth2(server.port).contoso(&application("entra")).guide_flow(&leads_table.name);
    let sandbox = Sandbox::with_microsoft(flows, &microsoft);
    sandbox.run_once();
    let mail = &server.mails()[0];
    assert_eq!((mail.user.as_deref(), mail.secure), (Some(MAILBOX), true));
    assert_eq!((mail.row_keys(), mail.to.len()), (keys(0..3), 2));
    assert_eq!((microsoft.asked("login."), microsoft.asked("imds")), (2, 0), "a token for each connection");
    sandbox.keeps_no_canary();
}

#[tokio::test]
async fn no_level_of_the_log_shows_a_secret() {
    let (microsoft, leads_table) = (Microsoft::start(), Table::create().await);
    leads_table.insert(&leads(0..1)).await;
    let (server, _tokens) = smtp_server(&microsoft, &[]);
    for (sign_in, of_mail) in
        [(MANAGED.to_owned(), graph(&application("entra"))), (application("entra"), xoauth2(server.port))]
    {
        let flow = of_mail.contoso(&sign_in).guide_flow(&leads_table.name);
        let sandbox = Sandbox::with_microsoft(flow, &microsoft);
        let output = sandbox.command(&["run", "--once"]).env("RUST_LOG", "trace").output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && log.contains("TRACE"), "{log}");
        assert!(!log.contains("canary"), "a secret is logged: {log}");
    }
}

#[tokio::test]
async fn tokens_that_end_in_mid_run_are_replaced() {
    let (microsoft, leads_table) = (Microsoft::start(), Table::create().await);
    leads_table.insert(&leads(0..1_200)).await;
    let flows = graph(&application("entra")).contoso(MANAGED).guide_flow(&leads_table.name);
    let sandbox = Sandbox::with_microsoft(flows, &microsoft);
    // Between two pages of the scan, and at the mail.
    microsoft.state().ends_at_table_request = Some(4);
    microsoft.state().graph.push_back(Scripted::TokenEnds);
    let output = sandbox.run_once();
    let issued = |resource: &str| {
        microsoft.state().tokens.iter().filter(|token| token.audience.ends_with(resource)).count()
    };
    assert_eq!((issued(STORAGE), issued(GRAPH)), (2, 2), "one each, and one more each");
    let run = sandbox.shown(1);
    assert_eq!((&run["outcome"], &run["rows"]), (&json!("sent"), &json!(1_200)), "{}", output.stderr);
    assert_eq!(microsoft.state().mails.len(), run["mails"].as_array().unwrap().len());
    sandbox.keeps_no_canary();
}

#[test]
fn a_revoked_token_is_replaced_between_two_smtp_sessions() {
    let microsoft = Microsoft::start();
    for kind in ["challenge", "535"] {
        let (server, _tokens) = smtp_server(&microsoft, &["--refuse-token", kind]);
        let sandbox = sandbox(&microsoft, xoauth2(server.port));
        sandbox.edit("frequency = \"hour\"", "frequency = \"second\"");
        let daemon = sandbox.daemon();
        server.wait_for_keys(&keys(0..1));
        let before = microsoft.asked("login.");
        insert(&sandbox, 1..2);
        server.wait_for_keys(&keys(1..2));
        assert_eq!(microsoft.asked("login."), before, "the token is kept");
        microsoft.state().end_tokens(SMTP);
        insert(&sandbox, 2..3);
        server.wait_for_keys(&keys(2..3));
        assert_eq!(microsoft.asked("login."), before + 1);
        assert!(!daemon.log().contains("canary") && !daemon.log().contains("WARN"), "{}", daemon.log());
        assert!(daemon.stop().success());
        sandbox.keeps_no_canary();
    }
}

#[test]
fn a_revoked_secret_waits_for_the_new_one() {
    let microsoft = Microsoft::start();
    microsoft.state().secret = "canary-another-secret".to_owned();
    let sandbox = sandbox(&microsoft, graph(&application("entra")));
    let words = ["does not accept the client secret", "AADSTS7000215", "Certificates & secrets"];
    stays_behind(&sandbox, "waiting", &words);
    let daemon = sandbox.daemon();
    daemon.wait_for_log("AADSTS7000215");
    sandbox.write("client-secret", "canary-another-secret");
    daemon.wait_for_log("the mail is sent");
    assert!(!daemon.log().contains("canary"), "{}", daemon.log());
    assert_eq!(microsoft.state().mails.len(), 1);
    microsoft.state().is_secret_expired = true;
    insert(&sandbox, 1..2);
    assert!(daemon.stop().success());
    let output = sandbox.run(&["run", "--once"]);
    assert!(output.stderr.contains("has expired (AADSTS7000222)"), "{}", output.stderr);
}

#[test]
fn missing_consent_and_a_wrong_mailbox_are_the_connections_failure() {
    let microsoft = Microsoft::start();
    let one = sandbox(&microsoft, graph(&application("entra")));
    microsoft.state().take_back(GRAPH);
    let words =
        ["the permission Mail.Send is missing (403 ErrorAccessDenied", "Application Mail.Send", APPLICATION];
    stays_behind(&one, "waiting", &words);
    let other = sandbox(&microsoft, graph(&application("entra")));
    other.edit(MAILBOX, "nobody@contoso.example");
    stays_behind(
        &other,
        "waiting",
        &["there is no mailbox nobody@contoso.example", "404 ErrorInvalidUser", "Get-EXOMailbox"],
    );
}

#[test]
fn a_refused_smtp_token_names_the_missing_permission_in_either_form() {
    for (kind, words) in [
        ("challenge", ["535", "{\"status\":\"400\"", "SMTP.SendAsApp"]),
        ("535", ["535 5.7.3", "does not accept the token for", "Add-MailboxPermission"]),
        ("disabled", ["5.7.139", "SmtpClientAuthentication is disabled", "Set-CASMailbox"]),
        ("echo", ["535 5.7.3 what is …", "does not accept", "SMTP.SendAsApp"]),
    ] {
        let microsoft = Microsoft::start();
        microsoft.state().take_back(SMTP);
        let (server, _tokens) = smtp_server(&microsoft, &["--refuse-token", kind]);
        let sandbox = sandbox(&microsoft, xoauth2(server.port));
        stays_behind(&sandbox, "waiting", &words);
        assert_eq!(microsoft.asked("login."), 1, "a fresh token is tried once");
    }
}

#[test]
fn throttled_for_minutes_it_waits_as_long_as_graph_asks() {
    let microsoft = Microsoft::start();
    let sandbox = sandbox(&microsoft, graph(MANAGED));
    let next_try = || first_mail(&sandbox)["next_try"].as_str().unwrap().parse::<Timestamp>().unwrap();
    for (scripted, words) in [
        (Scripted::Throttled(240), "429 ApplicationThrottled"),
        (Scripted::Busy(300), "503 serviceNotAvailable"),
    ] {
        microsoft.state().graph.push_back(scripted);
        let began = now();
        stays_behind(&sandbox, "waiting", &["accepts no mail from", words]);
        let (next_try, ended) = (next_try(), now());
        assert!(next_try.duration_since(began) >= SignedDuration::from_secs(240), "{next_try}");
        assert!(next_try.duration_since(ended) < SignedDuration::from_secs(330), "{next_try}");
    }
    // Whoever asks for hours gets half of one.
    microsoft.state().graph.push_back(Scripted::Throttled(86_400));
    stays_behind(&sandbox, "waiting", &[]);
    assert!(next_try().duration_since(now()) <= SignedDuration::from_mins(30));
    // The daemon, too, leaves Graph alone meanwhile.
    microsoft.state().graph.push_back(Scripted::Throttled(600));
    let asked = microsoft.asked("sendMail");
    let daemon = sandbox.daemon();
    daemon.wait_for_log("429 ApplicationThrottled");
    insert(&sandbox, 1..2);
    let run = sandbox.run(&["trigger", "marketplace-leads"]);
    assert!(run.stdout.contains("waiting"), "{}{}", run.stdout, run.stderr);
    assert_eq!(microsoft.asked("sendMail"), asked + 1);
    assert!(daemon.stop().success());
    sandbox.run_once();
    assert_eq!(microsoft.state().mails.len(), 2);
}

#[test]
fn a_success_with_retry_after_is_a_success_and_the_next_mail_waits() {
    let microsoft = Microsoft::start();
    let sandbox = sandbox(&microsoft, graph(MANAGED));
    sandbox.edit("template = \"marketplace-leads\"", "template = \"marketplace-leads\"\neach = \"row\"");
    insert(&sandbox, 1..2);
    microsoft.state().graph.push_back(Scripted::AcceptedWithRetryAfter(3));
    let began = std::time::Instant::now();
    sandbox.run_once();
    assert!(began.elapsed().as_secs() >= 3, "{:?}", began.elapsed());
    assert_eq!(microsoft.state().mails.len(), 2);
    let mails = sandbox.shown(1)["mails"].clone();
    assert!(mails.as_array().unwrap().iter().all(|mail| mail["tries"] == 1), "{mails}");
}

#[test]
fn a_504_that_did_deliver_is_uncertain_and_sends_the_same_again() {
    for scripted in [Scripted::GatewayTimeout { is_delivered: true }, Scripted::Silent] {
        let microsoft = Microsoft::start();
        let sandbox = sandbox(&microsoft, graph(MANAGED));
        microsoft.state().graph.push_back(scripted);
        stays_behind(&sandbox, "uncertain", &["the mail is not accepted"]);
        sandbox.run_once();
        let mails = microsoft.state().mails.clone();
        assert_eq!((mails.len(), &mails[0].bytes), (2, &mails[1].bytes), "the very same mail");
        let recipient = first_mail(&sandbox)["recipients"][0].clone();
        assert_eq!((&recipient["state"], &recipient["uncertain"]), (&json!("sent"), &json!(1)));
    }
    let microsoft = Microsoft::start();
    let sandbox = sandbox(&microsoft, graph(MANAGED));
    microsoft.state().graph.extend([Scripted::GatewayTimeout { is_delivered: false }; 3]);
    let codes: Vec<i32> = (0..4).map(|_| sandbox.run(&["run", "--once"]).code).collect();
    assert_eq!(codes, [1, 1, 0, 0], "1 while the mail waits");
    assert_eq!(state_and_reply(&sandbox).0, "held");
}

#[test]
fn what_was_not_sent_waits_and_what_is_refused_is_held_for_all() {
    let microsoft = Microsoft::start();
    let one = sandbox(&microsoft, graph(MANAGED));
    microsoft.state().graph.extend([Scripted::Unreachable, Scripted::InternalError]);
    stays_behind(&one, "waiting", &["graph.microsoft.com cannot be reached"]);
    stays_behind(&one, "waiting", &["500 InternalServerError"]);
    one.run_once();
    let other = sandbox(&microsoft, graph(MANAGED));
    other.edit("partners@", "refused@");
    assert_eq!(other.run(&["run", "--once"]).code, 1);
    let recipients = first_mail(&other)["recipients"].clone();
    assert!(
        recipients.as_array().unwrap().iter().all(|to| to["state"] == "held"),
        "one outcome: {recipients}"
    );
    assert!(recipients[0]["reply"].as_str().unwrap().contains("400 ErrorInvalidRecipients"), "{recipients}");
    assert_eq!(microsoft.state().mails.len(), 1);
}

#[test]
fn the_next_connection_takes_the_same_mail_and_shows_no_hidden_recipient() {
    let (microsoft, server) = (Microsoft::start(), MailServer::start(&[]));
    let flows = graph(MANAGED).relay("relay", server.port).embedded("marketplace").guide_flow("leads");
    let flows = flows.mails_by_any(&["office365", "relay"]).more("bcc = \"audit@contoso.example\"");
    let sandbox = with_lead(&microsoft, flows);
    microsoft.state().graph.push_back(Scripted::Throttled(60));
    sandbox.run_once();
    let mails = server.mails();
    assert_eq!((mails.len(), mails[0].to.len()), (1, 3));
    let text = String::from_utf8_lossy(&mails[0].bytes).to_ascii_lowercase();
    assert!(!text.contains("audit@") && !text.contains("bcc:"), "a hidden recipient is shown: {text}");
}

#[test]
fn mails_of_a_list_with_graph_are_small_enough_for_it() {
    let (microsoft, server) = (Microsoft::start(), MailServer::start(&[]));
    let flows = graph(MANAGED).relay("relay", server.port).embedded("marketplace").guide_flow("leads");
    let sandbox = with_lead(&microsoft, flows.mails_by_any(&["relay", "office365"]));
    let wide = |number: usize| json!({ "PartitionKey": "wide", "RowKey": format!("{number:05}"), "Text": "ä".repeat(20_000) });
    sandbox.table().insert(&(0..120).map(wide).collect::<Vec<_>>());
    sandbox.run_once();
    let mails = server.mails();
    assert!(mails.len() > 2, "{} mails", mails.len());
    assert!(mails.iter().all(|mail| mail.bytes.len() <= 2_500_000));
    let rows: usize = mails.iter().map(|mail| mail.csv().unwrap().len() - 1).sum();
    assert_eq!(rows, 121);
    // The largest that there can be goes through Graph.
    sandbox.edit("[\"relay\", \"office365\"]", "\"office365\"");
    sandbox.exits(0, &["resubmit", "1", "--again"]);
    assert_eq!(microsoft.state().mails.len(), mails.len());
}

#[test]
fn at_most_four_mails_are_under_way_for_a_mailbox() {
    let microsoft = Microsoft::start();
    // Seven lanes, since their lists differ.
    let flows = (0..7).fold(FlowsToml::new().embedded("marketplace"), |flows, number| {
        let flow = flows.graph_of(&format!("office{number}"), MANAGED).flow(&format!("leads-{number}"));
        flow.filter(SINCE).to("sales@contoso.example; partners@contoso.example")
    });
    let sandbox = with_lead(&microsoft, flows);
    microsoft.state().graph.extend([Scripted::Slow(400); 7]);
    sandbox.run_once();
    let (_, most) = microsoft.state().at_once;
    assert_eq!((most, microsoft.state().mails.len()), (4, 7));
}

#[test]
fn a_test_mail_goes_to_nobody_else() {
    let microsoft = Microsoft::start();
    let sandbox = sandbox(&microsoft, graph(&application("entra")));
    let output = sandbox.exits(0, &["test-mail", "marketplace-leads", "--to", "me@contoso.example"]);
    assert!(output.stdout.contains("me@contoso.example accepted: 202 Accepted"), "{}", output.stdout);
    let mails = microsoft.state().mails.clone();
    assert_eq!(
        (mails.len(), mails[0].recipients.as_slice()),
        (1, ["me@contoso.example".to_owned()].as_slice())
    );
}

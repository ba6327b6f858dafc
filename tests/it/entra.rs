//! Signing in with Entra ID and with signatures, and what `check` says of it, step by step.

use jiff::SignedDuration;
use leadflow::platform::clock::Clock;
use serde_json::json;

use crate::support::azurite::Table;
use crate::support::flows_toml::FlowsToml;
use crate::support::leadflow::{Output, Sandbox};
use crate::support::leads::{keys, leads};
use crate::support::mail::Mail;
use crate::support::microsoft::connections::{MANAGED, application, smtp_server};
use crate::support::microsoft::{
    APPLICATION, GRAPH, MAILBOX, Microsoft, SMTP, STORAGE, TENANT, USER_ASSIGNED,
};

fn shows(output: &Output, words: &[&str]) {
    for word in words {
        assert!(output.stdout.contains(word), "`{word}` is not in:\n{}{}", output.stdout, output.stderr);
    }
}

/// Table and mail by this sign-in.
fn flows(sign_in: &str) -> FlowsToml {
    FlowsToml::new().contoso(sign_in).graph(sign_in)
}

/// The guide's flow on an embedded table, and mail by SMTP.
fn by_smtp(port: u16) -> FlowsToml {
    let connections = FlowsToml::new().embedded("marketplace").xoauth2(port, &application("oauth"));
    connections.guide_flow("leads")
}

/// The guide's flow with table and mail by this sign-in; three leads.
async fn sandbox(microsoft: &Microsoft, sign_in: &str) -> Sandbox {
    let leads_table = Table::create().await;
    leads_table.insert(&leads(0..3)).await;
    Sandbox::with_microsoft(flows(sign_in).guide_flow(&leads_table.name), microsoft)
}

#[tokio::test]
async fn check_shows_each_step_that_works() {
    let microsoft = Microsoft::start();
    let sandbox = sandbox(&microsoft, MANAGED).await;
    let output = sandbox.exits(0, &["check", "--online"]);
    shows(
        &output,
        &[
            "✓ Entra ID issued this machine's managed identity a token for Azure Storage",
            "✓ signed in, and the table",
            "✓ 3 rows match the filter",
            "✓ Entra ID issued this machine's managed identity a token for Microsoft Graph",
            &format!("✓ {MAILBOX} lets this machine's managed identity send"),
        ],
    );
    assert!(
        microsoft.state().mails.is_empty() && !sandbox.path("state").exists(),
        "nothing is sent or recorded"
    );

    let (server, _tokens) = smtp_server(&microsoft, &[]);
    let sandbox = Sandbox::with_microsoft(by_smtp(server.port), &microsoft);
    let output = sandbox.run(&["check", "--online"]);
    shows(
        &output,
        &[
            &format!(
                "✓ Entra ID issued the application {APPLICATION} a token for Office 365 Exchange Online"
            ),
            &format!("✓ signed in to 127.0.0.1:{} as {MAILBOX}", server.port),
        ],
    );
}

#[tokio::test]
async fn check_reports_each_step_that_fails_and_how_to_fix_it() {
    let microsoft = Microsoft::start();
    let sandbox = sandbox(&microsoft, MANAGED).await;
    let failing = |words: &[&str]| {
        let output = sandbox.exits(1, &["check", "--online"]);
        shows(&output, words);
    };
    microsoft.state().take_back(STORAGE);
    microsoft.state().take_back(GRAPH);
    failing(&[
        "✓ Entra ID issued this machine's managed identity a token for Azure Storage",
        "the role Storage Table Data Reader on the account `contosoleads` is missing",
        "az role assignment create --assignee CLIENT-ID --role \"Storage Table Data Reader\"",
        "the permission Mail.Send is missing",
        "New-ManagementRoleAssignment -App CLIENT-ID -Role \"Application Mail.Send\"",
    ]);
    microsoft.state().identities.remove("");
    failing(&[
        "✗ this machine has no managed identity of its own: Identity not found",
        "az vm identity assign",
    ]);

    let user_assigned = format!("entra = {{ managed_identity = true, client_id = \"{APPLICATION}\" }}");
    sandbox.edit(MANAGED, &user_assigned);
    failing(&["is not assigned to this machine", "--identities IDENTITY", "not its Object ID"]);
    assert!(microsoft.state().identities.contains(USER_ASSIGNED), "another one is");

    sandbox.edit(&user_assigned, &application("entra"));
    sandbox.edit(MANAGED, &application("entra"));
    sandbox.edit(MAILBOX, "nobody@contoso.example");
    failing(&["there is no mailbox nobody@contoso.example that Graph can send from", "Get-EXOMailbox"]);
    for (from, to, words) in [
        (TENANT, "fabrikam.example", "there is no tenant fabrikam.example (AADSTS90002)"),
        (
            APPLICATION,
            "00000000-0000-4000-8000-00000000dead",
            "there is no application 00000000-0000-4000-8000-00000000dead",
        ),
    ] {
        sandbox.edit(from, to);
        failing(&[words, "check "]);
        sandbox.edit(to, from);
    }
    microsoft.state().is_secret_expired = true;
    failing(&["has expired (AADSTS7000222)", "az ad app credential reset --id"]);
    std::fs::remove_file(sandbox.path("client-secret")).unwrap();
    failing(&["✗ the client secret of", "cannot be read", "No such file"]);
}

#[test]
fn check_reports_what_smtp_lacks() {
    let microsoft = Microsoft::start();
    microsoft.state().take_back(SMTP);
    let (server, _tokens) = smtp_server(&microsoft, &[]);
    let output = Sandbox::with_microsoft(by_smtp(server.port), &microsoft).run(&["check", "--online"]);
    assert_eq!(output.code, 1);
    shows(
        &output,
        &[
            "✓ Entra ID issued",
            "does not accept the token for `leads@contoso.example`: 535",
            "SMTP.SendAsApp",
        ],
    );
}

#[tokio::test]
async fn a_table_without_the_role_fails_the_run_and_reads_all_later() {
    let microsoft = Microsoft::start();
    let sandbox = sandbox(&microsoft, MANAGED).await;
    let granted = microsoft.state().grants.clone();
    microsoft.state().take_back(STORAGE);
    let output = sandbox.exits(1, &["run", "--once"]);
    assert!(output.stderr.contains("the role Storage Table Data Reader"), "{}", output.stderr);
    assert_eq!(sandbox.shown(1)["outcome"], "failed");
    microsoft.state().grants = granted;
    sandbox.run_once();
    let sent = microsoft.state().mails.pop().unwrap();
    assert_eq!(Mail::of_bytes(sent.bytes).row_keys(), keys(0..3));
    sandbox.keeps_no_canary();
}

#[tokio::test]
async fn a_metadata_service_in_trouble_is_tried_again() {
    let microsoft = Microsoft::start();
    let sandbox = sandbox(&microsoft, MANAGED).await;
    microsoft.state().imds_trouble.push_back(429);
    sandbox.run_once();
    assert_eq!((microsoft.asked("imds"), microsoft.state().mails.len()), (3, 1));
}

#[test]
fn without_a_metadata_service_it_says_so_at_once() {
    let microsoft = Microsoft::start();
    let sandbox = Sandbox::with_microsoft(flows(MANAGED).guide_flow("leads"), &microsoft);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = sandbox.command(&["check", "--online"]);
    let began = std::time::Instant::now();
    let output = command.env("LEADFLOW_TEST_IMDS", format!("http://127.0.0.1:{port}")).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("✗ the metadata service of this machine returned no token: Connection refused"),
        "{said}"
    );
    assert!(said.contains("only works on an Azure virtual machine"), "{said}");
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

#[test]
fn each_cloud_has_its_own_services() {
    for (cloud, login, host) in [
        ("china", "login.chinacloudapi.cn", "microsoftgraph.chinacloudapi.cn"),
        ("usgovernment", "login.microsoftonline.us", "graph.microsoft.us"),
    ] {
        let microsoft = Microsoft::start();
        let sign_in = format!("cloud = \"{cloud}\"\n{}", application("entra"));
        let sandbox = Sandbox::with_microsoft(flows(&sign_in).guide_flow("leads"), &microsoft);
        sandbox.exits(0, &["test-mail", "marketplace-leads"]);
        assert_eq!((microsoft.asked(login), microsoft.asked(host)), (1, 1), "{cloud}");
        sandbox.run(&["run", "--once"]);
        let state = microsoft.state();
        let suffix = if cloud == "china" { ".cn" } else { ".us" };
        assert!(
            state.tokens.iter().all(|token| token.audience.ends_with(suffix)),
            "{:?}",
            state.tokens.len()
        );
        let asked_table = state.asked.iter().any(|asked| asked.contains("contosoleads.table.core."));
        assert!(
            asked_table && !state.asked.iter().any(|asked| asked.contains("windows.net")),
            "{:?}",
            state.asked
        );
    }
}

#[test]
fn a_signature_is_shown_and_its_end_is_an_alarm() {
    let flows = FlowsToml::new().contoso("sas = { file = \"sas\" }").folder("office365");
    let sandbox = Sandbox::new(flows.guide_flow("leads"));
    let write = |days: i64, permissions: &str| {
        let ends =
            (Clock::System.now() + SignedDuration::from_hours(days * 24 + 1)).strftime("%Y-%m-%dT%H:%M:%SZ");
        sandbox.write("sas", &format!("?sv=2019-02-02&se={ends}&sp={permissions}&tn=leads&sig=canary%3D\n"));
    };
    write(90, "r");
    let output = sandbox.exits(0, &["check"]);
    shows(&output, &["connection marketplace\n  ✓ the shared access signature expires at ", "Z, in 90 days"]);
    write(90, "raud");
    shows(&sandbox.run(&["check"]), &["may do more than read (sp=raud)", "--permissions r is enough"]);
    write(13, "a");
    let output = sandbox.exits(1, &["check"]);
    shows(
        &output,
        &[
            "✗ the shared access signature expires at",
            "in 13 days",
            "✗ the shared access signature reads no rows (sp=a)",
        ],
    );

    // A state to look at: the run itself fails, since nobody is there.
    let no_one = |command: &mut std::process::Command| {
        command.env("HTTPS_PROXY", "http://127.0.0.1:9").env("NO_PROXY", "").output().unwrap()
    };
    write(20, "r");
    no_one(&mut sandbox.command(&["run", "--once"]));
    let alarms = || {
        let alarms = sandbox.json(&["health", "--json"])["alarms"].clone();
        alarms
            .as_array()
            .unwrap()
            .iter()
            .filter(|alarm| alarm["kind"] == "expiring")
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(alarms(), Vec::<serde_json::Value>::new());
    write(13, "r");
    let found = alarms();
    assert_eq!((found.len(), &found[0]["about"]), (1, &json!("marketplace")));
    assert!(found[0]["what"].as_str().unwrap().contains("in 13 days"), "{found:?}");
    assert!(found[0]["help"].as_str().unwrap().contains("az storage table generate-sas"), "{found:?}");
    sandbox.keeps_no_canary();
}

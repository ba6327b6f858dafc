//! The canary run: services that repeat every secret they hear, wherever they can say something, and
//! every command at every level of the log. No form of a secret is found in anything that leadflow
//! prints, logs, keeps or mails.

mod canaries;
mod hostile;

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use crate::support::certificates::certificates;
use crate::support::echo::{Echo, Stage, WAYS, Way};
use crate::support::flows_toml::{FlowsToml, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::microsoft::{APPLICATION, MAILBOX, TENANT};
use canaries::{
    CLIENT_SECRET, Canaries, HEARTBEAT, PASSWORD, PROXY_PASSWORD, SAS_SIGNATURE, TOKEN, account_key,
};

/// Every command as its manual page is called, with the lines that are run.
const COMMANDS: [(&str, &[&str]); 44] = [
    ("leadflow", &["--version"]),
    ("leadflow-run", &["run --once", "run --once nothere"]),
    ("leadflow-check", &["check", "check --json", "check --online", "check --online --json"]),
    ("leadflow-list", &["list", "list --json"]),
    ("leadflow-history", &["history", "history --json", "history nothere"]),
    ("leadflow-history-show", &["history show 1", "history show 2", "history show 1 --json"]),
    ("leadflow-stats", &["stats", "stats --json"]),
    ("leadflow-schedule", &["schedule leads", "schedule leads --json"]),
    ("leadflow-preview", &["preview leads", "preview leads --json --html preview.html"]),
    ("leadflow-test-mail", &["test-mail leads"]),
    ("leadflow-trigger", &["trigger leads", "trigger leads --json"]),
    ("leadflow-resubmit", &["resubmit 1", "resubmit 1 --json"]),
    (
        "leadflow-replay",
        &["replay leads --from 2020-01-01 --yes", "replay leads --from 2020-01-01 --yes --json"],
    ),
    ("leadflow-outbox", &["outbox"]),
    ("leadflow-outbox-list", &["outbox list", "outbox list --json"]),
    ("leadflow-outbox-show", &["outbox show 1", "outbox show 1 --json"]),
    ("leadflow-outbox-retry", &["outbox retry", "outbox retry 1"]),
    ("leadflow-outbox-send", &["outbox send 1 --to b@contoso.example"]),
    ("leadflow-outbox-drop", &["outbox drop 1"]),
    ("leadflow-lead", &["lead"]),
    ("leadflow-lead-list", &["lead list leads", "lead list leads --json"]),
    ("leadflow-lead-show", &["lead show leads p/r", "lead show leads p/r --json"]),
    (
        "leadflow-lead-export",
        &["lead export leads", "lead export leads --format json", "lead export leads --to leads.csv"],
    ),
    ("leadflow-lead-add", &["lead add leads --test"]),
    ("leadflow-lead-forget", &["lead forget ana@x.example --yes"]),
    ("leadflow-table", &["table"]),
    ("leadflow-table-list", &["table list marketplace", "table list marketplace --json"]),
    ("leadflow-table-create", &["table create marketplace another"]),
    ("leadflow-nodes", &["nodes", "nodes --json", "nodes --forget nothere"]),
    ("leadflow-state", &["state"]),
    ("leadflow-state-copy", &["state copy --to postgres"]),
    ("leadflow-page", &["page"]),
    ("leadflow-page-password", &["page password", "page password --user ana"]),
    ("leadflow-page-token", &["page token ci --role view", "page token ci --role view --json"]),
    ("leadflow-health", &["health", "health --json", "health --prometheus -"]),
    ("leadflow-backup", &["backup copy.db"]),
    ("leadflow-rename", &["rename leads other", "rename nothere leads"]),
    ("leadflow-recover", &["recover --since 2020-01-01"]),
    ("leadflow-on", &["on leads"]),
    ("leadflow-off", &["off leads", "on leads"]),
    ("leadflow-demo", &["demo --once"]),
    ("leadflow-completions", &["completions bash"]),
    ("leadflow-man", &["man"]),
    ("leadflow-help", &["help"]),
];

/// Those that ask a service.
const ONLINE: [&str; 9] = [
    "run --once",
    "check --online",
    "preview leads",
    "test-mail leads",
    "trigger leads",
    "lead list leads",
    "lead export leads",
    "table list marketplace",
    "lead add leads --test",
];

#[test]
fn every_command_is_in_the_run() {
    let sandbox = Sandbox::new("");
    sandbox.run(&["man", "--to", "pages"]);
    let pages = std::fs::read_dir(sandbox.path("pages")).unwrap().map(|entry| entry.unwrap().file_name());
    let pages: BTreeSet<String> =
        pages.map(|name| name.to_str().unwrap().trim_end_matches(".1").to_owned()).collect();
    let known: BTreeSet<String> =
        COMMANDS.iter().map(|(name, _)| (*name).to_owned()).filter(|name| !name.is_empty()).collect();
    let missing: Vec<_> =
        pages.iter().filter(|page| !known.contains(*page) && !page.contains("-help")).collect();
    assert!(missing.is_empty(), "the canary run needs a line for {missing:?}");
}

/// A way to sign in: `[connections.marketplace]` and `[connections.relay]`, and what the table's secret is.
struct Login {
    table: String,
    mail: String,
    storage: String,
}

fn logins(echo: &Echo) -> Vec<(&'static str, Login)> {
    let (http, smtp) = (echo.http, echo.smtp);
    let endpoint = format!("TableEndpoint=http://127.0.0.1:{http}/contoso");
    let string = "[connections.marketplace.azure_table]\nconnection_string = { env = \"LEADS_STORAGE\" }\n";
    let secret = |key: &str| format!("[connections.marketplace.azure_table]\naccount = \"contoso\"\n{key}\n");
    let of_relay = |login: &str| {
        format!(
            "[connections.relay.smtp]\nhost = \"127.0.0.1\"\nport = {smtp}\nsecurity = \"none\"\nfrom = \"leads@contoso.example\"\nper_minute = 1000\n{login}\n"
        )
    };
    let application = format!(
        "{{ tenant_id = \"{TENANT}\", client_id = \"{APPLICATION}\", client_secret = {{ file = \"client-secret\" }} }}"
    );
    let by_password = of_relay("login = { username = \"leads\", password = { file = \"relay-password\" } }");
    let by_token = of_relay(&format!("login = {{ username = \"{MAILBOX}\", oauth = {application} }}"));
    let graph = format!(
        "[connections.relay.graph]\nmailbox = \"{MAILBOX}\"\nper_minute = 1000\nentra = {application}\n"
    );
    let sas = format!(
        "sv=2019-02-02&ss=t&srt=sco&sp=rwdlau&se=2099-01-01T00:00:00Z&sig={}",
        SAS_SIGNATURE.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
    );
    let login = |table: &str, mail: &str, storage: String| Login {
        table: table.to_owned(),
        mail: mail.to_owned(),
        storage,
    };
    vec![
        (
            "key and password",
            login(
                string,
                &by_password,
                format!("AccountName=contoso;AccountKey={};{endpoint}", account_key()),
            ),
        ),
        (
            "signature in a connection string, token for SMTP",
            login(string, &by_token, format!("{endpoint};SharedAccessSignature={sas}")),
        ),
        (
            "signature and Graph",
            login(&secret("sas = { env = \"LEADS_STORAGE\" }"), &graph, format!("?{sas}")),
        ),
        (
            "shared key",
            login(&secret("shared_key = { env = \"LEADS_STORAGE\" }"), &by_password, account_key()),
        ),
        ("application", login(&secret(&format!("entra = {application}")), &by_token, String::new())),
    ]
}

fn sandbox(echo: &Echo, login: &Login) -> Sandbox {
    let http = echo.http;
    let heartbeat = format!("heartbeat_url = \"http://127.0.0.1:{http}{HEARTBEAT}\"");
    let failures = "connection = [\"relay\", \"folder\"]\nto = \"ops@contoso.example\"";
    let connections = FlowsToml::new().settings(&heartbeat).section("settings.failures", failures);
    let flows = connections.raw(&login.table).raw(&login.mail).folder("folder");
    let flows = flows.flow("leads").every("second").interval(5).reads("marketplace", "leads").filter(SINCE);
    let flows =
        flows.mails_by_any(&["relay", "folder"]).to("sales@contoso.example; partners@contoso.example");
    let flows = flows.subject("{{length}} {{rows.[0].Echo}}").more("attach_csv = true");
    let flows = flows.body("{{#each rows}}{{Echo}} {{lead.company}}{{/each}}").flow("other");
    let flows = flows.reads("marketplace", "leads").filter(SINCE).mails_by("relay");
    let sandbox = Sandbox::with_storage(flows, login.storage.clone());
    sandbox.write("client-secret", CLIENT_SECRET);
    sandbox.write("relay-password", PASSWORD);
    sandbox
}

fn command(sandbox: &Sandbox, echo: &Echo, line: &str) -> Command {
    let mut command = sandbox.command(&line.split(' ').collect::<Vec<_>>());
    command
        .env("HTTPS_PROXY", format!("http://firewall:{PROXY_PASSWORD}@127.0.0.1:{}", echo.http))
        .env("NO_PROXY", "127.0.0.1,localhost")
        .env("SSL_CERT_FILE", &certificates().authority);
    command
}

/// Runs it at a level in a form of the log; nothing that it says has a secret.
fn says_nothing(sandbox: &Sandbox, echo: &Echo, line: &str, (level, form): (&str, &str)) {
    let output =
        command(sandbox, echo, line).args(["--log-format", form]).env("RUST_LOG", level).output().unwrap();
    let canaries = Canaries::of(&echo.heard());
    let stderr = String::from_utf8(output.stderr).unwrap();
    canaries.are_not_in(&format!("standard output of {line} at {level}"), &output.stdout);
    canaries.are_not_in(&format!("standard error of {line} at {level}, {form}"), stderr.as_bytes());
    assert!(!stderr.contains("panicked"), "{line}: {stderr}");
    assert!(!stderr.contains(|c: char| c.is_control() && c != '\n'), "{line} at {level}: {stderr:?}");
}

const KEPT_SECRETS: [&str; 3] = ["client-secret", "relay-password", "mail-password"];

fn keeps_nothing(sandbox: &Sandbox, echo: &Echo) {
    // The file names the heartbeat's address, which is no secret there.
    Canaries::of(&echo.heard())
        .are_not_below(&sandbox.path(""), &[&KEPT_SECRETS[..], &["flows.toml"]].concat());
}

fn canary_run(name: &str) {
    let echo = Echo::start(TOKEN);
    let (_, login) = logins(&echo).into_iter().find(|(login, _)| *login == name).unwrap();
    let sandbox = sandbox(&echo, &login);
    for (stage, way) in
        [Stage::Rows, Stage::Json, Stage::Html].into_iter().flat_map(|stage| WAYS.map(|way| (stage, way)))
    {
        echo.play(stage, way);
        says_nothing(
            &sandbox,
            &echo,
            "run --once",
            ("trace", if way == Way::Broken { "json" } else { "text" }),
        );
    }
    for stage in [Stage::NoToken, Stage::NoProxy] {
        echo.play(stage, Way::Plain);
        says_nothing(&sandbox, &echo, "check --online", ("trace", "text"));
    }
    let levels = ["error", "warn", "info", "debug", "trace"]
        .into_iter()
        .flat_map(|level| ["text", "json"].map(|form| (level, form)));
    for (level, way) in levels.zip(WAYS.into_iter().cycle()) {
        echo.play(Stage::Json, way);
        says_nothing(&sandbox, &echo, "run --once", level);
    }
    echo.play(Stage::Html, Way::Plain);
    for line in ONLINE {
        says_nothing(&sandbox, &echo, line, ("trace", "json"));
    }
    echo.play(Stage::Rows, Way::Plain);
    for line in COMMANDS.iter().flat_map(|(_, lines)| *lines) {
        says_nothing(&sandbox, &echo, line, ("trace", "text"));
    }
    keeps_nothing(&sandbox, &echo);
    let heard = echo.heard().join("\n");
    assert!(
        heard.contains("canary") || heard.contains("SharedKey") || heard.contains("sig="),
        "nothing was heard: {heard}"
    );
}

#[test]
fn key_and_password() {
    canary_run("key and password");
}

#[test]
fn signature_in_a_connection_string_and_token_for_smtp() {
    canary_run("signature in a connection string, token for SMTP");
}

#[test]
fn signature_and_graph() {
    canary_run("signature and Graph");
}

#[test]
fn shared_key_behind_a_proxy() {
    canary_run("shared key");
}

#[test]
fn application_of_entra() {
    canary_run("application");
}

/// The daemon with its heartbeat, its failure mails and its line for systemd.
#[test]
fn neither_the_daemon_nor_its_notifications_repeat_a_secret() {
    let echo = Echo::start(TOKEN);
    let (_, login) = logins(&echo).remove(1);
    let sandbox = sandbox(&echo, &login);
    let socket = sandbox.path("notify");
    let supervisor = UnixDatagram::bind(&socket).unwrap();
    supervisor.set_nonblocking(true).unwrap();
    let socket = socket.display().to_string();
    let proxy = format!("http://firewall:{PROXY_PASSWORD}@127.0.0.1:{}", echo.http);
    let environment = [
        ("NOTIFY_SOCKET", socket.as_str()),
        ("RUST_LOG", "trace"),
        ("HTTPS_PROXY", &proxy),
        ("NO_PROXY", "127.0.0.1"),
        ("SSL_CERT_FILE", certificates().authority.to_str().unwrap()),
    ];
    echo.play(Stage::Rows, Way::Plain);
    let well = sandbox.daemon_with(&environment);
    well.wait_for_log("the heartbeat failed");
    assert!(well.stop().success());
    echo.play(Stage::Html, Way::Plain);
    says_nothing(&sandbox, &echo, "run --once", ("info", "text"));
    let daemon = sandbox.daemon_with(&environment);
    let is_notice = |mail: &std::path::PathBuf| {
        std::fs::read_to_string(mail).is_ok_and(|mail| mail.contains("X-Leadflow-Notice"))
    };
    let mails = || Some(std::fs::read_dir(sandbox.path("state/mail")).ok()?.map(|mail| mail.unwrap().path()));
    crate::support::eventually("the failure mail", || mails()?.find(is_notice));
    let mut notified = Vec::new();
    let mut message = [0; 4_096];
    while let Ok(length) = supervisor.recv(&mut message) {
        notified.extend_from_slice(&message[..length]);
    }
    assert!(daemon.stop().success());
    let log = sandbox.logs();
    std::fs::remove_file(socket).unwrap();
    let canaries = Canaries::of(&echo.heard());
    canaries.are_not_in("what systemd is notified of", &notified);
    canaries.are_not_in("the daemon's log", log.as_bytes());
    assert!(String::from_utf8_lossy(&notified).contains("STATUS="), "{}", String::from_utf8_lossy(&notified));
    keeps_nothing(&sandbox, &echo);
}

//! What a person sees, in terminals of 80 and of 140 columns.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use leadflow::history::Outcome;
use leadflow::store::{Lock, Owner};
use serde_json::Value;

use crate::support::eventually;
use crate::support::flows_toml::{FlowsToml, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::leads::leads;
use crate::support::mail_server::MailServer;
use crate::support::past::{self, PastState};

/// Times, durations and other things that differ from run to run, each as long as it was where its
/// column depends on it.
const FILTERS: [(&str, &str); 11] = [
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "2026-11-23 08:00:00Z"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "2026-11-23 08:00:00"),
    (r"(  |next run )\d\d-\d\d \d\d:\d\d:\d\d", "${1}11-23 08:00:00"),
    (r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d{4}-\d\d-\d\d", "Mon 2026-11-23"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*Z", "2026-11-23T08:00:00Z"),
    (r"(\d\d:\d\d:\d\d) ([+-]\d\d|[A-Z]{3,4})\b", "$1 +00"),
    (r"\(([A-Z][a-z]+/[A-Za-z_]+|UTC)\)", "(ZONE)"),
    (r"(\(|service time    |took     )\d[\d.]* m?s\b", "${1}5 ms"),
    // The moment in a filter has as many digits as it needs, and so has the text of a mail.
    (r"' and P\w*…", "' and Prod…"),
    (r"\b\d{4,} bytes", "9000 bytes"),
    (r"<[0-9a-f-]{36}@", "<00000000-0000-0000-0000-000000000000@"),
];

/// Each command with what it says, in both widths.
fn snapshot(name: &str, sandbox: &Sandbox, commands: &[&str]) {
    let mut settings = insta::Settings::clone_current();
    for (pattern, with) in FILTERS {
        settings.add_filter(pattern, with);
    }
    settings.add_filter(&sandbox.path("").display().to_string().replace('.', "\\."), "[folder]/");
    for width in [80, 140] {
        let shown = in_width(sandbox, commands, width);
        settings.bind(|| insta::assert_snapshot!(format!("{name}-{width}"), shown));
    }
}

fn in_width(sandbox: &Sandbox, commands: &[&str], width: usize) -> String {
    let mut shown = String::new();
    for line in commands {
        let arguments: Vec<_> = line.split(' ').collect();
        let output = sandbox.command(&arguments).env("COLUMNS", width.to_string()).output().unwrap();
        let (stdout, stderr) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        let code = output.status.code().unwrap();
        let _ = write!(shown, "$ leadflow {line}\n{stdout}{stderr}[{code}]\n\n");
    }
    shown
}

const LOOKS: [&str; 7] =
    ["list", "history", "history show 1", "stats --days 2", "schedule renewals -n 2", "health", "check"];

#[test]
fn before_the_first_run() {
    let sandbox = Sandbox::new(past::flows());
    snapshot("empty", &sandbox, &LOOKS);
    let nothing = Sandbox::new("");
    snapshot("no-flow", &nothing, &["list", "history", "stats", "health", "check"]);
}

#[test]
fn runs_of_every_kind() {
    let sandbox = Sandbox::new(past::flows());
    PastState::make(&sandbox);
    snapshot("good", &sandbox, &LOOKS);
    snapshot(
        "more-of-the-history",
        &sandbox,
        &[
            "history marketplace-leads -n 2",
            "history --status failed --status partly-sent",
            "history --before 3",
            "history --since 38m --until 28m",
            "history show 3",
            "history show 5",
            "history show 6",
            "stats renewals --days 1",
            "history renewals --status failed",
            "history --until 2020-01-01",
            "outbox list",
            "outbox show 2",
        ],
    );
}

#[test]
fn all_is_well() {
    let sandbox = Sandbox::new(past::flows());
    let mut past = PastState::open(&sandbox, &["marketplace-leads", "renewals"]);
    for flow in ["marketplace-leads", "renewals"] {
        past.scanned((flow, 1), 90, Outcome::NothingNew, "no new rows");
    }
    let _as_a_daemon_does = Lock::take(&sandbox.path("state"), &Owner::Daemon).unwrap();
    snapshot("well", &sandbox, &["health"]);
}

#[test]
fn what_is_typed_wrong() {
    let sandbox = Sandbox::new(past::flows());
    PastState::make(&sandbox);
    snapshot(
        "errors",
        &sandbox,
        &[
            "history nothere",
            "history --status lost",
            "history --since yesterday",
            "history -n 0",
            "history --follow --before 3",
            "history show 99",
            "stats nothere",
            "stats --days 0",
            "schedule nothere",
            "completions fishes",
        ],
    );
    sandbox.edit("frequency = \"hour\"", "frequency = \"hours\"");
    snapshot("broken-file", &sandbox, &["list", "check"]);
}

#[test]
fn the_steps_of_a_real_run() {
    let server = MailServer::start(&[]);
    let flows = FlowsToml::new().settings("time_zone = \"Asia/Seoul\"").embedded("demo");
    let flow = flows.relay("relay", server.port).flow("marketplace-leads").condition("length > 0");
    let flow = flow.filter(&format!("{SINCE} and ProductId eq 'contoso.app' and LeadSource ne ''"));
    let flow = flow.to("sales@contoso.example; refused@contoso.example");
    let flow = flow.subject("새로운 잠재 고객! ({{length}})").more("template = \"marketplace-leads\"");
    let sandbox = Sandbox::new(flow);
    sandbox.table().insert(&leads(0..3));
    assert_eq!(sandbox.run(&["run", "--once"]).code, 1, "a recipient is refused");
    sandbox.table().insert(&leads(3..4));
    sandbox.run(&["run", "--once"]);
    sandbox.spoil_table();
    assert_eq!(sandbox.run(&["run", "--once"]).code, 1);
    snapshot("steps", &sandbox, &["history show 1", "history show 2", "history show 3"]);
    let whole = sandbox.run(&["history", "show", "2"]).stdout;
    assert!(whole.contains("and LeadSource ne ''\n"), "nothing is cut where no terminal is: {whole}");
}

/// `history --follow`, line by line.
struct Followed {
    child: Child,
    lines: Receiver<String>,
}

impl Followed {
    fn start(sandbox: &Sandbox, more: &[&str]) -> Self {
        let arguments = [&["history", "--follow"], more].concat();
        let mut child = sandbox.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
        let (send, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(Duration::from_mins(1)).expect("a line")
    }

    fn next_run(&self) -> (i64, String) {
        let run: Value = serde_json::from_str(&self.next()).unwrap();
        (run["run"].as_i64().unwrap(), run["outcome"].as_str().unwrap().to_owned())
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn small_flow() -> FlowsToml {
    FlowsToml::demo().flow("leads")
}

#[test]
fn follow_shows_the_last_runs_and_each_one_as_it_ends() {
    let sandbox = Sandbox::new(small_flow());
    let waiting = Followed::start(&sandbox, &["--json"]);
    sandbox.run_once();
    assert_eq!(waiting.next_run(), (1, "nothing-new".to_owned()), "it waits for the first state");
    sandbox.run_once();
    let followed = Followed::start(&sandbox, &["--json", "-n", "1"]);
    assert_eq!(followed.next_run(), (2, "nothing-new".to_owned()));
    let only_sent = Followed::start(&sandbox, &["--json", "--status", "sent", "leads"]);
    sandbox.table().insert(&leads(0..1));
    sandbox.run_once();
    sandbox.run_once();
    for (run, outcome) in [(3, "sent"), (4, "nothing-new")] {
        assert_eq!(followed.next_run(), (run, outcome.to_owned()));
    }
    assert_eq!(only_sent.next_run().0, 3);
    let people = Followed::start(&sandbox, &["-n", "1"]);
    assert!(people.next().starts_with("RUN  FLOW"));
    assert!(people.next().contains("nothing-new"));
}

#[test]
fn follow_shows_a_waiting_mail_and_again_when_it_is_sent_and_ends_with_its_reader() {
    let sandbox = Sandbox::new(past::flows());
    PastState::make(&sandbox);
    let mut followed = Followed::start(&sandbox, &["--json", "-n", "1"]);
    assert_eq!(followed.next_run(), (6, "waiting".to_owned()));
    sandbox.run_once();
    let mut seen: Vec<_> = (0..3).map(|_| followed.next_run()).collect();
    seen.sort();
    let expected = [(6, "sent"), (7, "nothing-new"), (8, "nothing-new")];
    assert_eq!(seen, expected.map(|(run, outcome)| (run, outcome.to_owned())));
    drop(std::mem::replace(&mut followed.lines, mpsc::channel().1));
    eventually("follow to end without a reader", || {
        sandbox.run(&["run", "--once"]);
        followed.child.try_wait().unwrap()
    });
}

#[test]
fn completions_and_manual_pages_need_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leadflow"));
        let output = command.args(arguments).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for (shell, words) in [
        ("bash", "complete -F _leadflow"),
        ("zsh", "#compdef leadflow"),
        ("fish", "complete -c leadflow"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion:arg-completer[leadflow]"),
    ] {
        let text = run(&["completions", shell]);
        for words in [words, "history", "partly-sent"] {
            assert!(text.contains(words) || shell == "elvish" || shell == "powershell", "{shell}: {words}");
        }
        assert!(text.contains(words), "{shell}");
    }
    let page = run(&["man"]);
    assert!(page.contains(".TH leadflow 1") && page.contains("history"), "{page}");
    run(&["man", "--to", "pages"]);
    let pages = std::fs::read_dir(folder.path().join("pages")).unwrap();
    let mut pages: Vec<_> = pages.map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    pages.sort();
    for page in ["leadflow.1", "leadflow-history.1", "leadflow-history-show.1", "leadflow-test-mail.1"] {
        assert!(pages.contains(&page.to_owned()), "{page} is not among {pages:?}");
    }
    std::fs::write(folder.path().join("a-file"), "").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_leadflow"));
    let refused = command.args(["man", "--to", "a-file/pages"]).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("cannot make the folder a-file/pages"), "{said}");
}

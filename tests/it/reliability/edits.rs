//! flows.toml while the daemon runs: a storm of reloads, half a file, rights; and a second daemon.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::{create_table, every_second, insert};
use crate::support::daemon::Daemon;
use crate::support::flows_toml::guide;
use crate::support::leadflow::Sandbox;
use crate::support::leads::keys;
use crate::support::mail_server::MailServer;
use crate::support::{eventually, oracle};

#[test]
fn case_09_a_second_daemon_leaves_and_so_does_once() {
    let sandbox = Sandbox::new("");
    let daemon = sandbox.daemon();
    for arguments in [vec!["run"], vec!["run", "--once"]] {
        let second = sandbox.exits(1, &arguments);
        assert!(second.stderr.contains("another leadflow uses the state folder"), "{}", second.stderr);
    }
    assert!(daemon.stop().success());
}

fn hang_up(daemon: &Daemon, times: u32) {
    let script = format!("for n in $(seq {times}); do kill -HUP {} || exit 1; done", daemon.id());
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
}

#[test]
fn case_11_a_thousand_reloads_end_with_the_last_file_and_make_no_run() {
    let (table, server) = (create_table(), MailServer::start(&[]));
    let sandbox = Sandbox::with_azurite(guide(&table.name, server.port));
    let daemon = sandbox.daemon();
    daemon.wait_for_log("no new rows");
    let mut address = "sales@contoso.example; partners@contoso.example".to_owned();
    for number in 0..10 {
        let next = format!("sales{number}@contoso.example");
        sandbox.edit(&address, &next);
        address = next;
        hang_up(&daemon, 100);
    }
    sandbox.edit("condition = \"length > 0\"", "condition = \"length >= 1\"");
    daemon.wait_for_log("length > 0 → length >= 1");
    assert_eq!(sandbox.runs().len(), 1, "an hourly flow");
    insert(&table, 0..2);
    sandbox.edit("frequency = \"hour\"", "frequency = \"second\"");
    let mails = server.wait_for_keys(&keys(0..2));
    assert_eq!(mails[0].to, ["sales9@contoso.example"]);
    assert!(daemon.stop().success());
    oracle::check(&sandbox, &keys(0..2), &server.mails());
}

#[test]
fn case_12_a_file_that_is_cut_off_changes_nothing() {
    let (table, server) = (create_table(), MailServer::start(&[]));
    let sandbox = every_second(&table, server.port);
    let daemon = sandbox.daemon();
    let whole = fs::read_to_string(sandbox.path("flows.toml")).unwrap();
    let changed = whole.replace("sales@", "new@");
    // In a name, in a text, in a table's head, and before the flow that stands last.
    let ends = ["fil", "subject = \"새", "[flows.marketplace-leads.em", "[flows.marketplace-leads]"];
    for (number, end) in ends.into_iter().enumerate() {
        let refusals = || daemon.log().matches("leadflow keeps running the previous flows").count();
        let before = refusals();
        let at = changed.find(end).unwrap() + if end.ends_with(']') { 0 } else { end.len() };
        // In place, as `>` and a full disk do; not by a new name.
        fs::write(sandbox.path("flows.toml"), &changed[..at]).unwrap();
        eventually("the refusal", || (refusals() > before).then_some(()));
        insert(&table, number..number + 1);
        let mails = server.wait_for_keys(&keys(number..number + 1));
        assert_eq!(mails.last().unwrap().to[0], "sales@contoso.example");
    }
    fs::write(sandbox.path("flows.toml"), &changed).unwrap();
    daemon.wait_for_log("flows.toml is reloaded");
    insert(&table, 4..5);
    assert_eq!(server.wait_for_keys(&keys(4..5)).last().unwrap().to[0], "new@contoso.example");
    assert!(daemon.stop().success());
    oracle::check(&sandbox, &keys(0..5), &server.mails());
}

#[test]
fn case_13_a_file_that_everybody_may_change_is_refused() {
    let sandbox = Sandbox::new("");
    let path = sandbox.path("flows.toml");
    let allow = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let says = |arguments: &[&str], code: i32, words: &[&str]| {
        let output = sandbox.exits(code, arguments);
        let said = format!("{}{}", output.stdout, output.stderr);
        for word in words {
            assert!(said.contains(word), "`{word}` is not in: {said}");
        }
    };
    let daemon = sandbox.daemon();
    allow(0o666);
    let shown = path.display().to_string();
    let words = ["every user of this machine can change", &format!("chmod o-w {shown}")];
    for arguments in [["check"].as_slice(), &["run"], &["run", "--once"]] {
        says(arguments, 2, &words);
    }
    daemon.signal("HUP");
    daemon.wait_for_log("every user of this machine can change");
    daemon.wait_for_log("leadflow keeps running the previous flows");
    assert!(daemon.stop().success());

    allow(0o644);
    sandbox.write("templates/_a.html.hbs", "");
    fs::set_permissions(sandbox.path("templates"), fs::Permissions::from_mode(0o777)).unwrap();
    says(&["check"], 2, &["templates, and therefore who gets"]);
    fs::set_permissions(sandbox.path("templates"), fs::Permissions::from_mode(0o755)).unwrap();

    allow(0o664);
    // A group of the owner's own is nobody else.
    let is_own_group = {
        use std::os::unix::fs::MetadataExt as _;
        let found = fs::metadata(&path).unwrap();
        found.uid() == found.gid()
    };
    let warning = if is_own_group { "0 flows, 1 warning" } else { "if it should not: chmod g-w" };
    says(&["check"], 0, &[warning]);
}

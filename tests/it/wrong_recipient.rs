//! A recipient that a server refuses for good: what says so names what to type, and the same mail
//! goes to another address.

use crate::support::eventually;
use crate::support::leadflow::Sandbox;
use crate::support::smtp_script::{Script, good, sandbox, say};
use serde_json::{Value, json};

/// A server that knows nobody of that name.
fn refusing(name: &'static str) -> Script {
    Script::start(move |step, line| {
        if step == "RCPT" && line.contains(name) { say("550 5.1.1 no such user") } else { good(step) }
    })
}

/// One lead, mailed to a misspelt address and to a good one.
fn held(server: &Script) -> Sandbox {
    let sandbox = sandbox(&[server.port]);
    sandbox.edit(
        "sales@contoso.example; partners@contoso.example",
        "salse@contoso.example; boss@contoso.example",
    );
    assert_eq!(sandbox.run(&["run", "--once"]).code, 1);
    sandbox
}

fn recipients(sandbox: &Sandbox) -> Vec<(String, String)> {
    let shown = sandbox.json(&["outbox", "show", "1", "--json"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = shown["recipients"].as_array().unwrap().iter();
    list.map(|recipient| (text(&recipient["address"]), text(&recipient["state"]))).collect()
}

fn states(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(address, state)| ((*address).to_owned(), (*state).to_owned())).collect()
}

#[test]
fn what_is_held_says_what_to_type() {
    let server = refusing("salse@");
    let sandbox = held(&server);
    for command in [&["health"][..], &["outbox", "list"], &["outbox", "show", "1"]] {
        let said = sandbox.run(command).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        for typed in
            ["leadflow outbox send 1 --to ADDRESS", "leadflow outbox retry 1", "leadflow outbox drop 1"]
        {
            assert!(said.contains(typed), "`{typed}` is not in {command:?}: {said}");
        }
    }
    let alarms = sandbox.json(&["health", "--json"])["alarms"].clone();
    assert_eq!(alarms[0]["look"], "leadflow outbox show 1");
}

#[test]
fn a_held_mail_is_sent_to_the_right_address_and_health_is_well_again() {
    let server = refusing("salse@");
    let sandbox = held(&server);
    let daemon = sandbox.daemon();
    let sent = sandbox.run(&["outbox", "send", "1", "--to", "Sales <sales@contoso.example>"]);
    assert_eq!(
        (sent.code, sent.stdout.as_str()),
        (
            0,
            "mail 1 is sent to sales@contoso.example; salse@contoso.example is dropped; `leadflow outbox show 1` shows the result\n"
        )
    );
    assert!(
        sent.stderr.contains("[flows.marketplace-leads.email] of flows.toml still has salse@contoso.example"),
        "{}",
        sent.stderr
    );
    eventually("the mail", || (server.messages().len() == 2).then_some(()));
    eventually("its reply", || {
        (recipients(&sandbox)
            == states(&[
                ("salse@contoso.example", "dropped"),
                ("boss@contoso.example", "sent"),
                ("sales@contoso.example", "sent"),
            ]))
        .then_some(())
    });
    let messages = server.messages();
    assert_eq!(messages[0], messages[1], "the same bytes");
    let last = server.count("RCPT TO:<BOSS@");
    assert_eq!((last, server.count("RCPT TO:<SALES@")), (1, 1), "who has it gets it once");
    eventually("health", || (sandbox.run(&["health"]).stdout == "all is well\n").then_some(()));
    assert_eq!(sandbox.json(&["outbox", "list", "--json"]), json!([]));
    let again = sandbox.run(&["outbox", "send", "1", "--to", "sales@contoso.example"]);
    assert_eq!(
        (again.code, again.stderr.as_str()),
        (1, "error: mail 1 is not sent: it was sent to sales@contoso.example already\n")
    );
    assert!(daemon.stop().success());
}

#[test]
fn without_a_daemon_it_leaves_with_the_next_run() {
    let server = refusing("salse@");
    let sandbox = held(&server);
    let more = ["outbox", "send", "1", "--to", "a@contoso.example", "b@contoso.example"];
    sandbox.exits(0, &[&more[..], &["--instead-of", "SALSE@contoso.example"]].concat());
    sandbox.run_once();
    let sent = ["boss@contoso.example", "a@contoso.example", "b@contoso.example"];
    let mut expected = vec![("salse@contoso.example", "dropped")];
    expected.extend(sent.map(|address| (address, "sent")));
    assert_eq!(recipients(&sandbox), states(&expected));
    assert_eq!(sandbox.shown(1)["outcome"], "partly-sent");
    // What was given up can be taken back.
    assert_eq!(sandbox.run(&["outbox", "retry", "1"]).code, 0);
    assert_eq!(recipients(&sandbox)[0].1, "waiting");
}

#[test]
fn a_mail_that_everybody_has_goes_out_once_more_only_when_that_is_said() {
    let server = refusing("salse@");
    let sandbox = held(&server);
    let send = |more: &[&str]| {
        sandbox.run(&[&["outbox", "send", "1", "--to", "stranger@x.example"][..], more].concat())
    };
    assert_eq!(sandbox.run(&["outbox", "drop", "1"]).code, 0);
    let given_up = send(&["--instead-of", "salse@contoso.example"]);
    assert_eq!(
        (given_up.code, given_up.stderr.as_str()),
        (
            1,
            "error: no recipient of mail 1 is held or waiting: it was sent to boss@contoso.example, and dropped for salse@contoso.example; --yes sends it again, to stranger@x.example\n"
        )
    );
    let daemon = sandbox.daemon();
    assert_eq!(send(&["--yes"]).code, 0);
    eventually("the mail", || (server.count("RCPT TO:<STRANGER@") == 1).then_some(()));
    assert!(daemon.stop().success());
}

#[test]
fn a_mail_that_all_have_is_asked_about_on_a_terminal() {
    let server = Script::start(|step, _| good(step));
    let sandbox = sandbox(&[server.port]);
    sandbox.run_once();
    let refused = sandbox.exits(1, &["outbox", "send", "1", "--to", "stranger@x.example"]);
    assert!(refused.stderr.contains("it was sent to sales@contoso.example"), "{}", refused.stderr);
    let send = "outbox send 1 --to stranger@x.example";
    let (code, said) = sandbox.on_a_terminal(send, "n");
    assert!(said.contains("it is sent again, to stranger@x.example"), "{said}");
    assert!(said.contains("go on? [y/N]") && said.contains("nothing was done"), "{said}");
    assert_eq!((code, recipients(&sandbox).len()), (1, 2));
    let (code, said) = sandbox.on_a_terminal(send, "y");
    assert_eq!((code, recipients(&sandbox).len()), (0, 3), "{said}");
}

#[test]
fn a_test_mail_to_the_recipients_of_the_flow_is_asked_about_on_a_terminal() {
    let server = Script::start(|step, _| good(step));
    let sandbox = sandbox(&[server.port]);
    let (code, said) = sandbox.on_a_terminal("test-mail marketplace-leads", "n");
    assert!(said.contains("to sales@contoso.example, partners@contoso.example"), "{said}");
    assert!(said.contains("go on? [y/N]") && said.contains("nothing was sent"), "{said}");
    assert_eq!((code, server.messages().len()), (1, 0));
    for unasked in ["test-mail marketplace-leads --yes", "test-mail marketplace-leads --to me@x.example"] {
        let (code, said) = sandbox.on_a_terminal(unasked, "n");
        assert_eq!((code, said.contains("go on?")), (0, false), "{said}");
    }
    let (code, _) = sandbox.on_a_terminal("test-mail marketplace-leads", "y");
    assert_eq!((code, server.messages().len()), (0, 3));
    assert_eq!(sandbox.run(&["test-mail", "marketplace-leads"]).code, 0, "a script of before");
    assert_eq!(server.messages().len(), 4);
}

#[test]
fn what_cannot_be_sent_says_why() {
    let server = refusing("salse@");
    let sandbox = held(&server);
    for (arguments, code, words) in [
        (&["9", "--to", "a@b.example"][..], 1, "there is no mail 9"),
        (&["1"], 2, "--to"),
        (&["1", "--to", "nobody"], 2, "write an address such as sales@contoso.example"),
        (&["1", "--to", "salse@contoso.example"], 1, "cannot replace itself; `leadflow outbox retry`"),
        (&["1", "--to", "boss@contoso.example"], 1, "it was sent to boss@contoso.example already"),
        (
            &["1", "--to", "a@b.example", "--instead-of", "x@b.example"],
            1,
            "it is not addressed to x@b.example; it is addressed to salse@contoso.example, boss@contoso.example",
        ),
    ] {
        let output = sandbox.exits(code, &[&["outbox", "send"][..], arguments].concat());
        assert!(output.stderr.contains(words), "`{words}` is not in: {}", output.stderr);
    }
    assert_eq!(recipients(&sandbox)[0].1, "held", "nothing has changed");
}

//! What this machine calls itself, and what the server is called: names, addresses, IPv6.

use std::net::Ipv6Addr;

use leadflow::flow::{MailConnection, SmtpConnection};
use leadflow::services::mail::Session;

use crate::support::smtp_script::{Script, Step, good, sandbox, say};

fn hello_of(script: &Script, begin: &str) -> Vec<String> {
    let commands = script.commands().into_iter();
    commands.filter_map(|command| command.strip_prefix(begin).map(str::to_owned)).collect()
}

/// As `reject_invalid_helo_hostname` and `reject_non_fqdn_helo_hostname` of Postfix have it.
fn strict(step: &str, line: &str) -> Step {
    let name = line.split(' ').nth(1).unwrap_or_default();
    if matches!(step, "EHLO" | "HELO") && !name.starts_with('[') && !name.contains('.') {
        return say("504 5.5.2 Helo command rejected: need fully-qualified hostname");
    }
    good(step)
}

#[test]
fn a_machine_without_a_whole_name_gives_its_address() {
    let server = Script::start(strict);
    sandbox(&[server.port]).run_once();
    assert_eq!(server.messages().len(), 1);
    let names = hello_of(&server, "EHLO ");
    assert!(names.iter().all(|name| name == "[127.0.0.1]" || name.contains('.')), "{names:?}");
}

#[test]
fn the_name_of_flows_toml_is_given_with_every_hello() {
    let server = Script::start(|step, line| match step {
        "EHLO" => say("502 5.5.1 what is that"),
        step => strict(step, line),
    });
    let sandbox = sandbox(&[server.port]);
    sandbox.edit("security = \"none\"", "security = \"none\"\nhelo = \"VM1.contoso.example\"");
    sandbox.run_once();
    for begin in ["EHLO ", "HELO "] {
        assert_eq!(hello_of(&server, begin), ["vm1.contoso.example"]);
    }
}

#[tokio::test]
async fn the_name_is_the_same_after_starttls() {
    let server = Script::start(|step, _| match step {
        "EHLO" => say("250-scripted\r\n250 STARTTLS"),
        "STARTTLS" => say("220 go on"),
        step => good(step),
    });
    let MailConnection::Smtp(smtp) = server.with_starttls() else { panic!("no SMTP") };
    let helo = Some("vm1.contoso.example".to_owned());
    Session::open(&MailConnection::Smtp(SmtpConnection { helo, ..smtp })).await.unwrap().close().await;
    assert_eq!(hello_of(&server, "EHLO "), ["vm1.contoso.example"; 2]);
}

#[test]
fn a_name_that_is_refused_has_its_remedy_wherever_it_is_refused() {
    for (at, reply) in [
        ("EHLO", "504 5.5.2 <vm1>: Helo command rejected: need fully-qualified hostname"),
        ("EHLO", "550 access denied, invalid HELO name"),
        ("RCPT", "504 5.5.2 <vm1>: Helo command rejected: need fully-qualified hostname"),
        ("RCPT", "450 4.7.1 <vm1>: Helo command rejected: Host not found"),
        ("MAIL", "550 5.7.1 <vm1>: Helo command rejected: Access denied"),
    ] {
        let server = Script::start(move |step, _| {
            if step == at || (at == "EHLO" && step == "HELO") { say(reply) } else { good(step) }
        });
        let sandbox = sandbox(&[server.port]);
        let output = sandbox.run(&["run", "--once"]);
        assert_eq!(output.code, 1, "{at} {reply}");
        assert!(output.stderr.contains("set the connection's `helo`"), "{at} {reply}: {}", output.stderr);
        assert!(output.stderr.contains(&reply[..3]), "{at} {reply}: {}", output.stderr);
    }
}

#[test]
fn an_ipv6_server_is_reached_with_and_without_brackets() {
    for host in ["::1", "[::1]", "0:0::0001"] {
        let server = Script::start_at(&format!("[{}]:0", Ipv6Addr::LOCALHOST), strict);
        let sandbox = sandbox(&[server.port]);
        sandbox.edit("host = \"127.0.0.1\"", &format!("host = \"{host}\""));
        assert_eq!(sandbox.run(&["check"]).code, 0, "{host}");
        let online = sandbox.run(&["check", "--online"]).stdout;
        assert!(online.contains(&format!("connected to [::1]:{}", server.port)), "{online}");
        sandbox.run_once();
        assert_eq!(server.messages().len(), 1, "{host}");
        assert!(hello_of(&server, "EHLO ").iter().all(|name| name == "[IPv6:::1]" || name.contains('.')));
    }
}

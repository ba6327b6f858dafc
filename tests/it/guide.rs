//! Microsoft's own flow, literally, on real input.

use std::collections::BTreeSet;

use crate::support::azurite::Table;
use crate::support::flows_toml::guide;
use crate::support::leadflow::Sandbox;
use crate::support::leads::{keys, leads};
use crate::support::mail_server::{MailServer, USER};

#[tokio::test]
async fn two_thousand_five_hundred_leads_are_mailed_exactly_once() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    table.insert(&leads(0..2_500)).await;
    let flows = guide(&table.name, server.port).settings("time_zone = \"Asia/Seoul\"");
    let sandbox = Sandbox::with_azurite(flows);

    sandbox.run_once();
    let mails = server.mails();
    let [mail] = mails.as_slice() else { panic!("{} mails", mails.len()) };
    assert_eq!(mail.to, ["sales@contoso.example", "partners@contoso.example"]);
    assert!(mail.secure, "over STARTTLS");
    assert_eq!(mail.user.as_deref(), Some(USER));
    assert_eq!(mail.subject(), "새로운 잠재 고객! (2500)");
    let carried = mail.row_keys();
    assert_eq!(carried.len(), 2_500);
    assert_eq!(carried.into_iter().collect::<BTreeSet<_>>(), keys(0..2_500).into_iter().collect());
    let shown = mail.html().matches("Fabrikam &amp; &lt;Co&gt;").count();
    assert_eq!(shown, 200, "max_rows are in the body, escaped");
    assert!(mail.text().contains("2300 more leads are in the attached CSV file"), "{}", mail.text());
    let message = mail.message();
    for header in ["Message-ID", "Date", "Auto-Submitted", "X-Leadflow-Flow", "X-Leadflow-Run"] {
        assert!(message.header_raw(header).is_some(), "{header}");
    }

    let again = sandbox.run_once();
    assert!(again.stdout.contains("nothing-new"), "{}", again.stdout);
    table.insert(&leads(2_500..2_503)).await;
    sandbox.run_once();
    let mails = server.mails();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[1].subject(), "새로운 잠재 고객! (3)");
    let mut carried = mails[1].row_keys();
    carried.sort();
    assert_eq!(carried, keys(2_500..2_503));

    let runs = sandbox.runs();
    let outcomes: Vec<_> = runs.iter().map(|run| run["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["sent", "nothing-new", "sent"]);
    let first = sandbox.shown(1);
    let steps: Vec<_> =
        first["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["window", "query", "new rows", "condition", "render", "commit"]);
    assert_eq!(first["steps"][1]["outputs"]["pages"], 3);
    let reply = first["mails"][0]["recipients"][0]["reply"].as_str().unwrap();
    assert!(reply.starts_with("250 "), "{reply}");
}

#[tokio::test]
async fn what_one_mail_cannot_carry_goes_in_numbered_ones() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    let mut rows = leads(0..400);
    for row in &mut rows {
        row["Description"] = "long ".repeat(6_000).into();
    }
    table.insert(&rows).await;
    let sandbox = Sandbox::with_azurite(guide(&table.name, server.port));
    sandbox.run_once();
    let mails = server.mails();
    assert!(mails.len() > 1, "{} mails", mails.len());
    let mut carried: Vec<String> = mails.iter().flat_map(super::support::mail::Mail::row_keys).collect();
    carried.sort();
    assert_eq!(carried, keys(0..400));
    for (number, mail) in (1..).zip(&mails) {
        assert!(mail.subject().ends_with(&format!("({number}/{})", mails.len())), "{}", mail.subject());
        assert!(mail.bytes.len() <= 8_000_000, "{} bytes", mail.bytes.len());
    }
}

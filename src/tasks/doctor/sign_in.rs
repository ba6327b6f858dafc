//! Signing in, step by step: the token, the permission, the mailbox or server; and what a shared
//! access signature says of itself.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{Verdict, Visit};
use crate::alarm::EXPIRES_SOON;
use crate::flow::{Audience, Config, Entra, MailConnection};
use crate::platform::clock::Clock;
use crate::services::mail;
use crate::services::table::Signature;
use crate::services::{OnlineServices, Services as _};
use crate::text::counted::counted;

/// Whether there is a token.
pub(super) async fn token(
    services: &OnlineServices,
    name: &str,
    entra: &Entra,
    audience: Audience,
    visit: &mut Visit<'_>,
) -> bool {
    match services.tokens(name, entra).token(audience).await {
        Ok(_) => visit.well(format!("Entra ID issued {} a token for {}", entra.who(), audience.name())),
        Err(error) => {
            visit.report(Verdict::Wrong, error.advice);
            return false;
        }
    }
    true
}

pub(super) async fn mail(
    services: &OnlineServices,
    name: &str,
    connection: &MailConnection,
    visit: &mut Visit<'_>,
) {
    let audience = match connection {
        MailConnection::Graph(_) => Audience::Graph,
        MailConnection::Smtp(_) | MailConnection::Folder(_) => Audience::Smtp,
    };
    if let Some(entra) = connection.entra()
        && !token(services, name, entra, audience, visit).await
    {
        return;
    }
    if let MailConnection::Graph(graph) = connection {
        match mail::try_mailbox(graph, services.tokens(name, &graph.entra)).await {
            Ok(()) => {
                visit.well(format!("{} lets {} send", graph.mailbox.address, graph.entra.who()));
            }
            Err(error) => visit.report(Verdict::Wrong, error.advice),
        }
        return;
    }
    match services.mail(name, connection).await {
        Ok(session) => {
            session.close().await;
            visit.well(works(connection));
        }
        Err(error) => visit.report(Verdict::Wrong, error.advice),
    }
}

fn works(connection: &MailConnection) -> String {
    match connection {
        MailConnection::Smtp(smtp) => match &smtp.login {
            Some(login) => format!("signed in to {} as {}", smtp.place(), login.username),
            None => format!("connected to {}, without a login", smtp.place()),
        },
        MailConnection::Graph(graph) => format!("signed in for {}", graph.mailbox.address),
        MailConnection::Folder(folder) => format!("{} can be written", folder.path.display()),
    }
}

/// What can be read of the signatures of the tables that flows use.
pub(super) fn signatures(config: &Config, clock: &Clock, found: &mut Vec<super::Finding>) {
    let used: BTreeSet<&String> = config.flows.values().map(|flow| &flow.table.connection).collect();
    for (name, connection) in config.tables.iter().filter(|(name, _)| used.contains(name)) {
        let Some(signature) = Signature::from_connection(connection) else { continue };
        let mut visit = Visit { about: format!("connection {name}"), found };
        end(&signature, clock.now(), &mut visit);
        match signature.permissions.as_deref() {
            Some(letters) if !letters.contains('r') => {
                let help = "make one with --permissions r, see docs/azure.md".to_owned();
                visit.wrong(format!("the shared access signature reads no rows (sp={letters})"), Some(help));
            }
            Some(letters) if letters.contains(['a', 'u', 'd', 'w', 'c']) => {
                let help =
                    "leadflow only reads: one with --permissions r is enough, see docs/azure.md".to_owned();
                visit.add(
                    Verdict::Well,
                    format!("the shared access signature may do more than read (sp={letters})"),
                    Some(help),
                );
            }
            _ => {}
        }
    }
}

fn end(signature: &Signature, now: Timestamp, visit: &mut Visit<'_>) {
    if let Some(begins) = signature.begins.filter(|begins| *begins > now) {
        let help = format!(
            "wait, or make one that is valid now and put it into {}, see docs/azure.md",
            signature.place
        );
        visit.wrong(format!("the shared access signature is not valid before {begins}"), Some(help));
    }
    let Some(ends) = signature.ends else {
        visit.well("the shared access signature expires with its stored access policy");
        return;
    };
    let left = ends.duration_since(now);
    let days = counted(left.as_hours().unsigned_abs() / 24, "day");
    let renew = format!("make a new one and put it into {}, see docs/azure.md", signature.place);
    if left <= SignedDuration::ZERO {
        visit.wrong(format!("the shared access signature expired at {ends}"), Some(renew));
    } else if left < EXPIRES_SOON {
        visit.wrong(format!("the shared access signature expires at {ends}, in {days}"), Some(renew));
    } else {
        visit.well(format!("the shared access signature expires at {ends}, in {days}"));
    }
}

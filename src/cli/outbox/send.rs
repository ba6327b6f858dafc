//! `leadflow outbox send`.

use std::process::ExitCode;

use anyhow::{anyhow, bail};
use leadflow::config::Loaded;
use leadflow::outbox::{Recipient, RecipientState, Redirect};
use leadflow::store::{OutboxEntry, Request};

use super::super::ask::Doer;
use super::super::{ask, daemon, output};

/// Lets the mail go to other addresses.
pub(super) async fn send(
    loaded: &Loaded,
    mail: i64,
    redirect: &Redirect,
    yes: bool,
) -> anyhow::Result<ExitCode> {
    let before = super::one(loaded, mail).await?;
    if before.message.size.is_none() {
        bail!("the text of mail {mail} is no longer kept; `leadflow replay` mails its rows");
    }
    redirect
        .apply_to(&before.message.recipients)
        .map_err(|reason| anyhow!("mail {mail} is not sent: {reason}"))?;
    if !yes && !before.message.recipients.iter().any(|known| known.dropped().is_some()) {
        let why = format!(
            "no recipient of mail {mail} is held or waiting: it was {}",
            settled(&before.message.recipients)
        );
        let to = redirect.to.join(", ");
        if !ask::can_ask() {
            bail!("{}", output::line(&format!("{why}; --yes sends it again, to {to}")));
        }
        output::print(&output::line(&format!("{why}; it is sent again, to {to}")))?;
        if !ask::is_agreed("")? {
            output::print("nothing was done")?;
            return Ok(ExitCode::FAILURE);
        }
    }
    let doer = ask::ask(loaded, Request::Send(mail, redirect.clone())).await?;
    let after = super::one(loaded, mail).await?;
    if !redirect.to.iter().all(|to| after.message.recipients.iter().any(|known| goes_to(known, to))) {
        bail!("mail {mail} is being sent right now; try again");
    }
    output::print(&text(mail, redirect, &before, &after))?;
    for note in notes(loaded, &before, &after) {
        output::eprint(&output::line(&note));
    }
    if doer == Doer::Here {
        daemon::warn_no_delivery(loaded);
    }
    Ok(ExitCode::SUCCESS)
}

/// Who has the mail, and who was dropped.
fn settled(recipients: &[Recipient]) -> String {
    let of = |state| {
        let all = recipients.iter().filter(|known| known.state == state);
        all.map(|known| known.address.as_str()).collect::<Vec<_>>().join(", ")
    };
    match (of(RecipientState::Sent), of(RecipientState::Dropped)) {
        (sent, none) if none.is_empty() => format!("sent to {sent}"),
        (none, dropped) if none.is_empty() => format!("dropped for {dropped}"),
        (sent, dropped) => format!("sent to {sent}, and dropped for {dropped}"),
    }
}

fn goes_to(known: &Recipient, to: &str) -> bool {
    known.address.eq_ignore_ascii_case(to)
        && !matches!(known.state, RecipientState::Held | RecipientState::Dropped)
}

/// Those that it dropped.
fn given_up<'a>(before: &OutboxEntry, after: &'a OutboxEntry) -> Vec<&'a str> {
    let was_open = |address: &str| {
        before.message.recipients.iter().any(|known| known.address == address && known.dropped().is_some())
    };
    let now = after.message.recipients.iter().filter(|known| known.state == RecipientState::Dropped);
    now.map(|known| known.address.as_str()).filter(|address| was_open(address)).collect()
}

fn text(mail: i64, redirect: &Redirect, before: &OutboxEntry, after: &OutboxEntry) -> String {
    let given_up = match given_up(before, after).as_slice() {
        [] => String::new(),
        [one] => format!("; {one} is dropped"),
        all => format!("; {} are dropped", all.join(", ")),
    };
    let to = redirect.to.join(", ");
    output::line(&format!(
        "mail {mail} is sent to {to}{given_up}; `leadflow outbox show {mail}` shows the result"
    ))
}

/// What flows.toml still says of an address that was dropped.
fn notes(loaded: &Loaded, before: &OutboxEntry, after: &OutboxEntry) -> Vec<String> {
    let config = &loaded.config;
    let of_flow = before.flow.as_ref().map(|name| {
        let recipients = config.flows.get(name).map(|flow| flow.email.recipients());
        (recipients.unwrap_or_default(), format!("[flows.{name}.email]"))
    });
    let (recipients, place) = of_flow.unwrap_or_else(|| {
        let to = config.settings.failures.iter().flat_map(|failures| &failures.to);
        (to.map(|to| to.address.clone()).collect(), "[settings.failures]".to_owned())
    });
    let still =
        given_up(before, after).into_iter().filter(|address| recipients.iter().any(|to| to == address));
    still
        .map(|address| format!("note: {place} of flows.toml still has {address}: correct it there, too"))
        .collect()
}

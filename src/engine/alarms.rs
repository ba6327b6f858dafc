//! Looks at what is wrong, and tells it by the log and a mail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tracing::{error, info, warn};

use crate::alarm::{self, Alarm, Decision, Facts, HeldUp, Kind, Noted};
use crate::compose::alarm_mail::{self, Composed};
use crate::engine::RunContext;
use crate::flow::{Config, TableConnection};
use crate::platform::telemetry::without_addresses;
use crate::services::table::Signature;
use crate::store::{AlarmFacts, NewMessage, StoreError};

/// When the signatures of table connections end, and where each lies.
pub type SignatureEnds = BTreeMap<String, (jiff::Timestamp, String)>;

/// What the engine sees beside the state.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// What is wrong with flows.toml as it is now.
    pub file: Option<Alarm>,
    /// Table connections that hold their flows up.
    pub held_up: Vec<HeldUp>,
    /// When signatures end.
    pub ends: SignatureEnds,
}

/// Everything that is wrong, as the state tells it to a command; `is_running` says whether a daemon is there,
/// which has noted what only it sees.
pub fn standing(facts: &AlarmFacts, config: &Config, is_running: bool, now: jiff::Timestamp) -> Vec<Alarm> {
    let held_up = facts.raised.iter().filter(|raised| is_running && raised.kind == Kind::HeldUp);
    let held_up = held_up.map(|raised| (raised.about.clone(), (raised.since, raised.what.clone())));
    alarm::standing(config, &with_seen(facts, held_up.collect(), ends(config)), now)
}

/// What the state knows, and what is seen beside it.
fn with_seen(facts: &AlarmFacts, held_up: Noted, ends: SignatureEnds) -> Facts {
    Facts {
        flows: facts.flows.clone(),
        connections: facts.connections.clone(),
        planned: facts.planned,
        held_up,
        ends,
    }
}

/// Whether flows use a signature, so that its end is to be read.
pub(crate) fn has_signatures(config: &Config) -> bool {
    let mut tables = config.tables.values();
    tables.any(|table| matches!(table, TableConnection::Azure(azure) if azure.login.secret().is_some()))
}

/// When the signatures of the tables that flows use end. Reads files.
pub(crate) fn ends(config: &Config) -> SignatureEnds {
    let used: BTreeSet<&String> =
        config.flows.values().filter(|flow| flow.enabled).map(|flow| &flow.table.connection).collect();
    let end = |(name, connection): (&String, &TableConnection)| {
        let signature = Signature::of(connection).filter(|_| used.contains(name))?;
        Some((name.clone(), (signature.ends?, signature.place)))
    };
    config.tables.iter().filter_map(end).collect()
}

/// Looks, logs what is new and what is over, and puts the mail that tells it into the outbox.
/// Returns what stands.
///
/// # Errors
/// When the state fails.
pub async fn look_and_tell(
    place: &RunContext,
    config: &Arc<Config>,
    seen: Seen,
) -> Result<Vec<Alarm>, StoreError> {
    let now = place.clock.now();
    let Seen { file, held_up, ends } = seen;
    let held_up = held_up.into_iter().map(|held_up| {
        let what = held_up.words();
        (held_up.connection, (held_up.since, what))
    });
    let facts = place.store.alarm_facts().await?;
    let mut standing = alarm::standing(config, &with_seen(&facts, held_up.collect(), ends), now);
    standing.extend(file);
    if standing.is_empty() && facts.raised.is_empty() {
        return Ok(standing);
    }
    let decision = alarm::decide(standing, facts.raised, config.settings.failures.as_ref(), now);
    let mail = mail(place, config, &decision, now).await;
    place.store.commit_alarms(decision.notice.clone(), mail, now).await?;
    log(&decision);
    Ok(decision.notice.stand)
}

/// The mail that tells what is to be told, if there is anything.
async fn mail(
    place: &RunContext,
    config: &Arc<Config>,
    decision: &Decision,
    now: jiff::Timestamp,
) -> Option<NewMessage> {
    let is_quiet = decision.tell.is_empty() && decision.tell_over.is_empty();
    if is_quiet || config.settings.failures.is_none() {
        return None;
    }
    let config = Arc::clone(config);
    let decision = decision.clone();
    place.runner.run(move || composed(&config, &decision, now)).await.flatten()
}

fn composed(config: &Config, decision: &Decision, now: jiff::Timestamp) -> Option<NewMessage> {
    let failures = config.settings.failures.as_ref()?;
    let from = failures.connections.iter().find_map(|name| config.mails.get(name))?.from();
    let notice = alarm_mail::Notice {
        standing: &decision.tell,
        over: &decision.tell_over,
        from,
        to: &failures.to,
        time_zone: &config.settings.time_zone,
        file: &config.path.display().to_string(),
        now,
    };
    match alarm_mail::compose(&notice) {
        Ok(Composed { subject, message_id, bytes }) => Some(NewMessage {
            connections: failures.connections.clone(),
            sender: from.address.clone(),
            recipients: failures.to.iter().map(|to| to.address.clone()).collect(),
            subject,
            message_id,
            bytes,
            rows: Vec::new(),
        }),
        Err(error) => {
            error!("the mail about a failure cannot be made: {error}");
            None
        }
    }
}

fn log(decision: &Decision) {
    for alarm in &decision.new {
        let title = alarm.kind.title(&alarm.about);
        let kind = alarm.kind.word();
        error!(
            alarm = kind,
            about = alarm.about,
            help = alarm.help,
            "{title}: {}",
            without_addresses(&alarm.what)
        );
    }
    for raised in &decision.over {
        let kind = raised.kind.word();
        info!(alarm = kind, about = raised.about, "{}", raised.kind.end(&raised.about));
    }
    if !decision.tell.is_empty() {
        warn!(problems = decision.tell.len(), "a mail to settings.failures.to tells it");
    }
}

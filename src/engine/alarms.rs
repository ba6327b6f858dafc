//! Looks at what is wrong, and tells it: the log, a mail, the heartbeat.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tracing::{error, info, warn};

use crate::alarm::{self, Alarm, Decision, Facts, HeldUp, Kind, Noted};
use crate::compose::alarm_mail::{self, Composed};
use crate::engine::RunContext;
use crate::flow::{Config, Failures, TableConnection};
use crate::platform::telemetry::without_addresses;
use crate::services::table::Signature;
use crate::store::{NewMail, Store, StoreError};

/// When the signatures of table connections end, and where each lies.
pub type SignatureEnds = BTreeMap<String, (jiff::Timestamp, String)>;

/// What the daemon sees beside the state.
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
///
/// # Errors
/// When the state fails.
pub fn standing(
    store: &Store,
    config: &Config,
    is_running: bool,
    now: jiff::Timestamp,
) -> Result<Vec<Alarm>, StoreError> {
    let raised = if is_running { store.alarms()? } else { Vec::new() };
    let held_up = raised.into_iter().filter(|raised| raised.kind == Kind::HeldUp);
    let held_up = held_up.map(|raised| (raised.about, (raised.since, raised.what))).collect();
    let facts = facts(store, held_up, ends(config))?;
    Ok(alarm::standing(config, &facts, now))
}

fn facts(store: &Store, held_up: Noted, ends: SignatureEnds) -> Result<Facts, StoreError> {
    Ok(Facts {
        flows: store.flow_states()?,
        connections: store.failing_connections()?,
        planned: store.planned()?,
        held_up,
        ends,
    })
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
    let (config, now) = (Arc::clone(config), place.clock.now());
    let work = move |store: &mut Store| {
        let Seen { file, held_up, ends } = seen;
        let held_up = held_up.into_iter().map(|held_up| {
            let what = held_up.words();
            (held_up.connection, (held_up.since, what))
        });
        let facts = facts(store, held_up.collect(), ends)?;
        let mut standing = alarm::standing(&config, &facts, now);
        standing.extend(file);
        let raised = store.alarms()?;
        if standing.is_empty() && raised.is_empty() {
            return Ok(standing);
        }
        let decision = alarm::decide(standing, raised, config.settings.failures.as_ref(), now);
        let mail =
            config.settings.failures.as_ref().and_then(|failures| mail(&config, failures, &decision, now));
        let new_mail = mail.as_ref().map(|(mail, failures, sender, to)| NewMail {
            connections: &failures.connections,
            sender,
            recipients: to,
            subject: mail.subject.clone(),
            message_id: mail.message_id.clone(),
            bytes: mail.bytes.clone(),
            rows: &[],
        });
        store.commit_notice(&decision.notice, new_mail.as_ref(), now)?;
        log(&decision);
        Ok::<_, StoreError>(decision.notice.stand)
    };
    place.store.call(work).await
}

type Mail<'a> = (Composed, &'a Failures, String, Vec<String>);

/// The mail that tells what is to be told, if there is anything.
fn mail<'a>(
    config: &'a Config,
    failures: &'a Failures,
    decision: &Decision,
    now: jiff::Timestamp,
) -> Option<Mail<'a>> {
    let Decision { tell, tell_over, .. } = decision;
    if tell.is_empty() && tell_over.is_empty() {
        return None;
    }
    let from = failures.connections.iter().find_map(|name| config.mails.get(name))?.from();
    let notice = alarm_mail::Notice {
        standing: tell,
        over: tell_over,
        from,
        to: &failures.to,
        time_zone: &config.settings.time_zone,
        file: &config.path.display().to_string(),
        now,
    };
    let to = failures.to.iter().map(|to| to.address.clone()).collect();
    match alarm_mail::compose(&notice) {
        Ok(mail) => Some((mail, failures, from.address.clone(), to)),
        Err(error) => {
            error!("the mail about a failure cannot be made: {error}");
            None
        }
    }
}

fn log(decision: &Decision) {
    for alarm in &decision.new {
        let (title, kind) = (alarm.kind.title(&alarm.about), alarm.kind.word());
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

//! The promise, word for word, against what the writer and the mail servers wrote down.
//!
//! Of leadflow's own state it sees the history's marks at the end, and the baseline that a flow's
//! first run announced.

use std::collections::{BTreeMap, BTreeSet};

use super::mail::{Attempt, Fate, recipient};
use super::nodes::MOST_DIFFERENCE;
use super::story::{HOUR, MINUTE, Plan, Rule};
use super::table::identity;
use super::world::{Scan, State, TABLES, Version, World, moment};
use super::{Kind, Violation, state};
use leadflow::outbox::{self, MAX_BREAKS, MAX_UNCERTAIN_ATTEMPTS};
use leadflow::store::{MessageRecord, Source, StoreError};

/// Holds a history that is over against the promise.
pub(super) fn judge(world: &World) -> Result<(), Violation> {
    let failed = |error: StoreError| Violation::new(Kind::Broken, error.to_string());
    let integrity = state::integrity(&world.store).map_err(&failed)?;
    let marks = state::all_mails(&world.store).map_err(&failed)?;
    if integrity != "ok" {
        return Err(Violation::new(Kind::Broken, format!("the state is damaged: {integrity}")));
    }
    let marks: BTreeMap<i64, MessageRecord> = marks.into_iter().map(|mail| (mail.id, mail)).collect();
    let mut state = world.lock();
    // Where all that is left of a lane breaks each session, one waits for its turn.
    for mail in marks.values().filter(|mail| mail.next_try.is_some() && !world.has_hope(mail)) {
        state.messages.entry(mail.id).or_insert_with(|| world.kept(mail.id));
    }
    for (flow, plan) in world.story.plans.iter().enumerate() {
        let sources = state::at_once(world.store.sources(&plan.name)).map_err(failed)?;
        let baselines = baselines_of(world, &state, flow, &sources)?;
        let owed = Owed { world, state: &state, flow, plan, baselines };
        let count = owed.judge_rows()?;
        owed.judge_order(&marks)?;
        state.counts.owed += count;
    }
    judge_recipients(world, &mut state, &marks)
}

/// The baseline of the flow with each table. It lies one window before the flow was first due to read it, or
/// earlier where that was not to be known.
fn baselines_of(
    world: &World,
    state: &State,
    flow: usize,
    sources: &[Source],
) -> Result<[Option<i64>; TABLES], Violation> {
    let plan = &world.story.plans[flow];
    let mut baselines = [None; TABLES];
    for (table, baseline) in baselines.iter_mut().enumerate() {
        let identity = identity(table);
        let progress =
            sources.iter().find(|source| source.identity == identity).and_then(|source| source.progress);
        *baseline = progress.map(|progress| progress.baseline.as_microsecond());
        let Some((due, by_machine)) = state.flows[flow].tables[table].due else { continue };
        // A clock that was ahead, and nobody who knew it, or could measure when it was set right.
        let is_unknown = state.set_back_unseen.is_some() || state.flows[flow].tables[table].began_dateless;
        let is_known = by_machine - due <= 5 * MINUTE || !is_unknown;
        let due = if is_known { due } else { by_machine };
        // The node that found it due and the one that reads it have clocks of their own.
        let due = if world.is_alone() { due } else { due + MOST_DIFFERENCE };
        if let Some(late) = baseline.filter(|baseline| *baseline > due - plan.window) {
            let message = format!(
                "{} begins with table {table} at {}, later than one window before it was first due at {}",
                plan.name,
                moment(late),
                moment(due)
            );
            return Err(Violation::new(Kind::Lost, message));
        }
        if baseline.is_some_and(|baseline| baseline < world.story.start - plan.window - MOST_EARLY) {
            return Err(Violation::new(Kind::Broken, format!("{} begins far too early", plan.name)));
        }
    }
    if baselines[world.definition(state, flow).table].is_none() {
        return Err(Violation::new(Kind::Broken, format!("{} never began", plan.name)));
    }
    Ok(baselines)
}

/// Where the clock was set back a flow begins as early as a look-back reaches; and it may have been days behind.
const MOST_EARLY: i64 = 14 * 24 * HOUR;

/// What a flow owes its readers.
struct Owed<'a> {
    world: &'a World,
    state: &'a State,
    flow: usize,
    plan: &'a Plan,
    baselines: [Option<i64>; TABLES],
}

impl Owed<'_> {
    /// Every row that has to be mailed was offered, once; none that must not. Returns how many had to.
    fn judge_rows(&self) -> Result<u64, Violation> {
        let mailed = self.judge_offers()?;
        let journal = &self.state.flows[self.flow];
        let mut owed = BTreeSet::new();
        for scan in journal.tables.iter().flat_map(|table| &table.scans) {
            let seen: BTreeSet<String> = (0..self.state.versions.len())
                .filter(|version| self.is_owed_by(*version, scan))
                .map(|version| self.name(version))
                .collect();
            let Rule::AtLeast(least) = self.world.story.files[scan.file][self.flow].rule else { continue };
            let lost: Vec<_> = seen.difference(&mailed).collect();
            if lost.len() >= least {
                return Err(self.violation(
                    Kind::Lost,
                    format!(
                        "never mailed: {lost:?}, which the scan from {} to {} saw",
                        moment(scan.start),
                        moment(scan.end)
                    ),
                ));
            }
            owed.extend(seen.into_iter().filter(|name| mailed.contains(name)));
        }
        if journal.calm_runs == 0 {
            return Err(self.violation(Kind::Broken, "no run ends well any more".to_owned()));
        }
        Ok(owed.len() as u64)
    }

    /// The names of all rows that were offered; each in one mail alone, and none from before the baseline.
    fn judge_offers(&self) -> Result<BTreeSet<String>, Violation> {
        let mut mailed: BTreeMap<String, i64> = BTreeMap::new();
        for (id, message) in self.state.messages.iter().filter(|(_, message)| message.flow == self.flow) {
            if message.bytes.is_empty() {
                return Err(
                    self.violation(Kind::Broken, format!("message {id} was offered with other bytes"))
                );
            }
            for &version in &message.rows {
                let name = self.name(version);
                if self.is_of_before(version) {
                    return Err(
                        self.violation(Kind::Repeated, format!("{name} of before the begin is mailed"))
                    );
                }
                if let Some(other) = mailed.insert(name.clone(), *id) {
                    return Err(
                        self.violation(Kind::Repeated, format!("{name} is in messages {other} and {id}"))
                    );
                }
            }
        }
        Ok(mailed.into_keys().collect())
    }

    /// Rows of a table from before it are not mailed; all of one that was never read.
    fn baseline(&self, table: usize) -> i64 {
        self.baselines[table].unwrap_or(i64::MAX)
    }

    /// What is news once: a row, or each version of it.
    fn name(&self, version: usize) -> String {
        let key = &self.state.versions[version].key;
        if self.plan.is_change { format!("{key} version {version}") } else { key.clone() }
    }

    /// It lies before the baseline, or is a later write to a row that the first run has seen there.
    fn is_of_before(&self, version: usize) -> bool {
        let this = &self.state.versions[version];
        if this.timestamp <= self.baseline(this.table) {
            return true;
        }
        let Some(first) =
            self.state.flows[self.flow].tables[this.table].first.filter(|_| !self.plan.is_change)
        else {
            return false;
        };
        let was_seen = |old: &Version| {
            old.table == this.table
                && old.key == this.key
                && old.timestamp <= self.baseline(old.table)
                && was_there(old, &first)
                && self.matches(old, first.file)
        };
        self.state.versions.iter().any(was_seen)
    }

    /// The scan of this run certainly had the row in sight, and the promise is about it.
    fn is_owed_by(&self, version: usize, scan: &Scan) -> bool {
        let this = &self.state.versions[version];
        let journal = &self.state.flows[self.flow];
        let is_widened = !this.is_plain && journal.is_wide_since.is_some_and(|since| this.timestamp <= since);
        this.table == self.world.story.files[scan.file][self.flow].table
            && was_there(this, scan)
            && this.timestamp > self.baseline(this.table)
            && this.visible - this.timestamp <= self.plan.overlap
            && self.matches(this, scan.file)
            && !is_widened
            && !self.is_excused(this)
            && !journal.skipped.contains(&version)
    }

    /// Where new rows alone are news: a write to a row that stood there before the baseline, or that
    /// was skipped.
    fn is_excused(&self, this: &Version) -> bool {
        let skipped = &self.state.flows[self.flow].skipped;
        let excuses = |(number, old): (usize, &Version)| {
            old.table == this.table
                && old.key == this.key
                && (old.timestamp <= self.baseline(old.table) || skipped.contains(&number))
        };
        !self.plan.is_change && self.state.versions.iter().enumerate().any(excuses)
    }

    fn matches(&self, version: &Version, file: usize) -> bool {
        version.is_plain || self.world.story.files[file][self.flow].is_wide
    }

    /// While nothing had gone wrong, the mails with the same list of connections left in the order in
    /// which they were made.
    fn judge_order(&self, marks: &BTreeMap<i64, MessageRecord>) -> Result<(), Violation> {
        let is_ours = |attempt: &&Attempt| {
            let message = self.state.messages.get(&attempt.message);
            attempt.was_healthy && message.is_some_and(|message| message.flow == self.flow)
        };
        let mut lanes: BTreeMap<&[String], Vec<i64>> = BTreeMap::new();
        for attempt in self.state.attempts.iter().filter(is_ours) {
            let lane = marks.get(&attempt.message).map(|mail| mail.connections.as_slice());
            lanes.entry(lane.unwrap_or_default()).or_default().push(attempt.message);
        }
        match lanes.values().find(|order| !order.is_sorted_by(|a, b| a < b)) {
            None => Ok(()),
            Some(order) => {
                Err(self.violation(Kind::Broken, format!("the mails left in another order: {order:?}")))
            }
        }
    }

    fn violation(&self, kind: Kind, message: impl std::fmt::Display) -> Violation {
        Violation::new(kind, format!("{}: {message}", self.plan.name))
    }
}

/// From before the scan began until after it had ended.
fn was_there(version: &Version, scan: &Scan) -> bool {
    version.visible <= scan.start && version.gone.is_none_or(|gone| gone > scan.end)
}

/// Every recipient got every mail, once or with the mark, and no mark is without a cause.
fn judge_recipients(
    world: &World,
    state: &mut State,
    marks: &BTreeMap<i64, MessageRecord>,
) -> Result<(), Violation> {
    let mut causeless = 0_u32;
    let attempts = std::mem::take(&mut state.attempts);
    for (id, message) in &state.messages {
        let Some(mark) = marks.get(id) else {
            return Err(Violation::new(Kind::Broken, format!("the history does not know message {id}")));
        };
        let of_message: Vec<_> = attempts.iter().filter(|attempt| attempt.message == *id).collect();
        let mut most_causeless = 0;
        for &r in &message.to {
            let found = mark.recipients.iter().find(|found| recipient(&found.address) == Some(r));
            let Some(found) = found else {
                return Err(Violation::new(Kind::Lost, format!("message {id} has no recipient r{r}")));
            };
            let tally = Tally::count(&of_message, r);
            most_causeless = most_causeless.max(found.uncertain.saturating_sub(tally.doubtful));
            let poison = world.story.poison.as_ref();
            let is_hopeless =
                poison.is_some_and(|poison| poison.is_hopeless(&mark.connections, &message.rows, r));
            // Nobody else's sessions are the message's fault.
            let is_broken =
                is_hopeless && found.state == outbox::RecipientState::Held && tally.broken >= MAX_BREAKS;
            let is_worn_out = found.uncertain >= MAX_UNCERTAIN_ATTEMPTS;
            let waits_in_vain = is_hopeless && found.is_due();
            if tally.taken == 0 && !tally.was_refused && !is_worn_out && !is_broken && !waits_in_vain {
                let message = format!(
                    "message {id} was never taken for r{r}, which the history calls {}",
                    found.state.as_str()
                );
                return Err(Violation::new(Kind::Lost, message));
            }
            if found.is_due() && !is_hopeless {
                let message = format!("message {id} is {} for r{r} for ever", found.state.as_str());
                return Err(Violation::new(Kind::Lost, message));
            }
            if tally.taken > found.uncertain + 1 {
                let message = format!(
                    "message {id} was taken {} times for r{r}, {} marked",
                    tally.taken, found.uncertain
                );
                return Err(Violation::new(Kind::Repeated, message));
            }
            state.counts.uncertain += u64::from(found.uncertain > 0);
            state.counts.repeats += u64::from(tally.taken > 1);
            state.counts.held += u64::from(tally.was_refused || is_worn_out);
            state.counts.broken += u64::from(is_broken && !tally.was_refused && !is_worn_out);
        }
        causeless += most_causeless;
    }
    state.counts.mails = state.messages.len() as u64;
    state.counts.tries = attempts.len() as u64;
    // A kill after a mail is called sending and before it is offered leaves its mark, too.
    let kills = state.counts.crashes + state.counts.stalls + state.counts.cuts + state.counts.lapses;
    if u64::from(causeless) > kills * lanes(world) {
        let message = format!("{causeless} marks of uncertainty without a cause; {kills} kills or the like");
        return Err(Violation::new(Kind::Marked, message));
    }
    Ok(())
}

/// Lists of connections, each of which may have a mail under way.
fn lanes(world: &World) -> u64 {
    let all = world.story.files.iter().flatten().map(|definition| &definition.connections);
    all.collect::<BTreeSet<_>>().len() as u64
}

/// What the mail servers know of a message and a recipient.
struct Tally {
    taken: u32,
    was_refused: bool,
    /// Sessions that broke in the middle of the message.
    broken: u32,
    /// Ends of the message whose reply was lost, or may not have been recorded.
    doubtful: u32,
}

impl Tally {
    fn count(attempts: &[&Attempt], r: u8) -> Self {
        let mut tally = Self { taken: 0, was_refused: false, broken: 0, doubtful: 0 };
        for attempt in attempts {
            let fate = attempt.fates.iter().find(|(to, _)| *to == r).map(|(_, fate)| *fate);
            tally.taken += u32::from(matches!(fate, Some(Fate::Taken | Fate::TakenInSilence)));
            tally.was_refused |= fate == Some(Fate::Refused);
            tally.broken += u32::from(attempt.has_broken);
            let is_silent = matches!(fate, Some(Fate::TakenInSilence | Fate::LostInSilence));
            tally.doubtful += u32::from(is_silent || attempt.was_cut);
        }
        tally
    }
}

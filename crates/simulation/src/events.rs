//! What the story has for the machine, its file and the servers, and the calm at its end.

use std::sync::Arc;

use super::process::{End, Machine, Process};
use super::story::{Event, HOUR, MINUTE, Mood};
use super::world::{World, moment};
use super::{Kind, Violation, state};
use leadflow::store::{OutboxEntry, OutboxFilter, Request, StoreError};

/// Within which a mail leaves when nothing fails and none beside it breaks its sessions: two of the longest waits, and
/// some more.
const MOST_WAIT: i64 = 4 * HOUR;
/// The longest turn of a mail that breaks its session, with the rest of its lane after it.
const BROKEN_TURN: i64 = 6 * MINUTE;

impl Machine {
    /// What the story has for this moment; then the calm.
    pub(super) async fn happen(
        &mut self,
        mut process: Option<&mut Process>,
    ) -> Result<Option<End>, Violation> {
        while let Some((_, event)) = self.due_event() {
            self.next_event += 1;
            self.world.lock().log_now(|| format!("{event:?}"));
            match event {
                Event::Restart if process.is_some() => return Ok(Some(End::Stopped)),
                Event::Standstill(length) => {
                    self.world.lock().advance(length);
                    if process.is_some() {
                        return Ok(Some(End::Stopped));
                    }
                }
                event => self.befall(event, process.as_deref_mut()).await?,
            }
        }
        let is_over =
            self.next_event >= self.world.story.events.len() && self.world.lock().now >= self.world.story.end;
        if is_over && self.calm.is_none() {
            self.calm = Some(0);
            self.heal(process).await?;
        }
        Ok(None)
    }

    /// What the story has for this moment while runs are under way. Whether the process is to stop meanwhile.
    pub(super) async fn happen_beside(&mut self, process: &mut Process) -> Result<bool, Violation> {
        while let Some((_, event)) = self.due_event() {
            if matches!(event, Event::Restart | Event::Standstill(_)) {
                return Ok(true);
            }
            self.next_event += 1;
            self.world.lock().log_now(|| format!("{event:?}"));
            self.befall(event, Some(&mut *process)).await?;
        }
        Ok(false)
    }

    fn due_event(&self) -> Option<(i64, Event)> {
        let now = self.world.lock().now;
        self.world.story.events.get(self.next_event).copied().filter(|(at, _)| *at <= now)
    }

    async fn befall(&self, event: Event, process: Option<&mut Process>) -> Result<(), Violation> {
        match event {
            Event::Off(flow) => self.request(Request::Off(self.name(flow)), process).await,
            Event::On(flow) => self.request(Request::On(self.name(flow)), process).await,
            Event::Reload(file) => self.reload(file, process).await,
            Event::Disk(pages) => {
                self.world.lock().disk = pages;
                let limited = state::limit(&self.world.store, pages);
                limited.map_err(|error| Violation::new(Kind::Broken, error.to_string()))
            }
            Event::Offset(_)
            | Event::Dateless(_)
            | Event::Busy(_)
            | Event::Table(..)
            | Event::Mails(..)
            | Event::Crash(_) => {
                let mut state = self.world.lock();
                match event {
                    Event::Offset(offset) => {
                        let old = std::mem::replace(&mut state.hosts[0].offset, offset);
                        if process.is_none() && offset < old {
                            state.set_back_unseen = Some(state.now);
                        }
                        if offset < old {
                            state.set_back = Some(state.now);
                        }
                    }
                    Event::Dateless(is_dateless) => state.is_dateless = is_dateless,
                    Event::Busy(failures) => state.busy = failures,
                    Event::Table(table, failures) => state.table_failures[table] = failures,
                    Event::Mails(server, mood) => state.moods[server] = mood,
                    Event::Crash(steps) => state.hosts[0].countdown = Some(steps),
                    _ => {}
                }
                state.set_clock();
                Ok(())
            }
            Event::Restart | Event::Standstill(_) => Ok(()),
        }
    }

    fn name(&self, flow: usize) -> String {
        self.world.story.plans[flow].name.clone()
    }

    /// A command leaves it, or the process itself, where there is one; on a full disk it fails and the person sees it.
    async fn request(&self, request: Request, process: Option<&mut Process>) -> Result<(), Violation> {
        let left = match process {
            Some(process) => process.engine.request(request, state::WHO_ASKS).await,
            None => self.add_request(request),
        };
        self.endured(left).map(drop)
    }

    fn add_request(&self, request: Request) -> Result<i64, StoreError> {
        let now = moment(self.world.lock().now_by_machine());
        state::at_once(self.world.store.add_request(request, state::WHO_ASKS, now))
    }

    async fn reload(&self, file: usize, process: Option<&mut Process>) -> Result<(), Violation> {
        if let Some(process) = process {
            return self.swap(file, process).await;
        }
        // The next process reads it at its start.
        self.take_file(file);
        Ok(())
    }

    /// As the daemon: all that can fail comes first, and is tried again at the next tick.
    pub(super) async fn swap(&self, file: usize, process: &mut Process) -> Result<(), Violation> {
        let reloaded = process.engine.reload(Arc::clone(&self.configs[file])).await;
        let is_reloaded = self.endured(reloaded)?.is_some();
        process.unread = (!is_reloaded).then_some(file);
        if is_reloaded {
            process.failed.clear();
            self.leave_tables(file);
            self.take_file(file);
        }
        Ok(())
    }

    fn take_file(&self, file: usize) {
        let mut state = self.world.lock();
        let now = state.now;
        let old = state.file;
        state.file = file;
        for (flow, is) in self.world.story.files[file].iter().enumerate() {
            if is.is_wide && !self.world.story.files[old][flow].is_wide {
                state.flows[flow].is_wide_since = Some(now);
            }
        }
    }

    /// From here on nothing fails any more.
    async fn heal(&mut self, mut process: Option<&mut Process>) -> Result<(), Violation> {
        {
            let mut state = self.world.lock();
            state.log_now(|| "all is well from here on".to_owned());
            let old = std::mem::take(&mut state.hosts[0].offset);
            if process.is_none() && old > 0 {
                state.set_back_unseen = Some(state.now);
            }
            if old > 0 {
                state.set_back = Some(state.now);
            }
            state.is_dateless = false;
            state.table_failures.fill(0);
            state.busy = 0;
            state.moods.fill(Mood::default());
            state.hosts[0].countdown = None;
            let after_all = state.last_write().unwrap_or(state.now).max(state.now);
            state.advance_to(after_all);
        }
        self.calm_since = self.world.lock().now;
        self.befall(Event::Disk(None), process.as_deref_mut()).await?;
        for flow in 0..self.world.story.plans.len() {
            let left = self.add_request(Request::On(self.name(flow)));
            self.endured(left)?;
        }
        self.reload(self.world.story.files.len() - 1, process).await
    }

    /// All is well, so no mail that a server would take waits for long, whatever others wait in its lane.
    /// Returns whether one waits at all.
    pub(super) fn judge_waiting(&self) -> Result<bool, Violation> {
        let listed = state::at_once(self.world.store.outbox(OutboxFilter::Open));
        self.world.judge_waiting(self.endured(listed)?.unwrap_or_default(), self.calm_since)
    }
}

impl World {
    /// Of what waits while all is well nothing waits for long that a server would take. Returns whether such a mail waits
    /// at all.
    pub(super) fn judge_waiting(
        &self,
        mut waiting: Vec<OutboxEntry>,
        calm_since: i64,
    ) -> Result<bool, Violation> {
        let state = self.lock();
        let all = waiting.len();
        waiting.retain(|listed| self.has_hope(&listed.message));
        // Each that breaks its session is tried in its turn, and its lane rests after it.
        let most_wait = MOST_WAIT + i64::try_from(all - waiting.len()).unwrap_or_default() * BROKEN_TURN;
        let is_late = |listed: &&OutboxEntry| {
            let since = listed.created.as_microsecond().max(calm_since);
            !listed.message.is_deferred_by_rate && state.now - since > most_wait
        };
        let Some(late) = waiting.iter().find(is_late) else { return Ok(!waiting.is_empty()) };
        let message = format!("mail {} is held up, though its servers would take it", late.message.id);
        Err(Violation::new(Kind::Broken, message))
    }
}

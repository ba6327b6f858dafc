//! Time, which passes when no node has anything to do.

use jiff::Timestamp;
use leadflow::store::OutboxFilter;

use super::super::Violation;
use super::super::host::Host;
use super::super::process::broken;
use super::super::state;
use super::super::story::{HOUR, MINUTE, SECOND};
use super::super::world::{NEVER, State, World};
use super::{Cluster, Node, name_of};

/// The story is over, and all of it is written.
pub(super) fn last_moment(world: &World, state: &State) -> i64 {
    state.last_write().unwrap_or(i64::MIN).max(world.story.end)
}

/// What is nearer than this is waited for.
const SOON: i64 = 4 * SECOND;
/// Moments at which all are at rest before what is due, and does not happen, is waited for.
const MOST_IDLE: u32 = 4;

impl Cluster {
    /// To the next moment at which something is to be done.
    pub(super) fn advance(&mut self) -> Result<(), Violation> {
        let is_at_rest = self.is_at_rest();
        // What is being sent right now does not wait.
        let is_waiting = self.calm.is_some() && is_at_rest && self.is_waiting()?;
        let due = if is_at_rest { self.due()? } else { Vec::new() };
        let mut state = self.world.lock();
        let now = state.now;
        if is_at_rest
            && !is_waiting
            && let Some(rounds) = self.calm
            && state.flows.iter().all(|flow| flow.calm_runs > rounds)
        {
            // Every flow has run, and no mail waits: some hours later, once more.
            self.calm = Some(rounds + 1);
            drop(state);
            return self.jump(now + 9 * HOUR);
        }
        let outside = self.next_outside(&state);
        let is_overdue = due.iter().any(|at| *at <= now - SOON);
        self.idle = if is_overdue { self.idle + 1 } else { 0 };
        let ahead = due.iter().copied().filter(|at| *at > now).chain(outside).min();
        let target = if is_overdue && self.idle <= MOST_IDLE {
            now
        } else if is_overdue {
            // What fails each time is tried now and then, so that the history stays short.
            self.idle = 0;
            let most = if state.busy > 0 { HOUR } else { 20 * MINUTE };
            let later = now + state.dice.i64(MINUTE..most);
            ahead.map_or(later, |ahead| ahead.min(later))
        } else {
            due.into_iter().chain(ahead).min().unwrap_or(now + MINUTE)
        };
        if is_at_rest && target - now > SOON {
            let before = state.dice.i64(SECOND / 2..2 * SECOND);
            drop(state);
            return self.jump(target - before);
        }
        let next = self.next_wake(&state).into_iter().chain(outside).min().unwrap_or(now + SECOND);
        state.advance_to(next.max(now + 1_000));
        drop(state);
        self.wake();
        Ok(())
    }

    /// Whether all who can do something wait for their next tick alone, and nobody waits for the end of a lease.
    fn is_at_rest(&self) -> bool {
        let state = self.world.lock();
        let mut absent = Vec::new();
        for (host, node) in self.nodes.iter().enumerate() {
            let it = &state.hosts[host];
            let is_there = node.process.is_some() && it.stalls_until <= state.now;
            let can_do_nothing = state.busy >= 100 && it.next_tick != NEVER;
            let is_at_rest = (it.is_at_rest || can_do_nothing) && it.wakes.is_empty();
            if is_there && !is_at_rest && it.cut_until <= state.now {
                return false;
            }
            if is_there && it.cut_until <= state.now && state.busy < 100 {
                absent.push(host);
            }
        }
        !state.record.holds_beside(&absent, state.now)
    }

    /// When the next slot of each node comes, and the next mail is to be tried, by their clocks.
    fn due(&self) -> Result<Vec<i64>, Violation> {
        let next_try =
            state::at_once(self.world.store.next_try()).map_err(|error| broken(&error.to_string()))?;
        let state = self.world.lock();
        let there = self.nodes.iter().zip(&state.hosts).filter(|(node, _)| node.process.is_some());
        let of_host = |(_, host): (_, &Host)| {
            let next = [host.next_slot, next_try.map(Timestamp::as_microsecond)];
            next.map(|at| at.map(|at| at - host.offset))
        };
        Ok(there.flat_map(of_host).flatten().collect())
    }

    /// When something comes from outside: an event, a process that starts, the end of a stall.
    fn next_outside(&self, state: &State) -> Option<i64> {
        let rises = self.nodes.iter().filter(|node| node.process.is_none()).map(|node| node.rises_at);
        let cuts = state.hosts.iter().map(|host| host.cut_until).filter(|until| *until > state.now);
        let events = self.events.front().map(|(at, _)| *at);
        let blows = self.blows.front().map(|(at, _)| *at);
        rises.chain(cuts).chain(events).chain(blows).chain(self.end_of_story(state)).min()
    }

    fn end_of_story(&self, state: &State) -> Option<i64> {
        let is_to_come = self.calm.is_none() && self.events.is_empty() && self.blows.is_empty();
        is_to_come.then(|| last_moment(&self.world, state))
    }

    /// When a process goes on with what it waits for, or from where it stands still.
    fn next_wake(&self, state: &State) -> Option<i64> {
        let of_host = |(node, host): (&Node, &Host)| {
            node.process.as_ref()?;
            if host.stalls_until > state.now {
                return Some(host.stalls_until);
            }
            host.wakes.first().copied().into_iter().chain([host.next_tick]).min().filter(|at| *at != NEVER)
        };
        self.nodes.iter().zip(&state.hosts).filter_map(of_host).min()
    }

    /// Nothing happens until then but that nodes renew their leases.
    fn jump(&mut self, to: i64) -> Result<(), Violation> {
        {
            let mut state = self.world.lock();
            let stalls = state.hosts.iter().map(|host| host.stalls_until).filter(|until| *until > state.now);
            let to = stalls.chain([to]).min().unwrap_or(to);
            state.advance_to(to);
            for host in 0..self.nodes.len() {
                let seen = to - state.dice.i64(0..2 * SECOND);
                // Without catch_up a slot is taken only by one who was awake just before it.
                let late = state.dice.i64(0..SECOND / 2);
                let it = &mut state.hosts[host];
                if it.next_tick != NEVER {
                    it.next_tick = to + late;
                }
                let can_beat = self.nodes[host].process.is_some()
                    && it.stalls_until < to
                    && it.cut_until < to
                    && state.busy < 100;
                if can_beat {
                    let renewed = state::renew_lease(&self.world.store, &name_of(host), seen);
                    renewed.map_err(|error| broken(&error.to_string()))?;
                }
            }
            super::record::take(&self.world.store, &mut state, usize::MAX)?;
        }
        self.wake();
        Ok(())
    }

    /// Time has passed.
    pub(super) fn wake(&mut self) {
        let now = self.world.lock().now;
        for node in &mut self.nodes {
            let mut state = self.world.lock();
            let host = &mut state.hosts[node.seat.host];
            host.wakes = host.wakes.split_off(&(now + 1));
            drop(state);
            if let Some(process) = &mut node.process {
                process.is_awake = true;
            }
            node.seat.wake();
        }
    }

    /// Whether a mail waits that a server would take.
    fn is_waiting(&self) -> Result<bool, Violation> {
        let listed = state::at_once(self.world.store.outbox(OutboxFilter::Open));
        let listed = listed.map_err(|error| broken(&error.to_string()))?;
        self.world.judge_waiting(listed, self.calm_since)
    }
}

//! What the story and the fate have for the nodes, and the calm at the end.

use leadflow::history::{Cause, RowRange};
use leadflow::store::Request;

use super::super::process::broken;
use super::super::story::{Event, HOUR, MINUTE, Mood};
use super::super::world::moment;
use super::super::{Violation, state};
use super::Cluster;
use super::advance::last_moment;
use super::fate::{Blow, MOST_OFFSET};

impl Cluster {
    /// What is to happen at this moment; then the calm.
    pub(super) fn happen(&mut self) -> Result<(), Violation> {
        let now = self.world.lock().now;
        while let Some((_, event)) = self.events.pop_front_if(|(at, _)| *at <= now) {
            self.world.lock().log_now(|| format!("{event:?}"));
            self.befall(event)?;
        }
        while let Some((_, blow)) = self.blows.pop_front_if(|(at, _)| *at <= now) {
            self.world.lock().log_now(|| format!("{blow:?}"));
            self.strike(blow)?;
        }
        let last = last_moment(&self.world, &self.world.lock());
        let is_over = self.events.is_empty() && self.blows.is_empty() && now >= last;
        if is_over && self.calm.is_none() {
            self.heal()?;
        }
        Ok(())
    }

    fn befall(&mut self, event: Event) -> Result<(), Violation> {
        let count = self.nodes.len();
        let host = self.world.lock().dice.usize(0..count);
        match event {
            Event::Off(flow) => return self.request(Request::Off(self.name(flow)), host),
            Event::On(flow) => return self.request(Request::On(self.name(flow)), host),
            Event::Reload(file) => self.change_file(file),
            Event::Crash(steps) => return self.strike(Blow::Kill(host, steps)),
            Event::Restart => return self.strike(Blow::Stop(host)),
            Event::Standstill(length) => return self.strike(Blow::Stall(host, 1, length.min(HOUR))),
            Event::Offset(offset) if offset.abs() <= MOST_OFFSET => {
                return self.strike(Blow::Offset(host, offset));
            }
            // The disk is the database's, and a clock that is days off nobody's.
            Event::Disk(_) | Event::Offset(_) => {}
            Event::Dateless(is_dateless) => self.world.lock().is_dateless = is_dateless,
            Event::Busy(failures) => {
                let mut state = self.world.lock();
                state.busy = failures;
                state.was_disturbed = true;
                (0..count).for_each(|host| state.cut_attempts(host));
            }
            Event::Table(table, failures) => self.world.lock().table_failures[table] = failures,
            Event::Mails(server, mood) => self.world.lock().moods[server] = mood,
        }
        Ok(())
    }

    fn strike(&mut self, blow: Blow) -> Result<(), Violation> {
        let mut state = self.world.lock();
        match blow {
            Blow::Kill(host, steps) => state.hosts[host].countdown = Some(steps),
            Blow::Stall(host, steps, length) => {
                let it = &mut state.hosts[host];
                (it.countdown, it.stall) = (Some(steps), Some(length));
            }
            Blow::Cut(host, length) => state.cut_off(host, length),
            Blow::CutAtSend(host, length) => state.hosts[host].cut_at_send = Some(length),
            Blow::LoseAnswer(host, operations) => {
                state.hosts[host].answers_left = Some(operations);
                state.cut_attempts(host);
                state.counts.cuts += 1;
                state.was_disturbed = true;
            }
            Blow::Stop(host) => state.hosts[host].is_to_stop = true,
            Blow::Offset(host, offset) => {
                state.hosts[host].offset = offset;
                state.set_clock();
            }
            Blow::Reload(host, file) => {
                let it = &mut state.hosts[host];
                (it.file, it.unread) = (file, Some(file));
                it.is_at_rest = false;
            }
            Blow::Run(flow) => {
                drop(state);
                let range = RowRange::New;
                return self.request(Request::Run { flow: self.name(flow), cause: Cause::Trigger, range }, 0);
            }
        }
        Ok(())
    }

    fn name(&self, flow: usize) -> String {
        self.world.story.plans[flow].name.clone()
    }

    /// A command leaves it, on this host.
    fn request(&self, request: Request, host: usize) -> Result<(), Violation> {
        let now = {
            let state = self.world.lock();
            moment(state.now + state.hosts[host].offset)
        };
        let left = state::at_once(self.world.store.add_request(request, state::WHO_ASKS, now));
        left.map(drop).map_err(|error| broken(&error.to_string()))
    }

    /// A person brings the file to each host, at different moments.
    fn change_file(&mut self, file: usize) {
        let mut state = self.world.lock();
        for host in 0..self.nodes.len() {
            let most = if state.is_calm { 1 } else { [1, MINUTE, 20 * MINUTE][state.dice.usize(0..3)] };
            let at = state.now + state.dice.i64(0..most);
            let place = self.blows.partition_point(|(other, _)| *other <= at);
            self.blows.insert(place, (at, Blow::Reload(host, file)));
        }
    }

    /// From here on nothing fails any more; clocks still differ.
    fn heal(&mut self) -> Result<(), Violation> {
        self.calm = Some(0);
        {
            let mut state = self.world.lock();
            state.log_now(|| "all is well from here on".to_owned());
            state.is_calm = true;
            state.is_dateless = false;
            state.table_failures.fill(0);
            state.busy = 0;
            state.moods.fill(Mood::default());
            let now = state.now;
            for host in &mut state.hosts {
                (host.countdown, host.stall, host.answers_left) = (None, None, None);
                host.cut_at_send = None;
                host.stalls_until = host.stalls_until.min(now);
                host.cut_until = host.cut_until.min(now);
            }
            self.calm_since = now;
        }
        for node in &mut self.nodes {
            node.rises_at = node.rises_at.min(self.calm_since);
        }
        self.change_file(self.world.story.files.len() - 1);
        for flow in 0..self.world.story.plans.len() {
            self.request(Request::On(self.name(flow)), 0)?;
        }
        self.wake();
        Ok(())
    }
}

//! The place of a process in the world: what its work passes through, where it can be killed, or others go on.

use std::sync::Arc;

use async_trait::async_trait;
use leadflow::platform::blocking::Interruption;
use tokio::sync::Notify;

use super::host::Motion;
use super::nodes;
use super::world::{State, World};

/// What befalls a process at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    GoesOn,
    /// Another of its tasks may go on.
    Yields,
    /// It stands still until it is let go on: another process has its turn, or the machine stands still.
    StandsStill,
    Dies,
}

/// The place of a process on a host.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) world: Arc<World>,
    /// Its number.
    pub(super) host: usize,
    /// It was killed, or stands still.
    has_stopped: Notify,
    goes_on: Notify,
    /// Time has passed.
    time_passed: Notify,
}

impl Seat {
    pub(super) fn new(world: &Arc<World>, host: usize) -> Arc<Self> {
        let world = Arc::clone(world);
        let [has_stopped, goes_on, time_passed] = std::array::from_fn(|_| Notify::new());
        Arc::new(Self { world, host, has_stopped, goes_on, time_passed })
    }

    /// Returns when the process is killed, or stands still.
    pub(super) async fn stopped(&self) {
        self.has_stopped.notified().await;
    }

    /// What stands still goes on.
    pub(super) fn go_on(&self) {
        let host = &mut self.world.lock().hosts[self.host];
        if host.motion == Motion::Halted {
            host.motion = Motion::Moves;
        }
        self.goes_on.notify_waiters();
    }

    /// Who waits for a moment looks at the time.
    pub(super) fn wake(&self) {
        self.time_passed.notify_waiters();
    }

    /// So much time passes. Where there is one process alone nothing else happens meanwhile.
    pub(super) async fn pass(&self, took: i64) {
        let until = {
            let mut state = self.world.lock();
            if self.world.is_alone() {
                state.advance(took);
                return;
            }
            state.now + took
        };
        self.sleep_until(until).await;
    }

    /// Waits for a moment of the true time.
    pub(super) async fn sleep_until(&self, until: i64) {
        self.world.lock().hosts[self.host].wakes.insert(until);
        self.until(|state| state.now >= until).await;
    }

    /// Waits for the next tick.
    pub(super) async fn tick(&self) {
        let host = self.host;
        self.until(|state| state.now >= state.hosts[host].next_tick).await;
    }

    async fn until(&self, is_so: impl Fn(&State) -> bool) {
        loop {
            let passed = self.time_passed.notified();
            if is_so(&self.world.lock()) {
                return;
            }
            passed.await;
        }
    }

    fn step(&self) -> Step {
        let is_alone = self.world.is_alone();
        let mut state = self.world.lock();
        let now = state.now;
        let host = &mut state.hosts[self.host];
        host.steps += 1;
        if host.goes_in_circles() {
            host.motion = Motion::Dead;
        }
        if let Some(left) = &mut host.countdown {
            *left = left.saturating_sub(1);
            if *left == 0 {
                host.countdown = None;
                match host.stall.take() {
                    Some(length) => host.stall_until(now + length),
                    None => host.motion = Motion::Dead,
                }
            }
        }
        match host.motion {
            Motion::Moves => {}
            Motion::Halted => return Step::StandsStill,
            Motion::Dead => return Step::Dies,
        }
        if is_alone {
            return if state.dice.u8(0..5) == 0 { Step::Yields } else { Step::GoesOn };
        }
        match state.dice.u8(0..12) {
            0..=1 => Step::Yields,
            2 => {
                state.hosts[self.host].motion = Motion::Halted;
                Step::StandsStill
            }
            _ => Step::GoesOn,
        }
    }

    async fn stand_still(&self) {
        loop {
            let goes_on = self.goes_on.notified();
            if self.world.lock().hosts[self.host].motion != Motion::Halted {
                return;
            }
            goes_on.await;
        }
    }
}

#[async_trait]
impl Interruption for Seat {
    /// A step at which the process can be killed, or another of its tasks can go on.
    async fn point(&self) {
        nodes::end_fault(&self.world);
        match self.step() {
            Step::GoesOn => {}
            Step::Yields => tokio::task::yield_now().await,
            Step::StandsStill => {
                self.has_stopped.notify_one();
                self.stand_still().await;
            }
            Step::Dies => {
                self.has_stopped.notify_one();
                std::future::pending::<()>().await;
            }
        }
        nodes::begin_fault(&self.world, self.host);
    }

    /// Whether an operation on the state finds it held by another process, or out of reach.
    fn is_state_busy(&self) -> bool {
        let mut state = self.world.lock();
        let host = &state.hosts[self.host];
        let is_dead = host.motion == Motion::Dead;
        if host.cut_until > state.now {
            return true;
        }
        state.busy > 0 && !is_dead && state.dice.u8(0..100) < state.busy
    }

    fn is_answer_lost(&self) -> bool {
        let mut state = self.world.lock();
        let host = &mut state.hosts[self.host];
        let Some(left) = &mut host.answers_left else { return false };
        *left = left.saturating_sub(1);
        let is_lost = *left == 0;
        if is_lost {
            host.answers_left = None;
            let number = self.host;
            state.log_now(|| format!("node {number} does not hear what became of its operation"));
        }
        is_lost
    }
}

//! A machine that processes of leadflow live on, one at a time.

use std::collections::BTreeSet;

use leadflow::platform::clock::DrivenClock;

use super::world::NEVER;

/// Steps of a tick.
const MOST_STEPS: u32 = 20_000;

/// A machine.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) clock: DrivenClock,
    /// The clock against the true time.
    pub(super) offset: i64,
    /// Steps until the process is killed, or stalls.
    pub(super) countdown: Option<u32>,
    /// How long it stalls then.
    pub(super) stall: Option<i64>,
    /// Steps since the last tick.
    pub(super) steps: u32,
    pub(super) motion: Motion,
    /// Attempts before this one were made by earlier processes.
    pub(super) first_attempt: usize,
    /// It stands still until then, whatever happens.
    pub(super) stalls_until: i64,
    /// How often it stood still.
    pub(super) stalls: u32,
    /// The state is out of its reach until then.
    pub(super) cut_until: i64,
    /// It is cut off for so long when it is in the middle of a message.
    pub(super) cut_at_send: Option<i64>,
    /// Operations on the state until the answer to one is lost.
    pub(super) answers_left: Option<u32>,
    /// When its process goes on with what it waits for.
    pub(super) wakes: BTreeSet<i64>,
    pub(super) next_tick: i64,
    /// When a flow of its process is due next, by its own clock.
    pub(super) next_slot: Option<i64>,
    /// Its process does nothing but wait for the next tick.
    pub(super) is_at_rest: bool,
    /// The file that lies there.
    pub(super) file: usize,
    /// Which its process has not read yet.
    pub(super) unread: Option<usize>,
    pub(super) is_to_stop: bool,
}

/// Whether the process of a host goes from step to step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Motion {
    Moves,
    /// It does no step until it is let go on.
    Halted,
    /// It was killed.
    Dead,
}

impl Host {
    pub(super) fn new(clock: DrivenClock, offset: i64) -> Self {
        Self {
            clock,
            offset,
            countdown: None,
            stall: None,
            steps: 0,
            motion: Motion::Moves,
            first_attempt: 0,
            stalls_until: i64::MIN,
            stalls: 0,
            cut_until: i64::MIN,
            cut_at_send: None,
            answers_left: None,
            wakes: BTreeSet::new(),
            next_tick: NEVER,
            next_slot: None,
            is_at_rest: false,
            file: 0,
            unread: None,
            is_to_stop: false,
        }
    }

    /// A new process begins to live.
    pub(super) fn rise(&mut self, attempts: usize) {
        self.steps = 0;
        self.motion = Motion::Moves;
        self.countdown = None;
        self.stall = None;
        self.answers_left = None;
        self.first_attempt = attempts;
        self.wakes.clear();
        self.next_tick = NEVER;
        self.next_slot = None;
        self.is_at_rest = false;
        self.unread = None;
        self.is_to_stop = false;
    }

    /// A tick takes more steps than any does that comes to its end.
    pub(super) fn goes_in_circles(&self) -> bool {
        self.steps > MOST_STEPS
    }

    /// It stands still from here on.
    pub(super) fn stall_until(&mut self, until: i64) {
        self.motion = Motion::Halted;
        self.stalls_until = until;
        self.stalls += 1;
    }
}

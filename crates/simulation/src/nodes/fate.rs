//! What befalls nodes that share a state, from a seed.

use fastrand::Rng;

use crate::story::{HOUR, MINUTE, SECOND, Story};

/// How many there are at most.
pub(crate) const MOST_NODES: usize = 3;

/// What befalls one of them, or all.
#[derive(Debug, Clone, Copy)]
pub(super) enum Blow {
    /// It is killed so many steps later.
    Kill(usize, u32),
    /// It stands still so many steps later, for so long.
    Stall(usize, u32, i64),
    /// It cannot reach the state for so long.
    Cut(usize, i64),
    /// The same, from when it is in the middle of a message.
    CutAtSend(usize, i64),
    /// Of its operations on the state the answer to the one of this number is lost.
    LoseAnswer(usize, u32),
    /// It stops in order, and starts again.
    Stop(usize),
    /// Its clock against the true time.
    Offset(usize, i64),
    /// It reads another file.
    Reload(usize, usize),
    /// A person asks for a run of a flow.
    Run(usize),
}

/// What befalls the nodes of a story, beside what the story has.
#[derive(Debug)]
pub(super) struct Fate {
    /// The clock of each against the true time.
    pub(super) offsets: Vec<i64>,
    pub(super) blows: Vec<(i64, Blow)>,
}

/// How far the clocks of nodes are from the true time.
pub(super) const MOST_OFFSET: i64 = 4 * MINUTE;

impl Fate {
    pub(super) fn from_seed(seed: u64, nodes: usize, story: &Story) -> Self {
        let mut dice = Rng::with_seed(seed ^ 0x1eaf_f10a_0de5_0001);
        let differ = dice.bool();
        let offset = |_| if differ { dice.i64(-MOST_OFFSET..MOST_OFFSET) } else { 0 };
        let offsets = (0..nodes).map(offset).collect();
        let mut blows = Vec::new();
        for _ in 0..dice.u8(0..9) {
            let at = moment(&mut dice, story);
            blows.push((at, blow(&mut dice, nodes, story.plans.len())));
        }
        blows.sort_by_key(|(at, _)| *at);
        Self { offsets, blows }
    }
}

/// How many nodes share the state of a seed.
pub(crate) fn count(seed: u64) -> usize {
    Rng::with_seed(seed ^ 0x1eaf_f10a_0de5_0002).usize(1..=MOST_NODES)
}

/// Often close to a slot, where nodes are at work.
fn moment(dice: &mut Rng, story: &Story) -> i64 {
    let at = match story.plans.first() {
        Some(_) if dice.u8(0..4) != 0 => {
            let minutes = story.files[0].iter().map(|flow| flow.minutes).min().unwrap_or(60);
            let base = minutes * MINUTE;
            let slots = ((story.end - story.start) / base).max(1);
            story.start + base * dice.i64(0..=slots) + dice.i64(-10 * SECOND..30 * SECOND)
        }
        _ => dice.i64(story.start..story.end),
    };
    at.clamp(story.start, story.end - 1)
}

fn blow(dice: &mut Rng, nodes: usize, flows: usize) -> Blow {
    let node = dice.usize(0..nodes);
    match dice.u8(0..24) {
        0..=4 => Blow::Kill(node, dice.u32(1..60)),
        5..=10 => Blow::Stall(node, dice.u32(1..60), stall(dice)),
        11..=12 => Blow::Cut(node, cut(dice)),
        13..=14 => Blow::CutAtSend(node, cut(dice)),
        15..=16 => Blow::Stop(node),
        18..=21 => Blow::LoseAnswer(node, dice.u32(1..40)),
        17 => Blow::Offset(node, dice.i64(-MOST_OFFSET..MOST_OFFSET)),
        _ => Blow::Run(dice.usize(0..flows)),
    }
}

/// Some end before the lease does.
fn stall(dice: &mut Rng) -> i64 {
    match dice.u8(0..6) {
        0 => dice.i64(SECOND..10 * SECOND),
        1..=4 => dice.i64(10 * SECOND..MINUTE),
        _ => dice.i64(MINUTE..HOUR),
    }
}

fn cut(dice: &mut Rng) -> i64 {
    match dice.u8(0..6) {
        0 => dice.i64(SECOND..8 * SECOND),
        1..=4 => dice.i64(8 * SECOND..40 * SECOND),
        _ => dice.i64(MINUTE..20 * MINUTE),
    }
}

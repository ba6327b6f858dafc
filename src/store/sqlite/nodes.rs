//! Who works on the state, and what is taken over from those who are gone.
//!
//! A claim of a run or of a mail bears its owner, which is another one each time a process joins: who comes late with
//! what it had claimed before it was taken over moves nothing any more. Where the lease of an owner is the lock of the
//! state folder, no clock ends it.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use super::flows::clock_went_back;
use super::identity::{count_schedule, on_time_since};
use super::outbox::mark_uncertain;
use super::runs::interrupt_runs;
use super::{Database, Failure, from_db, to_db};
use crate::platform::clock::SET_BACK;
use crate::platform::faults::crash_point;
use crate::store::{Beat, LEASE, NewNode, NodeRecord, StoreError, TakenOver};

/// The time in which leases end, in microseconds since 1970.
pub type LeaseClock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Nobody who bears this owner is there any more; of a run or a mail, and for `?1` as the owner who asks.
pub(super) const IS_OF: &str = "iif(?1 IS NULL, coalesce(owner, '') NOT IN (SELECT owner FROM nodes WHERE \
                                owner IS NOT NULL), owner = ?1)";

impl Database {
    /// Joins, and takes over from who is gone, all or nothing.
    pub(crate) fn take_over(&mut self, node: &NewNode, now: Timestamp) -> Result<TakenOver, Failure> {
        let clock = self.lease_now();
        let tx = self.db.transaction()?;
        // A lease that it has itself does not keep a process from joining anew.
        let held =
            "SELECT 1 FROM nodes WHERE name = ?1 AND owner IS NOT NULL AND owner != ?3 AND lease_until > ?2";
        if clock.is_some() && tx.prepare(held)?.exists(params![node.name, clock, self.owner])? {
            return Err(StoreError::NameHeld(node.name.clone()).into());
        }
        end_leases(&tx, clock)?;
        let is_alone = !tx
            .prepare("SELECT 1 FROM nodes WHERE owner IS NOT NULL AND name != ?1")?
            .exists([&node.name])?;
        // While others work on the state, its moments are theirs, whatever this machine's clock says.
        if is_alone && last_moment(&tx)?.is_some_and(|last| last.duration_since(now) > SET_BACK) {
            clock_went_back(&tx, None, now)?;
        }
        let at = clock.unwrap_or(to_db(now));
        let join = "INSERT OR REPLACE INTO nodes (name, owner, lease_until, joined, seen, version, digest)
                    VALUES (?1, lower(hex(randomblob(8))), ?2, ?3, ?3, ?4, ?5) RETURNING owner";
        let owner = tx.query_row(
            join,
            params![node.name, clock.map(end_of_lease), at, node.version, node.digest],
            |row| row.get(0),
        )?;
        let taken_over = take_over_from_the_gone(&tx, now)?;
        tx.commit()?;
        self.owner = owner;
        crash_point("mails-doubted");
        Ok(taken_over)
    }

    /// Renews the lease, and takes over from who is gone, all or nothing.
    pub(crate) fn beat(&mut self, digest: &str, now: Timestamp) -> Result<Beat, Failure> {
        let clock = self.lease_now();
        let tx = self.db.transaction()?;
        let renew =
            "UPDATE nodes SET lease_until = ?2, seen = coalesce(?3, ?4), digest = ?5 WHERE owner = ?1";
        let of_now = params![self.owner, clock.map(end_of_lease), clock, to_db(now), digest];
        if tx.prepare_cached(renew)?.execute(of_now)? == 0 {
            return Err(StoreError::TakenOver.into());
        }
        let is_anybody_gone = clock.is_some() && end_leases(&tx, clock)? > 0;
        let taken_over =
            if is_anybody_gone { take_over_from_the_gone(&tx, now)? } else { TakenOver::default() };
        let learn = "SELECT (SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'schedule'),
                EXISTS (SELECT 1 FROM requests WHERE run IS NULL AND answer IS NULL),
                (SELECT min(next_try) FROM mails WHERE next_try IS NOT NULL AND sending = 0),
                (SELECT owner FROM nodes WHERE owner IS NOT NULL ORDER BY joined, name LIMIT 1) = ?1";
        let beat = tx.prepare_cached(learn)?.query_row([&self.owner], |row| {
            Ok(Beat {
                taken_over,
                schedule: row.get(0)?,
                has_requests: row.get(1)?,
                next_try: row.get::<_, Option<i64>>(2)?.map(from_db),
                is_first: row.get(3)?,
            })
        })?;
        tx.commit()?;
        Ok(beat)
    }

    /// Ends in order; what is under way all the same is the others' at once. What planners of others follow from may be
    /// what this one alone knew.
    pub(crate) fn leave(&mut self) -> Result<(), Failure> {
        let clock = self.lease_now();
        let tx = self.db.transaction()?;
        let has_work = "SELECT 1 FROM runs WHERE outcome = 'running' AND owner = ?1
                        UNION ALL SELECT 1 FROM mails WHERE owner = ?1";
        let end = if clock.is_some() && tx.prepare(has_work)?.exists([&self.owner])? {
            "UPDATE nodes SET lease_until = 0 WHERE owner = ?1"
        } else {
            "DELETE FROM nodes WHERE owner = ?1"
        };
        tx.execute(end, [&self.owner])?;
        count_schedule(&tx)?;
        tx.commit()?;
        Ok(())
    }

    /// The nodes that have joined and did not leave, by name.
    pub(crate) fn nodes(&self) -> Result<Vec<NodeRecord>, Failure> {
        let ask = "SELECT name, version, digest, joined, seen,
                owner IS NOT NULL AND (lease_until IS NULL OR ?1 IS NULL OR lease_until > ?1)
            FROM nodes ORDER BY name";
        let found = |row: &Row<'_>| {
            Ok(NodeRecord {
                node: NewNode { name: row.get(0)?, version: row.get(1)?, digest: row.get(2)? },
                joined: from_db(row.get(3)?),
                seen: from_db(row.get(4)?),
                is_alive: row.get(5)?,
            })
        };
        Ok(self.db.prepare(ask)?.query_map([self.lease_now()], found)?.collect::<Result<_, _>>()?)
    }

    /// Forgets a node that is not alive.
    pub(crate) fn forget_node(&mut self, name: &str) -> Result<bool, Failure> {
        let forget = "DELETE FROM nodes WHERE name = ?1 AND owner IS NULL";
        Ok(self.db.execute(forget, [name])? > 0)
    }

    /// Now in the time of leases; `None` where they have no end.
    pub(super) fn lease_now(&self) -> Option<i64> {
        self.lease_clock.as_ref().map(|clock| clock())
    }
}

/// That the owner's lease holds at `clock`.
pub(super) fn check_owner(db: &Connection, owner: &str, clock: Option<i64>) -> Result<(), Failure> {
    let ask = "SELECT 1 FROM nodes WHERE owner = ?1 AND (lease_until IS NULL OR lease_until > ?2)";
    let holds = db.prepare_cached(ask)?.exists(params![owner, clock])?;
    if holds { Ok(()) } else { Err(StoreError::TakenOver.into()) }
}

fn end_of_lease(clock: i64) -> i64 {
    clock + i64::try_from(LEASE.as_micros()).unwrap_or_default()
}

/// Those whose lease has ended own nothing any more; all, where there is no clock: who asks has the lock. Returns how
/// many.
fn end_leases(tx: &Transaction<'_>, clock: Option<i64>) -> rusqlite::Result<usize> {
    let end = "UPDATE nodes SET owner = NULL, lease_until = NULL
               WHERE owner IS NOT NULL AND (?1 IS NULL OR lease_until <= ?1)";
    tx.prepare_cached(end)?.execute([clock])
}

fn take_over_from_the_gone(tx: &Transaction<'_>, now: Timestamp) -> Result<TakenOver, Failure> {
    let runs = interrupt_runs(tx, None, now)?;
    crash_point("runs-interrupted");
    let messages = mark_uncertain(tx, None, now)?;
    give_back(tx, None)?;
    count_schedule(tx)?;
    Ok(TakenOver { runs, messages })
}

/// Mails in the hands of this owner, or of those who are gone, that no server has heard of are nobody's.
pub(super) fn give_back(tx: &Transaction<'_>, owner: Option<&str>) -> rusqlite::Result<()> {
    let give = format!("UPDATE mails SET owner = NULL WHERE owner IS NOT NULL AND sending = 0 AND {IS_OF}");
    tx.execute(&give, [owner]).map(drop)
}

/// The last moment that the state speaks of: it is past, unless the clock was set back since.
fn last_moment(db: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let run = "SELECT coalesce(ended, started) FROM runs ORDER BY id DESC LIMIT 1";
    let run: Option<i64> = db.query_row(run, [], |row| row.get(0)).optional()?;
    Ok(on_time_since(db)?.max(run.map(from_db)))
}

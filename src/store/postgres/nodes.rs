//! Who works on the state, and what is taken over from those who are gone.
//!
//! A claim of a run or of a mail bears its owner: the process of a node, by the name that it got when it joined. It is
//! the owner as long as its lease lasts, in the time of the database. A transaction that makes or ends a claim holds the
//! row of its node; so does who takes over. One of them waits for the other and sees what it has done.

use jiff::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use super::claims::interrupt_runs_of;
use super::flows::clock_went_back;
use super::identity::{count_schedule, on_time_since};
use super::outbox::{give_back, mark_uncertain};
use super::{Client, Db, Failure, Postgres, Transaction, execute, from_db, maybe_row, row, rows, text};
use crate::platform::clock::SET_BACK;
use crate::platform::faults::crash_point;
use crate::store::{Beat, LEASE, NewNode, NodeRecord, StoreError, TakenOver};

/// The server's time, in which leases end.
macro_rules! clock {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    };
}

/// The row of an owner whose lease holds. It cannot be taken over before the end of the transaction.
const CHECK_OWNER: &str =
    concat!("SELECT 1 FROM nodes WHERE owner = $1 AND lease_until > ", clock!(), " FOR KEY SHARE");

/// Where nobody has the name, or who had it did not renew its lease, or has it itself and joins anew.
const JOIN: &str = concat!(
    "INSERT INTO nodes (name, owner, lease_until, joined, seen, version, digest)
     SELECT $1, $2, now + $3, now, now, $4, $5 FROM (SELECT ",
    clock!(),
    " AS now) AS clock
     ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, lease_until = excluded.lease_until, joined = excluded.joined,
         seen = excluded.seen, version = excluded.version, digest = excluded.digest
     WHERE nodes.owner IS NULL OR nodes.owner = $6 OR nodes.lease_until <= excluded.seen RETURNING 1"
);

/// Those who did not renew their leases own nothing any more. Who has a transaction under way is looked at later.
const END_LEASES: &str = concat!(
    "UPDATE nodes SET owner = NULL, lease_until = NULL WHERE name IN (
         SELECT name FROM nodes WHERE owner <> $1 AND lease_until <= ",
    clock!(),
    " FOR UPDATE SKIP LOCKED)"
);

/// Renews a lease and tells what a node follows. All of it is as it was when the statement began, but the lease.
const BEAT: &str = concat!(
    "WITH clock AS (SELECT ",
    clock!(),
    " AS now),
    renewed AS (UPDATE nodes SET lease_until = now + $2, seen = now, digest = $3 FROM clock WHERE owner = $1 RETURNING 1)
    SELECT (SELECT count(*) FROM renewed),
        (SELECT count(*) FROM nodes, clock WHERE owner <> $1 AND lease_until <= now),
        (SELECT value::bigint FROM meta WHERE name = 'schedule'),
        EXISTS (SELECT 1 FROM requests WHERE run IS NULL AND answer IS NULL),
        (SELECT min(next_try) FROM mails WHERE next_try IS NOT NULL AND NOT sending),
        (SELECT owner FROM nodes, clock WHERE owner = $1 OR lease_until > now ORDER BY joined, name LIMIT 1) = $1"
);

/// Owners who are gone, and have something under way.
const GONE: &str = "SELECT owner FROM (SELECT owner FROM runs WHERE outcome = 'running'
        UNION SELECT owner FROM mails WHERE owner IS NOT NULL) AS claims
    WHERE NOT EXISTS (SELECT 1 FROM nodes WHERE nodes.owner = claims.owner)";

const NODES: &str = concat!(
    "SELECT name, version, digest, joined, seen, owner IS NOT NULL AND lease_until > ",
    clock!(),
    " FROM nodes ORDER BY name"
);

impl Postgres {
    /// Joins, and takes over from who is gone.
    pub(in crate::store) async fn take_over(
        &self,
        node: NewNode,
        now: Timestamp,
    ) -> Result<TakenOver, StoreError> {
        let owner = Uuid::new_v4().simple().to_string();
        let new = owner.clone();
        let taken_over = self.call(async move |db| db.take_over(&node, &new, now).await).await?;
        self.set_owner(&owner);
        crash_point("mails-doubted");
        Ok(taken_over)
    }
}

impl Client {
    async fn take_over(&mut self, node: &NewNode, owner: &str, now: Timestamp) -> Result<TakenOver, Failure> {
        let NewNode { name, version, digest } = node;
        let before = self.owner.clone();
        let tx = self.transaction().await?;
        let joined =
            maybe_row(&tx, JOIN, &[&text(name), &owner, &lease(), version, digest, &&*before]).await?;
        if joined.is_none() {
            return Err(StoreError::NameHeld(name.clone()).into());
        }
        execute(&tx, END_LEASES, &[&owner]).await?;
        let alone = "SELECT NOT EXISTS (SELECT 1 FROM nodes WHERE owner <> $1)";
        let is_alone: bool = row(&tx, alone, &[&owner]).await?.get(0);
        // While others work on the state, its moments are theirs, whatever this machine's clock says.
        if is_alone && last_moment(&tx).await?.is_some_and(|last| last.duration_since(now) > SET_BACK) {
            clock_went_back(&tx, None, now).await?;
        }
        let taken_over = take_over_from_the_gone(&tx, now).await?;
        tx.commit().await?;
        Ok(taken_over)
    }

    /// Renews the lease, and takes over from who is gone.
    pub(in crate::store) async fn beat(&mut self, digest: &str, now: Timestamp) -> Result<Beat, Failure> {
        let owner = self.owner.clone();
        let (beat, is_anybody_gone) = self.renew(&owner, digest).await?;
        if !is_anybody_gone {
            return Ok(beat);
        }
        let tx = self.transaction().await?;
        check_owner(&tx, &owner).await?;
        // Of several who find it, one has it to do.
        if execute(&tx, END_LEASES, &[&&*owner]).await? == 0 {
            return Ok(beat);
        }
        let taken_over = take_over_from_the_gone(&tx, now).await?;
        tx.commit().await?;
        let (beat, _) = self.renew(&owner, digest).await?;
        Ok(Beat { taken_over, ..beat })
    }

    /// Renews the lease. Returns whether the lease of another has ended, too.
    async fn renew(&self, owner: &str, digest: &str) -> Result<(Beat, bool), Failure> {
        let learned = row(self, BEAT, &[&owner, &lease(), &digest]).await?;
        if learned.get::<_, i64>(0) == 0 {
            return Err(StoreError::TakenOver.into());
        }
        let beat = Beat {
            taken_over: TakenOver::default(),
            schedule: learned.get(2),
            has_requests: learned.get(3),
            next_try: learned.get::<_, Option<i64>>(4).map(from_db),
            is_first: learned.get::<_, Option<bool>>(5) == Some(true),
        };
        Ok((beat, learned.get::<_, i64>(1) > 0))
    }

    /// Ends in order; what it leaves behind others take over. What planners of others follow from may be what this one
    /// alone knew.
    pub(in crate::store) async fn leave(&mut self) -> Result<(), Failure> {
        let owner = self.owner.clone();
        let tx = self.transaction().await?;
        let has_work = "SELECT EXISTS (SELECT 1 FROM runs WHERE outcome = 'running' AND owner = $1)
            OR EXISTS (SELECT 1 FROM mails WHERE owner = $1)";
        let has_work: bool = row(&tx, has_work, &[&&*owner]).await?.get(0);
        let end = if has_work {
            "UPDATE nodes SET lease_until = 0 WHERE owner = $1"
        } else {
            "DELETE FROM nodes WHERE owner = $1"
        };
        execute(&tx, end, &[&&*owner]).await?;
        count_schedule(&tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The nodes that have joined and did not leave, by name.
    pub(in crate::store) async fn nodes(&self) -> Result<Vec<NodeRecord>, Failure> {
        let record = |row: &Row| NodeRecord {
            node: NewNode { name: row.get(0), version: row.get(1), digest: row.get(2) },
            joined: from_db(row.get(3)),
            seen: from_db(row.get(4)),
            is_alive: row.get(5),
        };
        Ok(rows(self, NODES, &[]).await?.iter().map(record).collect())
    }

    /// Forgets a node that is not alive.
    pub(in crate::store) async fn forget_node(&self, name: &str) -> Result<bool, Failure> {
        let forget = "DELETE FROM nodes WHERE name = $1 AND owner IS NULL";
        Ok(execute(self, forget, &[&text(name)]).await? > 0)
    }
}

/// How long a lease holds, in microseconds.
fn lease() -> i64 {
    i64::try_from(LEASE.as_micros()).unwrap_or_default()
}

/// That this owner has not been taken over, nor its lease ended; and that neither happens before the end of the
/// transaction.
pub(super) async fn check_owner(db: &impl Db, owner: &str) -> Result<(), Failure> {
    let found = maybe_row(db, CHECK_OWNER, &[&owner]).await?;
    if found.is_some() { Ok(()) } else { Err(StoreError::TakenOver.into()) }
}

async fn take_over_from_the_gone(tx: &Transaction<'_>, now: Timestamp) -> Result<TakenOver, Failure> {
    let gone: Vec<String> = rows(tx, GONE, &[]).await?.iter().map(|row| row.get(0)).collect();
    let runs = interrupt_runs_of(tx, &gone, now).await?;
    crash_point("runs-interrupted");
    let messages = mark_uncertain(tx, &gone, now).await?;
    give_back(tx, &gone).await?;
    count_schedule(tx).await?;
    Ok(TakenOver { runs, messages })
}

/// The last moment that the state speaks of: it is past, unless the clock was set back since.
async fn last_moment(db: &impl Db) -> Result<Option<Timestamp>, Failure> {
    let run = "SELECT coalesce(ended, started) FROM runs ORDER BY id DESC LIMIT 1";
    let run = maybe_row(db, run, &[]).await?.map(|row| from_db(row.get(0)));
    Ok(on_time_since(db).await?.max(run))
}

//! Random kills under steady inserts: 50 of them, or `LEADFLOW_SOAK_KILLS`, which `scripts/soak`
//! sets.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::azurite::Table;
use crate::support::flows_toml::guide;
use crate::support::leadflow::Sandbox;
use crate::support::leads::{keys, leads};
use crate::support::mail_server::MailServer;
use crate::support::{eventually, oracle};

/// Between two rows.
const PACE: Duration = Duration::from_millis(150);

/// The guide's flow each second, which re-reads a minute.
fn sandbox(table: &Table, port: u16) -> Sandbox {
    let flow = guide(&table.name, port).every("second").more("per_hour = 100000").to_string();
    let window = "unit = \"minute\"\ninterval = 1\noverlap = \"1 minute\"";
    let flow = flow.replace("unit = \"hour\"\ninterval = 1", window);
    Sandbox::with_azurite(flow.replace("per_minute = 1000", "per_minute = 10000"))
}

/// Two short lives, then one that is long enough for some work: a mail whose end gets no reply three
/// times is held for a person, which is another test's matter.
fn life(number: usize) -> Duration {
    let dice = RandomState::new().hash_one(number);
    let shortest = if number % 3 == 2 { 700 } else { 20 };
    Duration::from_millis(shortest + dice % 1_500)
}

#[test]
fn case_02_random_kills_under_steady_inserts() {
    let kills: usize = std::env::var("LEADFLOW_SOAK_KILLS").map_or(50, |kills| kills.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (table, server) = (runtime.block_on(Table::create()), MailServer::start(&["--delay-data", "200"]));
    let sandbox = sandbox(&table, server.port);
    // Rows count from the flow's begin on.
    sandbox.run_once();
    let (count, is_over, began) = (AtomicUsize::new(0), AtomicBool::new(false), Instant::now());
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let number = count.load(Ordering::Relaxed);
                runtime.block_on(table.insert(&leads(number..number + 1)));
                count.store(number + 1, Ordering::Relaxed);
                thread::sleep(PACE);
            }
        });
        for number in 0..kills {
            let mut daemon = sandbox.daemon_with(&[]);
            thread::sleep(life(number));
            assert!(!daemon.has_ended(), "it ended by itself: {}", daemon.log());
            daemon.signal("KILL");
            daemon.wait();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let written = keys(0..count.into_inner());
    let daemon = sandbox.daemon();
    daemon.wait_for_log("nothing-new");
    let waiting = || sandbox.json(&["list", "--json"])[0]["waiting_mails"].clone();
    eventually("the outbox to be empty", || (waiting() == 0).then_some(()));
    assert!(daemon.stop().success());
    let tally = oracle::check(&sandbox, &written, &server.mails());
    eprintln!(
        "soak: {kills} kills -9 and as many restarts in {} s · {} rows written · {} runs · {} mails, {} messages \
         taken · {} uncertain marks · {} repeats, all marked · {} rows held · 0 lost · integrity ok",
        began.elapsed().as_secs(),
        tally.rows,
        tally.runs,
        tally.mails,
        tally.taken,
        tally.uncertain,
        tally.repeats,
        tally.held,
    );
}

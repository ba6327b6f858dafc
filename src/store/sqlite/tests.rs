//! The database's files, its schema, and the conformance suite on it.

use rusqlite_migration::Migrations;

use super::open::MIGRATIONS;
use super::*;
use crate::store::conformance::{State, conforms};
use crate::store::contents::TABLES;
use crate::store::{NewNode, Store};

/// A state folder.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl State for Folder {
    async fn open(&self) -> Store {
        Store::open(self.0.path()).unwrap()
    }
}

conforms!(Folder::new());

/// A database that several processes share, as they are played.
struct Played(Store);

impl State for Played {
    async fn open(&self) -> Store {
        self.0.for_another()
    }
}

mod nodes {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::Played;
    use crate::store::Store;
    use crate::store::conformance::conforms_for_nodes;

    /// One whose clock goes on with each look.
    fn played() -> Played {
        let clock = AtomicI64::new(1_000_000);
        Played(Store::of_nodes(Arc::new(move || clock.fetch_add(1, Ordering::Relaxed))).unwrap())
    }

    conforms_for_nodes!(played());
}

#[test]
fn migrations_are_sound() {
    Migrations::from_slice(&MIGRATIONS).validate().unwrap();
}

#[test]
fn every_table_of_the_schema_is_looked_for() {
    let database = Database::in_memory().unwrap();
    let names = "SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_schema WHERE type = 'table' \
                 AND name NOT LIKE 'sqlite%' ORDER BY name)";
    assert_eq!(database.raw(names).unwrap(), Some(TABLES.join(" ")));
}

#[test]
fn a_second_lock_is_refused_and_the_first_one_frees_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let lock = Lock::take(folder.path(), &Owner::Daemon).unwrap();
    let error = Lock::take(folder.path(), &Owner::Daemon).unwrap_err();
    assert!(error.to_string().starts_with("another leadflow uses"), "{error}");
    drop(lock);
    Lock::take(folder.path(), &Owner::Daemon).unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Store::open(&file.join("state")).unwrap_err().to_string();
    assert!(error.contains("file/state") && error.contains("settings.state"), "{error}");
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let db = Connection::open(folder.path().join("leadflow.db")).unwrap();
    db.execute_batch("CREATE TABLE theirs (x)").unwrap();
    for error in [Store::open(folder.path()).unwrap_err(), Store::open_to_read(folder.path()).unwrap_err()] {
        assert!(error.to_string().contains("is not a leadflow state"), "{error}");
    }
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn a_database_of_the_first_schema_is_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let db = Connection::open(folder.path().join("leadflow.db")).unwrap();
    db.execute_batch(include_str!("migrations/1.sql")).unwrap();
    db.execute_batch(
        "PRAGMA user_version = 1;
         INSERT INTO flows (name, anchor) VALUES ('leads', 1);
         INSERT INTO runs (flow, cause, started, ended, outcome) VALUES (1, 'once', 2, 3, 'sent'), (1, 'once', 4, 5, 'failed');
         INSERT INTO mails (run, connections, sender, subject, message_id, bytes, created, tries, next_try)
             VALUES (1, '[\"relay\"]', 'a@b.example', 's', '<1>', x'00', 3, 1, 7);
         INSERT INTO recipients (mail, position, address, state) VALUES (1, 0, 'c@d.example', 'waiting');",
    )
    .unwrap();
    drop(db);
    let mut store = Database::open(folder.path()).unwrap();
    store.take_over(&NewNode::default(), from_db(8)).unwrap();
    let state = store.flow_states().unwrap().remove("leads").unwrap();
    assert_eq!((state.failures, state.last_read), (1, Some(from_db(3))));
    let lane = store.due_lanes(from_db(9)).unwrap().remove(0);
    let mail = store.next_message(&lane, from_db(9)).unwrap().unwrap();
    assert_eq!((mail.run, mail.flow.as_deref(), mail.recipients.len()), (Some(1), Some("leads"), 1));
    assert_eq!(store.identity().unwrap().len(), 32);
}

#[test]
fn a_state_that_another_process_makes_at_this_moment_is_ours() {
    let folder = tempfile::tempdir().unwrap();
    let made = Database::open(folder.path()).unwrap();
    let read_before = 0;
    open::check_is_ours(folder.path(), &made.db, read_before).unwrap();
}

#[test]
fn many_may_open_a_new_state_at_once() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let open = || Database::open(folder.path()).map(drop);
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
            for one in all {
                one.join().unwrap().unwrap();
            }
        });
    }
}

#[tokio::test]
async fn a_copy_is_whole_and_never_overwrites() {
    let folder = Folder::new();
    let store = folder.open().await;
    let identity = store.identity().await.unwrap();
    let copy = folder.0.path().join("copy/leadflow.db");
    std::fs::create_dir(copy.parent().unwrap()).unwrap();
    store.back_up(&copy).await.unwrap();
    assert!(store.back_up(&copy).await.is_err());
    let restored = Store::open(copy.parent().unwrap()).unwrap();
    assert_eq!(restored.verify().await.unwrap(), identity);
}

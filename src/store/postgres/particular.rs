//! What is particular to a server: its tables and those of others, its copies, and transactions of others under way.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use leadflow_test_postgres::{Database, SUPERUSER, shared};
use tokio_postgres::{Client, NoTls};

use crate::flow::{PostgresConnection, PostgresCredential, PostgresServer};
use crate::outbox::RecipientState;
use crate::store::contents::TABLES;
use crate::store::{IsFound, Kind, NewNode, Place, QueuedRequest, Request, Store, StoreError};

const NAME: &str = "Ada Lovelace";

fn naming() -> IsFound {
    Arc::new(|text: &str| text.contains(NAME))
}

async fn open(database: &Database, user: &str) -> Store {
    let server = PostgresServer::Named {
        host: database.cluster().socket().display().to_string(),
        port: database.cluster().port,
        database: database.name.clone(),
        user: user.to_owned(),
        credential: PostgresCredential::None,
    };
    let connection = PostgresConnection { server, ca_file: None, node: "here".to_owned() };
    Store::connect(&connection, None).await.unwrap()
}

/// Another program.
async fn another(database: &Database) -> Client {
    let host = database.cluster().socket().display();
    let port = database.cluster().port;
    let place = format!("host={host} port={port} dbname={} user={SUPERUSER}", database.name);
    let (client, connection) = tokio_postgres::connect(&place, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Returns once a lock is waited for in this database.
async fn is_waited_for(other: &Client) {
    let waits =
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    while other.query(waits, &[]).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn column(table: &str, column: &str) -> Place {
    Place::Column { table: format!("public.{table}"), column: column.to_owned() }
}

#[tokio::test]
async fn every_table_of_the_schema_is_looked_for_and_one_that_is_gone_is_noticed() {
    let database = shared().database();
    let store = open(&database, SUPERUSER).await;
    let names = "SELECT string_agg(tablename, ' ' ORDER BY tablename COLLATE \"C\") FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'refinery_schema_history'";
    assert_eq!(database.sql(names), TABLES.join(" "));
    assert_eq!(store.verify().await.unwrap(), store.identity().await.unwrap());
    database.sql("DROP TABLE sends");
    let error = store.verify().await.unwrap_err();
    assert!(error.kind() == Kind::Refused && error.to_string().contains("sends"), "{error}");
}

#[tokio::test]
async fn a_copy_is_made_by_the_server() {
    let store = open(&shared().database(), SUPERUSER).await;
    let error = store.back_up(std::path::Path::new("/nonexistent/copy")).await.unwrap_err();
    assert!(matches!(error, StoreError::NoBackup) && error.kind() == Kind::Refused);
    assert!(error.to_string().contains("pg_dump"), "{error}");
}

#[tokio::test]
async fn a_person_is_looked_for_in_every_table_and_what_cannot_be_read_is_named() {
    let database = shared().database();
    database.sql("DROP ROLE IF EXISTS clerk");
    database.sql("CREATE ROLE clerk LOGIN");
    database.sql(&format!("ALTER DATABASE {} OWNER TO clerk", database.name));
    let store = open(&database, "clerk").await;
    for statement in [
        "CREATE SCHEMA \"Other\"",
        "GRANT USAGE ON SCHEMA \"Other\" TO PUBLIC",
        "CREATE TABLE \"Other\".\"Notes\" (id bigint, words varchar(200), more text[], raw bytea, facts jsonb)",
        "GRANT SELECT ON \"Other\".\"Notes\" TO PUBLIC",
        "INSERT INTO \"Other\".\"Notes\" VALUES (1, NULL, '{a,Ada Lovelace}', 'x', '{\"of\": \"Ada Lovelace\"}'),
            (2, 'of Ada Lovelace', NULL, 'Ada Lovelace', NULL)",
        "CREATE TABLE hidden (words text)",
    ] {
        database.sql(statement);
    }
    let report = store.prove_absent(naming()).await.unwrap();
    let notes =
        |name: &str| Place::Column { table: "\"Other\".\"Notes\"".to_owned(), column: name.to_owned() };
    assert_eq!(report.left, ["more", "facts", "words", "raw"].map(notes));
    let unreadable: Vec<_> = report.unreadable.iter().map(|(place, _)| place.clone()).collect();
    assert_eq!(unreadable, [column("hidden", "words")]);
    assert!(report.columns > 40 && report.out_of_reach.is_some_and(|text| text.contains("backups")));
}

#[tokio::test]
async fn what_the_server_notes_of_values_is_forgotten_with_them() {
    let database = shared().database();
    let store = open(&database, SUPERUSER).await;
    database.sql(
        "INSERT INTO flows (id, name, anchor) VALUES (1, 'leads', 1);
         INSERT INTO runs (flow, cause, started, outcome, summary)
             SELECT 1, 'schedule', 1, 'failed', 'of Ada Lovelace ' || n % 2 FROM generate_series(1, 9) AS n;
         ANALYZE runs",
    );
    assert_eq!(store.erase_texts(naming()).await.unwrap(), 9);
    let noted = store.prove_absent(naming()).await.unwrap().left;
    assert_eq!(noted, [column("runs", "summary")], "the statistics of the planner name the person");

    let reader = another(&database).await;
    reader.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM runs").await.unwrap();
    store.set_on_time_since(Timestamp::UNIX_EPOCH).await.unwrap();
    assert!(!store.purge_remains().await.unwrap(), "somebody may see what was there");
    reader.batch_execute("COMMIT").await.unwrap();
    assert!(store.purge_remains().await.unwrap());
    assert_eq!(store.prove_absent(naming()).await.unwrap().left, []);
    let timeout = store.raw("SHOW statement_timeout").unwrap();
    assert_eq!(timeout.as_deref(), Some("1min"), "a statement may not last for ever again");
}

fn numbers(requests: &[QueuedRequest]) -> Vec<i64> {
    requests.iter().map(|queued| queued.id).collect()
}

#[tokio::test]
async fn while_one_node_does_requests_no_other_does_later_ones() {
    let database = shared().database();
    let first = open(&database, SUPERUSER).await;
    let second = open(&database, SUPERUSER).await;
    let now = Timestamp::UNIX_EPOCH;
    first.schedule_states(vec![("leads".to_owned(), true)], now).await.unwrap();
    let off = first.add_request(Request::Off("leads".to_owned()), "anna", now).await.unwrap();
    let other = another(&database).await;
    other.batch_execute("BEGIN; SELECT 1 FROM flows FOR UPDATE").await.unwrap();
    let later = async {
        is_waited_for(&other).await;
        let on = second.add_request(Request::On("leads".to_owned()), "anna", now).await.unwrap();
        assert_eq!(second.take_requests(now).await.unwrap(), [], "it would be on before it is off");
        other.batch_execute("COMMIT").await.unwrap();
        on
    };
    let (done, on) = tokio::join!(first.take_requests(now), later);
    assert_eq!(numbers(&done.unwrap()), [off]);
    assert_eq!(numbers(&second.take_requests(now).await.unwrap()), [on]);
}

#[tokio::test]
async fn who_claims_a_mail_over_which_somebody_decides_gets_it_as_it_is_then() {
    let database = shared().database();
    let store = open(&database, SUPERUSER).await;
    store
        .take_over(NewNode { name: "here".to_owned(), ..NewNode::default() }, Timestamp::UNIX_EPOCH)
        .await
        .unwrap();
    database.sql(
        "INSERT INTO mails (id, connections, sender, subject, message_id, created, next_try)
             VALUES (1, '[\"relay\"]', 'a@b.example', 's', '<1>', 1, 1);
         INSERT INTO texts VALUES (1, 0, 'text');
         INSERT INTO recipients (mail, position, address, state) VALUES (1, 0, 'old@b.example', 'held')",
    );
    let person = another(&database).await;
    person.batch_execute("BEGIN; SELECT 1 FROM mails FOR NO KEY UPDATE").await.unwrap();
    let claim = async {
        store.next_message(&["relay".to_owned()], Timestamp::UNIX_EPOCH + Duration::from_secs(1)).await
    };
    let decide = async {
        is_waited_for(&person).await;
        let redirect = "UPDATE recipients SET state = 'dropped';
            INSERT INTO recipients (mail, position, address, state) VALUES (1, 1, 'new@b.example', 'waiting');
            UPDATE mails SET owner = NULL; COMMIT";
        person.batch_execute(redirect).await.unwrap();
    };
    let (claimed, ()) = tokio::join!(claim, decide);
    let claimed = claimed.unwrap().unwrap();
    let found: Vec<_> = claimed.recipients.iter().map(|one| (one.address.as_str(), one.state)).collect();
    let expected = [("old@b.example", RecipientState::Dropped), ("new@b.example", RecipientState::Waiting)];
    assert_eq!(found, expected);
}

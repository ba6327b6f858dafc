//! A database with a state of an earlier version.

use jiff::Timestamp;

use super::Place;
use super::open::{HISTORY_TABLE, MIGRATIONS};
use crate::store::{NewNode, OutboxFilter, QueuedRequest, Request, Store};

/// A flow that is off, the run of another whose mail waits, and a request.
const STATE: &str = "INSERT INTO flows (name, anchor, off_since) VALUES ('off', 1, 2), ('leads', 1, NULL);
    INSERT INTO runs (flow, cause, started, ended, outcome) VALUES (2, 'trigger', 3, 4, 'waiting');
    INSERT INTO mails (run, connections, sender, subject, message_id, created, next_try)
        VALUES (1, '[\"relay\"]', 'a@b.example', 's', '<1>', 4, 5);
    INSERT INTO texts VALUES (1, 0, 'text');
    INSERT INTO recipients (mail, position, address, state) VALUES (1, 0, 'c@d.example', 'waiting');
    INSERT INTO requests (kind, flow, created) VALUES ('off', 'leads', 6)";

/// The state as the release with this schema has left it.
fn earlier(schema: usize) -> Place {
    let place = Place::new();
    let database = place.database();
    database.sql(HISTORY_TABLE);
    for (version, (name, text)) in (1..).zip(&MIGRATIONS[..schema]) {
        database.sql(text);
        database.sql(&format!(
            "INSERT INTO refinery_schema_history VALUES ({version}, '{name}', '2026-11-01T00:00:00Z', '1')"
        ));
    }
    database.sql(STATE);
    place
}

#[tokio::test]
async fn the_state_of_each_earlier_schema_is_brought_to_this_one() {
    let now = Timestamp::from_second(9).unwrap();
    for schema in 1..MIGRATIONS.len() {
        let place = earlier(schema);
        let connection = place.connection();
        let refused = Store::connect_to_read(&connection, None).await.unwrap_err().to_string();
        assert!(
            refused.contains(&format!("its schema is {schema}")),
            "who only looks migrates nothing: {refused}"
        );
        assert_eq!(
            place.database().sql("SELECT max(version) FROM refinery_schema_history"),
            schema.to_string()
        );

        let store = Store::connect(&connection, None).await.unwrap();
        store.take_over(NewNode { name: "here".to_owned(), ..NewNode::default() }, now).await.unwrap();
        assert_eq!(store.run(1).await.unwrap().unwrap().asked_by, None);
        let off = || async { store.overview(vec!["off".to_owned(), "leads".to_owned()]).await.unwrap() };
        assert!(off().await[0].off_since.is_some() && off().await[0].off_by.is_none());
        let left = QueuedRequest { id: 1, request: Request::Off("leads".to_owned()), asked_by: None };
        assert_eq!(store.take_requests(now).await.unwrap(), [left]);
        assert!(off().await[1].off_since.is_some() && off().await[1].off_by.is_none());

        store.add_request(Request::Retry(None), "anna", now).await.unwrap();
        store.take_requests(now).await.unwrap();
        let mail = store.outbox(OutboxFilter::One(1)).await.unwrap().remove(0);
        assert_eq!(mail.message.asked_by.as_deref(), Some("anna"));
        let taken = store.next_message(&["relay".to_owned()], now).await.unwrap().unwrap();
        assert_eq!((taken.id, taken.flow.as_deref()), (1, Some("leads")));
    }
}

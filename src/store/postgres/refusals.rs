//! What keeps a database from being used: each is told with where it happened and what to do.

use std::path::PathBuf;
use std::process::Command;

use leadflow_test_postgres::{Cluster, Database, SUPERUSER, Stop, shared};
use rcgen::{CertificateParams, KeyPair};
use tokio_postgres::error::SqlState;

use super::connect::Place;
use super::failure::of_state;
use crate::flow::{PostgresConnection, PostgresCredential, PostgresServer, SecretSource};
use crate::store::{Kind, NewNode, Store, StoreError};

/// A way to a database by TCP, with a password.
struct Way {
    host: String,
    port: u16,
    database: String,
    user: String,
    password: tempfile::NamedTempFile,
    ca_file: Option<PathBuf>,
}

impl Way {
    fn to(database: &Database, user: &str) -> Self {
        let password = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(password.path(), "right").unwrap();
        Self {
            host: "127.0.0.1".to_owned(),
            port: database.cluster().port,
            database: database.name.clone(),
            user: user.to_owned(),
            password,
            ca_file: None,
        }
    }

    fn connection(&self) -> PostgresConnection {
        let server = PostgresServer::Named {
            host: self.host.clone(),
            port: self.port,
            database: self.database.clone(),
            user: self.user.clone(),
            credential: PostgresCredential::Password(SecretSource::File(self.password.path().to_owned())),
        };
        PostgresConnection { server, ca_file: self.ca_file.clone(), node: "here".to_owned() }
    }

    async fn open(&self) -> Result<Store, StoreError> {
        Store::connect(&self.connection(), None).await
    }

    #[track_caller]
    fn refused(&self, opened: Result<Store, StoreError>, kind: Kind, words: &[&str]) {
        let error = opened.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{text}");
        let place = format!("cannot use the state database `{}` on {}", self.database, self.host);
        assert!(text.starts_with(&place), "{text}");
        for words in words {
            assert!(text.contains(words), "`{words}` is not in: {text}");
        }
        assert!(!text.contains("right") || text.contains("rights"), "the password is in: {text}");
    }
}

/// A new database, which belongs to a role of its name.
fn owned() -> Database {
    let database = shared().database();
    let name = &database.name;
    database
        .sql(&format!("CREATE ROLE {name} LOGIN PASSWORD 'right'; ALTER DATABASE {name} OWNER TO {name}"));
    database
}

#[tokio::test]
async fn who_owns_a_database_needs_no_more() {
    let database = owned();
    let way = Way::to(&database, &database.name);
    let store = way.open().await.unwrap();
    let again = way.open().await.unwrap();
    assert_eq!(store.identity().await.unwrap(), again.identity().await.unwrap());
    // Nobody is at the first of the two.
    let url = format!("postgres://{0}:right@127.0.0.1:1,127.0.0.1:{1}/{0}", database.name, way.port);
    std::fs::write(way.password.path(), url).unwrap();
    let server = PostgresServer::Url(SecretSource::File(way.password.path().to_owned()));
    let by_url = Store::connect(&PostgresConnection { server, ..way.connection() }, None).await.unwrap();
    assert_eq!(store.identity().await.unwrap(), by_url.identity().await.unwrap());
}

#[tokio::test]
async fn who_may_not_come_in_is_told_what_to_do() {
    let database = owned();
    let name = &database.name;
    let way = Way::to(&database, name);
    std::fs::write(way.password.path(), "wrong").unwrap();
    let words =
        [&format!("the password of `{name}` is wrong, or there is no such role"), "settings.postgres"];
    way.refused(way.open().await, Kind::Refused, &words);
    let way = Way { database: "not_there".to_owned(), ..Way::to(&database, name) };
    let create = format!("CREATE DATABASE not_there OWNER {name}");
    way.refused(way.open().await, Kind::Refused, &["there is no database `not_there`", &create]);
    let host = database.cluster().socket().display().to_string();
    let way = Way { host, user: "stranger".to_owned(), ..Way::to(&database, name) };
    way.refused(way.open().await, Kind::Refused, &["does not let `stranger` in", "CREATE ROLE stranger"]);
    let way = Way { host: "127.0.0.1".to_owned(), ..Way::to(&database, name) };
    std::fs::remove_file(way.password.path()).unwrap();
    way.refused(way.open().await, Kind::Refused, &["cannot read the secret", "settings.postgres"]);
}

#[tokio::test]
async fn who_may_not_make_tables_is_told_so() {
    let database = shared().database();
    database.sql(&format!("CREATE ROLE {} LOGIN PASSWORD 'right'", database.name));
    let way = Way::to(&database, &database.name);
    let help = format!("ALTER DATABASE {0} OWNER TO {0}", database.name);
    way.refused(way.open().await, Kind::Refused, &["permission denied for schema public", &help]);
    database.sql(&format!("ALTER ROLE {} SET search_path = away", database.name));
    way.refused(way.open().await, Kind::Refused, &["names no schema that is there", "CREATE SCHEMA"]);
}

#[tokio::test]
async fn a_url_that_is_none_says_what_it_lacks_and_not_what_it_holds() {
    for (url, what) in [
        ("host=here password=right", "not of the form postgres://"),
        ("postgres://user:right@/leads", "names no host"),
        ("postgres://user:right@host", "names no database"),
        ("postgres://user:ri@right#/two@host/leads", "write @ as %40"),
        ("postgres://user:ri/right@host/leads", "/ as %2F"),
        ("postgres://host/leads", "names no user"),
    ] {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), url).unwrap();
        let server = PostgresServer::Url(SecretSource::File(secret.path().to_owned()));
        let connection = PostgresConnection { server, ca_file: None, node: "here".to_owned() };
        let error = Store::connect(&connection, None).await.unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("`settings.postgres.url`"), "{error}");
        assert!(!error.contains("right"), "{error}");
    }
}

#[tokio::test]
async fn an_error_names_the_host_of_a_url_and_not_its_password() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "postgres://user:canary%40right@127.0.0.1:1/leads").unwrap();
    let server = PostgresServer::Url(SecretSource::File(secret.path().to_owned()));
    let connection = PostgresConnection { server, ca_file: None, node: "here".to_owned() };
    let error = Store::connect(&connection, None).await.unwrap_err().to_string();
    let shown = crate::text::foreign::line(&format!("{error} canary@right canary%40right"), 1_000);
    assert!(shown.contains("listens at 127.0.0.1:1") && shown.contains("`leads` on 127.0.0.1:1"), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");
}

#[tokio::test]
async fn a_role_that_may_not_write_is_found_before_the_first_start() {
    let try_to_write = async |way: &Way| crate::store::state::try_to_write(&way.connection()).await;
    let database = shared().database();
    database.sql(&format!("CREATE ROLE {} LOGIN PASSWORD 'right'", database.name));
    let way = Way::to(&database, &database.name);
    assert!(
        try_to_write(&way).await.unwrap_err().to_string().contains("permission denied for schema public")
    );
    let owner =
        Way { host: database.cluster().socket().display().to_string(), ..Way::to(&database, SUPERUSER) };
    try_to_write(&owner).await.unwrap();
    assert_eq!(database.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
    owner.open().await.unwrap();
    try_to_write(&owner).await.unwrap();
    database.sql(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}", database.name));
    let text = try_to_write(&way).await.unwrap_err().to_string();
    assert!(text.contains("permission denied for table") && text.contains("GRANT OWNER TO"), "{text}");
    database.sql(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name));
    let text = try_to_write(&owner).await.unwrap_err().to_string();
    assert!(text.contains("the server takes no writes"), "{text}");
}

#[tokio::test]
async fn names_are_quoted_in_what_is_to_be_typed() {
    let database = owned();
    let way = Way { database: "Leads of 2026".to_owned(), ..Way::to(&database, &database.name) };
    let create = format!("CREATE DATABASE \"Leads of 2026\" OWNER {}", database.name);
    way.refused(way.open().await, Kind::Refused, &[&create]);
    let place = Place { user: "leadflow-1".to_owned(), database: "a\"b".to_owned(), ..Place::default() };
    let verdict = of_state(&SqlState::INSUFFICIENT_PRIVILEGE, "no", &place);
    assert!(verdict.help.contains("ALTER DATABASE \"a\"\"b\" OWNER TO \"leadflow-1\""), "{}", verdict.help);
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_not_waited_for() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let database = owned();
    let way = Way { port, ..Way::to(&database, &database.name) };
    tokio::time::pause();
    for opened in
        [way.open().await, Store::connect_to_change(&way.connection(), None).await.map(Option::unwrap)]
    {
        way.refused(opened, Kind::Transient, &["no answer within 10 s"]);
    }
}

#[tokio::test]
async fn a_sign_in_that_is_refused_after_it_worked_may_be_put_right() {
    let database = owned();
    let way = Way::to(&database, &database.name);
    let store = way.open().await.unwrap();
    let node = NewNode { name: "here".to_owned(), version: String::new(), digest: String::new() };
    store.take_over(node, jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_database()";
    database.sql(&format!("ALTER ROLE {} PASSWORD 'other'; {end}", database.name));
    let mut error = store.identity().await.unwrap_err();
    if !error.to_string().contains("password") {
        error = store.identity().await.unwrap_err();
    }
    assert!(error.is_passing() && error.to_string().contains("the password of"), "{error}");
    std::fs::write(way.password.path(), "other").unwrap();
    store.identity().await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_prove_itself_is_not_spoken_to() {
    let certificate = |host: &str| {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    };
    let (own, key) = certificate("127.0.0.1");
    let cluster: &'static Cluster =
        Box::leak(Box::new(Cluster::start("ssl = on", &[("server.crt", &own), ("server.key", &key)])));
    let database = cluster.database();
    database.sql("CREATE ROLE leads LOGIN SUPERUSER PASSWORD 'right'");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        Some(folder.path().join(name))
    };
    let way = Way { ca_file: file("own.pem", &own), ..Way::to(&database, "leads") };
    let store = way.open().await.unwrap();
    assert_eq!(store.identity().await.unwrap().len(), 32);
    let ssl = database.sql("SELECT count(*) FROM pg_stat_ssl WHERE ssl");
    assert_eq!(ssl, "1", "its connection is the one with TLS");
    let way = Way { ca_file: file("other.pem", &certificate("127.0.0.1").0), ..way };
    let words =
        ["signed by an authority that this machine does not trust", "other.pem", "-starttls postgres"];
    way.refused(way.open().await, Kind::Refused, &words);
    let way = Way { host: "localhost".to_owned(), ca_file: file("own.pem", &own), ..way };
    way.refused(
        way.open().await,
        Kind::Refused,
        &["the server's certificate is for another host: 127.0.0.1"],
    );

    let bare = owned();
    let way = Way { ca_file: file("own.pem", &own), ..Way::to(&bare, &bare.name) };
    way.refused(way.open().await, Kind::Refused, &["the server does not offer TLS", "ssl = on"]);
    let way = Way { ca_file: Some(folder.path().join("away.pem")), ..way };
    way.refused(way.open().await, Kind::Refused, &["cannot use ca_file", "PEM"]);
}

#[tokio::test]
async fn what_passes_is_transient_and_connections_come_back() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start("max_connections = 5", &[])));
    let database = cluster.database();
    database.sql(&format!(
        "CREATE ROLE leads LOGIN PASSWORD 'right'; ALTER DATABASE {} OWNER TO leads",
        database.name
    ));
    let way = Way::to(&database, "leads");
    let store = way.open().await.unwrap();
    store.identity().await.unwrap();
    let second = way.open().await.unwrap();
    let third = way.open().await;
    third.map(drop).map_or_else(
        |error| assert!(error.to_string().contains("max_connections"), "{error}"),
        |()| panic!("two are reserved for the superuser"),
    );
    drop(second);
    cluster.stop(Stop::Immediate);
    let error = store.identity().await.unwrap_err();
    assert!(error.is_passing(), "{error}");
    let error = store.identity().await.unwrap_err();
    assert!(error.is_passing() && error.to_string().contains("check that the server runs"), "{error}");
    cluster.go_on();
    store.identity().await.unwrap();
    database.sql(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name));
    cluster.stop(Stop::Fast);
    cluster.go_on();
    // The connections of before were closed.
    let mut error = store.identity().await.err();
    for _ in 0..3 {
        error = store.set_on_time_since(jiff::Timestamp::UNIX_EPOCH).await.err().or(error);
    }
    let error = error.unwrap();
    let text = error.to_string();
    assert!(error.is_passing() && text.contains("standby") && text.contains("set to read-only"), "{text}");
}

#[tokio::test]
async fn a_server_that_stands_still_holds_up_nobody_for_long() {
    let database = owned();
    let way = Way::to(&database, &database.name);
    let store = way.open().await.unwrap();
    let here = format!("datname = '{0}' AND usename = '{0}'", database.name);
    let processes =
        database.sql(&format!("SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE {here}"));
    let signal = |signal: &str| {
        let sent = Command::new("kill").arg(signal).args(processes.split(' ')).status();
        assert!(sent.unwrap().success());
    };
    signal("-STOP");
    // What waits for nothing but a moment has it at once.
    tokio::time::pause();
    let error = store.identity().await.unwrap_err();
    tokio::time::resume();
    assert!(error.is_passing() && error.to_string().contains("no answer within 10 s"), "{error}");
    store.identity().await.unwrap();
    signal("-CONT");
}

#[tokio::test]
async fn a_schema_of_another_version_is_left_as_it_is() {
    let database = shared().database();
    let way =
        Way { host: database.cluster().socket().display().to_string(), ..Way::to(&database, SUPERUSER) };
    assert!(Store::connect_to_read(&way.connection(), None).await.unwrap().is_none());
    way.open().await.unwrap();
    assert!(Store::connect_to_read(&way.connection(), None).await.unwrap().is_some());
    database.sql("INSERT INTO refinery_schema_history (version) VALUES (99)");
    way.refused(way.open().await, Kind::Refused, &["later leadflow", "schema is 99", "nothing was changed"]);
    database.sql("DELETE FROM refinery_schema_history WHERE version > 1");
    let error = Store::connect_to_read(&way.connection(), None).await.unwrap_err().to_string();
    assert!(error.contains("earlier leadflow") && error.contains("systemctl restart leadflow"), "{error}");
    let theirs = shared().database();
    theirs.sql("CREATE TABLE mails (x int)");
    let way = Way { database: theirs.name.clone(), ..way };
    way.refused(
        way.open().await,
        Kind::Refused,
        &["a table `mails` of another program", "nothing was changed"],
    );
    assert_eq!(theirs.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "1");
}

#[tokio::test]
async fn many_may_open_a_new_state_at_once() {
    for _ in 0..3 {
        let database = owned();
        let way = Way::to(&database, &database.name);
        let all = futures::future::join_all((0..5).map(|_| way.open())).await;
        for one in all {
            one.unwrap();
        }
    }
}

#[test]
fn every_code_of_the_server_has_its_kind() {
    let place = Place { user: "leads".to_owned(), database: "state".to_owned(), ..Place::default() };
    for (code, kind) in [
        ("28P01", Kind::Refused),
        ("28000", Kind::Refused),
        ("3D000", Kind::Refused),
        ("42501", Kind::Refused),
        ("42601", Kind::Refused),
        ("53300", Kind::Transient),
        ("53100", Kind::Transient),
        ("53200", Kind::Transient),
        ("57P01", Kind::Transient),
        ("57P03", Kind::Transient),
        ("57014", Kind::Transient),
        ("08006", Kind::Transient),
        ("40001", Kind::Transient),
        ("40P01", Kind::Transient),
        ("55P03", Kind::Transient),
        ("25006", Kind::Transient),
        ("25P03", Kind::Transient),
        ("58030", Kind::Transient),
        ("23505", Kind::Conflict),
        ("XX001", Kind::Fatal),
        ("XX002", Kind::Fatal),
        ("XX000", Kind::Refused),
    ] {
        let verdict = of_state(&SqlState::from_code(code), "it said so", &place);
        assert_eq!(verdict.kind, kind, "{code}");
        assert!(verdict.what.ends_with("(it said so)") && !verdict.help.is_empty(), "{code}");
        assert!(!format!("{}{}", verdict.what, verdict.help).contains('{'), "{code}");
    }
    let entra = Place { is_entra: true, ..place };
    let verdict = of_state(&SqlState::INVALID_PASSWORD, "no", &entra);
    assert!(verdict.help.contains("pgaadauth_create_principal('leads'"), "{}", verdict.help);
}

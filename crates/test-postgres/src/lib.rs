//! A PostgreSQL cluster for tests, in a temporary folder. It ends with the test process, however that ends.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test fails where its server cannot be had"
)]

mod programs;

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use programs::Programs;

/// The user who may do everything, and needs no password by the socket.
pub const SUPERUSER: &str = "leadflow";

/// By the socket everybody may come in, by TCP who has a password.
const WHO_MAY_COME_IN: &str = "local all all trust\nlocal replication all trust\n\
    host all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n";
/// Small, quick, and without a disk: what is lost with the machine was a test's.
const SETTINGS: &str = "listen_addresses = '127.0.0.1'\nfsync = off\nfull_page_writes = off\nmax_connections = 200\n\
    shared_buffers = '32MB'\nlog_min_messages = warning\nlog_line_prefix = '%m [%p] %a '\n";

/// A server of its own.
#[derive(Debug)]
pub struct Cluster {
    programs: Programs,
    /// Its data, its socket and its log.
    folder: PathBuf,
    /// Where it listens, at 127.0.0.1 and as the name of its socket.
    pub port: u16,
    /// Stops the server and removes its folder once nobody holds its standard input.
    _watchdog: Child,
}

/// A database that no other test has.
#[derive(Debug)]
pub struct Database {
    cluster: &'static Cluster,
    /// Its name.
    pub name: String,
}

/// How a server ends.
#[derive(Debug, Clone, Copy)]
pub enum Stop {
    /// It ends its connections, and all is on the disk.
    Fast,
    /// As if it were killed.
    Immediate,
}

/// The one of this process, without a disk.
pub fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start("", &[]))
}

impl Cluster {
    /// Makes a cluster and starts it, with these lines of postgresql.conf more, and these files in the folder of its data.
    ///
    /// # Panics
    /// Where PostgreSQL is not installed, with what to type, or does not start.
    pub fn start(settings: &str, files: &[(&str, &str)]) -> Self {
        let programs = Programs::find();
        let folder = tempfile::Builder::new().prefix("leadflow-postgres-").tempdir().unwrap().keep();
        programs.hand_over(&folder);
        let watchdog = watch(&programs, &folder);
        let mut cluster = Self { programs, folder, port: 0, _watchdog: watchdog };
        let data = cluster.data();
        cluster.run(
            "initdb",
            &["-D", &data, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        );
        cluster.write("pg_hba.conf", WHO_MAY_COME_IN);
        for (name, text) in files {
            cluster.write(name, text);
        }
        let own = format!("{SETTINGS}unix_socket_directories = '{}'\n{settings}\n", cluster.folder.display());
        cluster.write("postgresql.auto.conf", &own);
        cluster.find_port();
        cluster
    }

    /// A server that has all that this one has, and follows it; each commit of this one waits until it is there, too.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn standby(&self) -> Self {
        let programs = Programs::find();
        let folder = tempfile::Builder::new().prefix("leadflow-postgres-").tempdir().unwrap().keep();
        programs.hand_over(&folder);
        let watchdog = watch(&programs, &folder);
        let mut standby = Self { programs, folder, port: 0, _watchdog: watchdog };
        let (host, port, data) = (self.folder.display().to_string(), self.port.to_string(), standby.data());
        let copy =
            ["-h", &host, "-p", &port, "-U", SUPERUSER, "-D", &data, "-R", "-X", "stream", "-c", "fast"];
        standby.run("pg_basebackup", &[copy.as_slice(), &["--no-sync"]].concat());
        let own = format!("unix_socket_directories = '{}'\n", standby.folder.display());
        let file = Path::new(&data).join("postgresql.auto.conf");
        let settings = fs::read_to_string(&file).unwrap() + &own;
        standby.write("postgresql.auto.conf", &settings);
        standby.find_port();
        self.wait_for_standbys("*");
        standby
    }

    /// It follows nobody any more and takes writes, for which it waits for no other.
    ///
    /// # Panics
    /// When it does not.
    pub fn promote(&self) {
        self.run("pg_ctl", &["promote", "-w", "-s", "-D", &self.data()]);
        self.wait_for_standbys("");
    }

    /// For which standbys a commit waits.
    fn wait_for_standbys(&self, names: &str) {
        self.sql("postgres", &format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'"));
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// The folder of its socket, which is a host for clients.
    pub fn socket(&self) -> &Path {
        &self.folder
    }

    /// A file in the folder of its data, which the server may read.
    pub fn write(&self, name: &str, text: &str) {
        let file = Path::new(&self.data()).join(name);
        fs::write(&file, text).unwrap();
        self.programs.hand_over(&file);
    }

    /// A new, empty database, which orders words as people do: what leadflow orders it must ask for by itself.
    pub fn database(&'static self) -> Database {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("leads{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let make =
            format!("CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'");
        self.sql("postgres", &make);
        Database { cluster: self, name }
    }

    /// What a statement prints, each row a line, when the superuser gives it.
    ///
    /// # Panics
    /// When it fails.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let (host, port) = (self.folder.display().to_string(), self.port.to_string());
        let place = ["-h", &host, "-p", &port, "-U", SUPERUSER, "-d", database];
        let found = self
            .programs
            .output("psql", &[place.as_slice(), &["-X", "-q", "-A", "-t", "-c", statement]].concat());
        found.unwrap_or_else(|error| panic!("{statement}: {error}")).trim_end().to_owned()
    }

    /// Stops it.
    pub fn stop(&self, how: Stop) {
        let mode = match how {
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        };
        self.run("pg_ctl", &["stop", "-w", "-s", "-D", &self.data(), "-m", mode]);
    }

    /// Starts it again where it was.
    pub fn go_on(&self) {
        self.boot(self.port).unwrap();
    }

    /// Starts it at a port that nobody has.
    fn find_port(&mut self) {
        let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
        let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
        let mut last = None;
        for port in (first..32_000).filter(is_free).take(20) {
            match self.boot(port) {
                Ok(()) => {
                    self.port = port;
                    return;
                }
                // Another process may have got it meanwhile.
                Err(error) => last = Some(error),
            }
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        panic!("PostgreSQL does not start: {last:?}\n{log}");
    }

    fn boot(&self, port: u16) -> io::Result<()> {
        let log = self.folder.join("log").display().to_string();
        let port = format!("-p {port}");
        let start = ["start", "-w", "-s", "-D", &self.data(), "-l", &log, "-o", &port];
        self.programs.output("pg_ctl", &start).map(drop)
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        self.programs.output(program, arguments).unwrap_or_else(|error| panic!("{program}: {error}"));
    }

    fn data(&self) -> String {
        self.folder.join("data").display().to_string()
    }
}

impl Database {
    /// The server.
    pub fn cluster(&self) -> &'static Cluster {
        self.cluster
    }

    /// What a statement prints, each row a line, when the superuser gives it here.
    ///
    /// # Panics
    /// When it fails.
    pub fn sql(&self, statement: &str) -> String {
        self.cluster.sql(&self.name, statement)
    }
}

/// It lives as long as this process, and stops the server then. Keys that end this process do not reach it.
fn watch(programs: &Programs, folder: &Path) -> Child {
    use std::os::unix::process::CommandExt as _;
    let place = folder.display();
    let script = format!(
        "read _; [ -e {place}/data/postmaster.pid ] && {} stop -s -m immediate -D {place}/data; rm -rf {place}",
        programs.path("pg_ctl").display()
    );
    let mut command: Command = programs.command(Path::new("/bin/sh"));
    command.args(["-c", &script]).process_group(0).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_has_databases_stops_and_goes_on() {
        let database = shared().database();
        assert_eq!(database.sql("SELECT current_database()"), database.name);
        assert_ne!(shared().database().name, database.name);
        let own = Cluster::start("max_connections = 7", &[]);
        own.stop(Stop::Immediate);
        own.go_on();
        assert_eq!(own.sql("postgres", "SHOW max_connections"), "7");
    }
}

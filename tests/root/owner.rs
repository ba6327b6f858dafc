//! Commands that root types on folders of the service's user, who may be an enemy by now, and of strangers.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::disk::Mount;
use crate::support::flows_toml::{FlowsToml, SINCE};
use crate::support::leadflow::{Output, Sandbox};

/// The user of the service, and one who has no business here.
pub(crate) const SERVICE: u32 = 61_234;
pub(crate) const STRANGER: u32 = 61_666;

fn flows() -> FlowsToml {
    FlowsToml::demo().flow("leads").condition("length > 0").interval(1).filter(SINCE)
}

/// Root's flows.toml, whose state belongs to the service and has run.
pub(crate) struct Office {
    sandbox: Sandbox,
}

impl Office {
    fn new() -> Self {
        let office = Self { sandbox: Sandbox::new(flows()) };
        fs::set_permissions(office.path(""), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(office.path("state")).unwrap();
        chown(office.path("state"), Some(SERVICE), Some(SERVICE)).unwrap();
        fs::create_dir(office.path("root")).unwrap();
        fs::set_permissions(office.path("root"), Permissions::from_mode(0o700)).unwrap();
        fs::write(office.treasure(), "treasure").unwrap();
        office
    }

    /// With a run and a mail in its state.
    pub(crate) fn that_has_run() -> Self {
        let office = Self::new();
        for arguments in [["lead", "add", "leads", "--test"].as_slice(), &["run", "--once"]] {
            assert_eq!(office.run(arguments).code, 0);
        }
        office
    }

    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path(name)
    }

    /// A file of root's, which nobody else may read or change.
    pub(crate) fn treasure(&self) -> PathBuf {
        self.path("root/treasure")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.sandbox.command(arguments)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.run_in(self.path("").as_path(), arguments)
    }

    pub(crate) fn exits(&self, code: i32, arguments: &[&str]) -> Output {
        let output = self.run(arguments);
        assert_eq!(output.code, code, "{arguments:?}: {output:?}");
        output
    }

    /// A command that waits for ever has failed.
    fn run_in(&self, folder: &Path, arguments: &[&str]) -> Output {
        let command = self.sandbox.command(arguments);
        let mut limited = Command::new("timeout");
        limited.arg("30").arg(command.get_program()).args(arguments).current_dir(folder);
        limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        limited.env_remove("SUDO_UID").env_remove("SUDO_GID").env_remove("LEADFLOW_CONFIG");
        let output = limited.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        let code = output.status.code().expect("an exit status");
        assert!(code != 124 && !stderr.contains("panicked"), "{arguments:?}: {code}, {stderr}");
        Output { code, stdout, stderr }
    }

    /// Root's things are as they were, and nothing was added to them.
    pub(crate) fn is_unharmed(&self, why: &str) {
        let found = fs::metadata(self.treasure()).unwrap();
        assert_eq!((found.uid(), found.mode() & 0o7777, found.nlink() <= 2), (0, 0o644, true), "{why}");
        assert_eq!(fs::read_to_string(self.treasure()).unwrap(), "treasure", "{why}");
        let names: Vec<_> =
            fs::read_dir(self.path("root")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["treasure"], "{why}");
    }

    pub(crate) fn refuses(&self, arguments: &[&str], words: &[&str]) {
        let output = self.run(arguments);
        assert_ne!(output.code, 0, "{arguments:?}: {output:?}");
        // A report breaks its lines.
        let said = format!("{}{}", output.stdout, output.stderr).replace('│', "");
        let said: String = said.split_whitespace().collect();
        for word in words {
            let wanted: String = word.split_whitespace().collect();
            assert!(said.contains(&wanted), "{arguments:?}: `{word}` is not in: {output:?}");
        }
    }
}

pub(crate) fn plant(path: &Path, target: &Path) {
    let _ = fs::remove_file(path);
    symlink(target, path).unwrap();
    lchown(path, Some(SERVICE), Some(SERVICE)).unwrap();
}

fn pipe(path: &Path) {
    let _ = fs::remove_file(path);
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    chown(path, Some(SERVICE), Some(SERVICE)).unwrap();
}

/// What root types beside the service.
const COMMANDS: [&[&str]; 8] = [
    &["list"],
    &["history"],
    &["health"],
    &["run", "--once"],
    &["off", "leads"],
    &["trigger", "leads"],
    &["outbox", "list"],
    &["recover", "--since", "2026-11-20"],
];

#[test]
fn links_and_pipes_in_the_state_folder_lead_root_nowhere() {
    for name in ["leadflow.db", "leadflow.db-wal", "leadflow.db-shm", "leadflow.db-journal", "leadflow.lock"]
    {
        let office = Office::that_has_run();
        let path = office.path("state").join(name);
        let shown = path.display().to_string();
        for target in [office.treasure(), office.path("root/new")] {
            plant(&path, &target);
            for arguments in COMMANDS {
                let output = office.run(arguments);
                office
                    .is_unharmed(&format!("{name} leads to {}, {arguments:?}: {output:?}", target.display()));
            }
        }
        plant(&path, &office.treasure());
        office.refuses(&["run", "--once"], &[&format!("{shown} is a link to"), &format!("rm {shown}")]);
        pipe(&path);
        for arguments in COMMANDS {
            office.run(arguments);
        }
        pipe(&path);
        // An empty database is a lost one.
        let words = if name == "leadflow.db" { "the state in" } else { "is a pipe, not a plain file" };
        office.refuses(&["run", "--once"], &[words]);
    }
}

#[test]
fn a_file_with_two_names_and_a_strangers_file_are_not_taken_for_ours() {
    for name in ["leadflow.db", "leadflow.lock"] {
        let office = Office::new();
        let path = office.path("state").join(name);
        fs::hard_link(office.treasure(), &path).unwrap();
        office
            .refuses(&["run", "--once"], &["has 2 names (hard links)", &format!("cp -p {}", path.display())]);
        office.is_unharmed(name);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        chown(&path, Some(STRANGER), None).unwrap();
        let words =
            ["belongs to user 61666, who is neither root nor the owner of its folder", "sudo chown 61234:"];
        office.refuses(&["run", "--once"], &words);
    }
}

#[test]
fn what_root_makes_belongs_to_the_service_and_its_link_of_a_dynamic_user_works() {
    let office = Office::that_has_run();
    let private = office.path("private");
    fs::create_dir(&private).unwrap();
    fs::set_permissions(&private, Permissions::from_mode(0o700)).unwrap();
    fs::rename(office.path("state"), private.join("state")).unwrap();
    symlink("private/state", office.path("state")).unwrap();
    for arguments in
        [["lead", "add", "leads", "--test"].as_slice(), &["run", "--once"], &["list"], &["off", "leads"]]
    {
        office.exits(0, arguments);
    }
    let mut all = vec![private.join("state")];
    while let Some(path) = all.pop() {
        let found = fs::symlink_metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid()), (SERVICE, SERVICE), "{}", path.display());
        if found.is_dir() {
            all.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    assert_eq!(fs::read_dir(office.path("state/mail")).unwrap().count(), 2);
    // Where the service has put the link, it leads root nowhere.
    lchown(office.path("state"), Some(STRANGER), None).unwrap();
    office.refuses(&["list"], &["state belongs to user 61666", "sudo chown -h root:"]);
}

#[test]
fn a_mail_folder_or_table_that_the_service_made_a_link_takes_nothing() {
    let office = Office::that_has_run();
    fs::remove_dir_all(office.path("state/mail")).unwrap();
    plant(&office.path("state/mail"), &office.path("root"));
    assert_eq!(office.run(&["lead", "add", "leads", "--test"]).code, 0);
    office.exits(1, &["run", "--once"]);
    office.is_unharmed("the mail folder");
    fs::remove_file(office.path("state/mail")).unwrap();
    plant(&office.path("state/demo.db"), &office.path("root/new"));
    office.refuses(&["lead", "add", "leads", "--test"], &["demo.db is a link to"]);
    office.is_unharmed("the table");
}

#[test]
fn a_person_is_forgotten_in_no_folder_that_the_service_made_a_link() {
    let office = Office::that_has_run();
    let mail = || fs::read_dir(office.path("root")).unwrap().count();
    let name = fs::read_dir(office.path("state/mail")).unwrap().next().unwrap().unwrap().file_name();
    fs::rename(office.path("state/mail").join(&name), office.path("root").join(&name)).unwrap();
    fs::remove_dir(office.path("state/mail")).unwrap();
    plant(&office.path("state/mail"), &office.path("root"));
    assert_eq!(mail(), 2);
    let text = fs::read_to_string(office.path("root").join(&name)).unwrap();
    let person = text.split(|c: char| !c.is_ascii_alphanumeric() && !"@.-_".contains(c));
    let person = person.into_iter().find(|word| word.contains('@') && !word.contains("contoso")).unwrap();
    let output = office.run(&["lead", "forget", person, "--yes"]);
    assert_eq!((output.code, mail()), (1, 2), "{output:?}");
    let said = format!("{}{}", output.stdout, output.stderr);
    assert!(
        said.contains("cannot search ") && said.contains("state/mail is a link of user 61234's to"),
        "{said}"
    );
}

#[test]
fn a_marker_that_is_a_link_or_a_pipe_is_neither_followed_nor_waited_for() {
    let office = Office::that_has_run();
    let marker = office.path(".flows.toml.marker");
    assert!(fs::read_to_string(&marker).unwrap().contains("state"));
    for trap in [plant as fn(&Path, &Path), |path, _| pipe(path)] {
        trap(&marker, &office.treasure());
        office.exits(0, &["run", "--once"]);
        office.is_unharmed("the marker");
        assert!(fs::symlink_metadata(&marker).unwrap().is_file(), "the trap gave way to a marker of ours");
    }
}

#[test]
fn a_strangers_flows_toml_template_or_secret_is_refused_with_how_to_fix_it() {
    let office = Office::that_has_run();
    let shown = |name: &str| office.path(name).display().to_string();
    let theirs = |name: &str| lchown(office.path(name), Some(STRANGER), None).unwrap();
    let ours = |name: &str| lchown(office.path(name), Some(0), None).unwrap();
    fs::create_dir(office.path("templates")).unwrap();
    fs::write(office.path("templates/a.txt.hbs"), "").unwrap();
    for name in ["flows.toml", "templates", "templates/a.txt.hbs"] {
        theirs(name);
        let fix = format!("sudo chown root: {}", shown(name));
        for arguments in [["check"].as_slice(), &["list"], &["run"]] {
            let config = ["--config", &shown("flows.toml")];
            let arguments = [config.as_slice(), arguments].concat();
            office.refuses(&arguments, &[&format!("{} belongs to user 61666", shown(name)), &fix]);
        }
        ours(name);
    }
    let smtp = "[connections.relay.smtp]\nhost = \"127.0.0.1\"\nport = 25\nsecurity = \"none\"\nfrom = \"a@contoso.example\"\n\
                login = { username = \"a\", password = { file = \"keys/password\" } }\n\n";
    office.sandbox.write("flows.toml", &format!("{smtp}{}", flows()));
    office.sandbox.write("keys/password", "secret");
    assert_eq!(office.run(&["check"]).code, 0);
    for name in ["keys", "keys/password"] {
        theirs(name);
        office.refuses(&["check"], &[&format!("{} belongs to user 61666", shown(name)), "a secret"]);
        ours(name);
    }
    fs::set_permissions(office.path("keys"), Permissions::from_mode(0o777)).unwrap();
    office.refuses(
        &["check"],
        &["every user of this machine can change", &format!("chmod o-w {}", shown("keys"))],
    );
    fs::set_permissions(office.path("keys"), Permissions::from_mode(0o755)).unwrap();
    let list = |entries: &[&str]| {
        let status = Command::new("setfacl").args(entries).arg(office.path("flows.toml")).status();
        assert!(status.expect("Debian's package acl").success());
    };
    list(&["-m", "u:61666:rw"]);
    office.refuses(&["check", "--strict"], &["an access control list lets users", "setfacl -b"]);
    list(&["-b"]);
    assert_eq!(office.run(&["check", "--strict"]).code, 0);
    // What the service's user owns is its own affair.
    chown(office.path("flows.toml"), Some(SERVICE), None).unwrap();
    assert_eq!(office.run(&["--config", &shown("flows.toml"), "check"]).code, 0);
    // But nobody has named it.
    office.refuses(
        &["check"],
        &[
            "flows.toml in this folder belongs to user 61234, and was not named on the command line",
            "--config flows.toml",
        ],
    );
}

#[test]
fn a_flows_toml_in_a_folder_that_everybody_may_write_must_be_roots() {
    let office = Office::that_has_run();
    let place = office.path("tmp");
    fs::create_dir(&place).unwrap();
    fs::set_permissions(&place, Permissions::from_mode(0o1777)).unwrap();
    fs::write(place.join("flows.toml"), flows().to_string()).unwrap();
    let config = place.join("flows.toml").display().to_string();
    assert_eq!(office.run(&["--config", &config, "check"]).code, 0);
    for name in ["flows.toml", "state"] {
        let _ = fs::create_dir(place.join("state"));
        chown(place.join(name), Some(STRANGER), None).unwrap();
        let words = [format!("{name}, in "), "where others may put files, belongs to user 61666".to_owned()];
        office.refuses(&["--config", &config, "list"], &[&words[0], &words[1]]);
        chown(place.join(name), Some(0), None).unwrap();
    }
}

#[test]
fn mounts_of_kubernetes_are_taken_when_they_are_read_only() {
    let office = Office::new();
    let place = office.path("mounted");
    let stamp = "..2026_01_05_08_00_00.123456789";
    // The kubelet mounts Secrets in memory, with the sticky bit, and ConfigMaps on a disk, without.
    for mode in ["0777", "1777"] {
        let mount = Mount::new(&["-t", "tmpfs", "-o", &format!("mode={mode}")], Path::new("tmpfs"), &place);
        fs::create_dir(place.join(stamp)).unwrap();
        fs::write(
            place.join(stamp).join("flows.toml"),
            flows().settings(&format!("state = \"{}\"", office.path("state").display())).to_string(),
        )
        .unwrap();
        symlink(stamp, place.join("..data")).unwrap();
        symlink("..data/flows.toml", place.join("flows.toml")).unwrap();
        let config = place.join("flows.toml").display().to_string();
        let check = ["--config", &config, "check", "--strict"];
        if mode == "0777" {
            office.refuses(&check, &["every user of this machine can change", "only Kubernetes mounts"]);
        }
        assert!(Command::new("mount").args(["-o", "remount,ro"]).arg(&place).status().unwrap().success());
        let output = office.run(&check);
        assert_eq!(output.code, 0, "{mode}: {output:?}");
        assert_eq!(office.run(&["--config", &config, "run", "--once"]).code, 0);
        mount.end();
    }
}

#[test]
fn the_service_runs_as_its_user_beside_roots_commands() {
    let office = Office::that_has_run();
    for name in ["", "flows.toml"] {
        let mode = if name.is_empty() { 0o755 } else { 0o644 };
        fs::set_permissions(office.path(name), Permissions::from_mode(mode)).unwrap();
    }
    let mut command = office.sandbox.command(&["run"]);
    command.uid(SERVICE).gid(SERVICE);
    let daemon = office.sandbox.daemon_by(command);
    daemon.wait_for_log("ready");
    for arguments in
        [["list"].as_slice(), &["off", "leads"], &["on", "leads"], &["lead", "add", "leads", "--test"]]
    {
        office.exits(0, arguments);
    }
    assert_eq!(office.run(&["trigger", "leads"]).code, 0);
    assert!(daemon.stop().success());
    assert_eq!(fs::read_dir(office.path("state/mail")).unwrap().count(), 2);
}

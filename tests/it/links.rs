//! Files behind links that are led elsewhere, as Kubernetes, git-sync and stow do it: the daemon takes the change by
//! itself.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::daemon::Daemon;
use crate::support::leadflow::Sandbox;
use crate::support::{eventually, within};

const FLOWS: &str = r#"[settings]
state = "/STATE"
[connections.demo.embedded_table]
file = "demo.db"
[connections.relay.smtp]
host = "127.0.0.1"
port = 1
security = "none"
from = "leads@contoso.example"
login = { username = "leads", password = { file = "SECRET" } }
[flows.leads.recurrence]
frequency = "hour"
[flows.leads.table]
connection = "demo"
name = "leads"
[flows.leads.email]
connection = "relay"
to = "sales@contoso.example"
template = "mine"
"#;

/// A folder whose files are led to by links, and changed as a whole.
struct Mount {
    folder: PathBuf,
    how: How,
    version: usize,
}

/// How a folder is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// `file → ..data/file`, `..data → ..2026_…`: a new folder, a new `..data`, the old folder deleted.
    Kubernetes,
    /// The folder itself is a link to `versions/N`, which is led to another one.
    Current,
    /// As `Current`, over a further link.
    Chain,
    /// Each file is a link to one elsewhere, which is written again there.
    Elsewhere,
    /// The folder is moved away, and another one put in its place.
    Replaced,
}

impl Mount {
    fn new(folder: PathBuf, how: How, name: &str, text: &str) -> Self {
        let mut mount = Self { folder, how, version: 0 };
        fs::create_dir_all(mount.folder.parent().unwrap()).unwrap();
        mount.put(name, text);
        mount
    }

    fn beside(&self, name: &str) -> PathBuf {
        let mut beside = self.folder.as_os_str().to_owned();
        beside.push(name);
        beside.into()
    }

    fn put(&mut self, name: &str, text: &str) {
        self.version += 1;
        match self.how {
            How::Kubernetes => {
                fs::create_dir_all(&self.folder).unwrap();
                let stamp = |version| format!("..2026_01_05_08_00_00.{version:09}");
                let new = self.folder.join(stamp(self.version));
                fs::create_dir(&new).unwrap();
                fs::write(new.join(name), text).unwrap();
                lead(&self.folder.join("..data"), Path::new(&stamp(self.version)));
                if self.version == 1 {
                    symlink(Path::new("..data").join(name), self.folder.join(name)).unwrap();
                } else {
                    fs::remove_dir_all(self.folder.join(stamp(self.version - 1))).unwrap();
                }
            }
            How::Current | How::Chain => {
                let new = self.beside("-versions").join(self.version.to_string());
                fs::create_dir_all(&new).unwrap();
                fs::write(new.join(name), text).unwrap();
                if self.how == How::Current {
                    lead(&self.folder, &new);
                } else {
                    fs::create_dir_all(self.beside("-far")).unwrap();
                    lead(&self.beside("-far").join("current"), &new);
                    lead(&self.folder, &self.beside("-far").join("current"));
                }
            }
            How::Elsewhere => {
                fs::create_dir_all(&self.folder).unwrap();
                let far = self.beside("-far");
                fs::create_dir_all(&far).unwrap();
                fs::write(far.join("part"), text).unwrap();
                fs::rename(far.join("part"), far.join(name)).unwrap();
                if self.version == 1 {
                    symlink(far.join(name), self.folder.join(name)).unwrap();
                }
            }
            How::Replaced => {
                let new = self.beside("-new");
                fs::create_dir_all(&new).unwrap();
                fs::write(new.join(name), text).unwrap();
                if self.version > 1 {
                    fs::rename(&self.folder, self.beside(&format!("-old-{}", self.version))).unwrap();
                }
                fs::rename(new, &self.folder).unwrap();
            }
        }
    }
}

/// Leads a link elsewhere at once, as `ln -sfn` does not.
fn lead(link: &Path, target: &Path) {
    let mut part = link.as_os_str().to_owned();
    part.push("_tmp");
    symlink(target, &part).unwrap();
    fs::rename(part, link).unwrap();
}

/// Each change is taken, and nothing else asks for it.
fn is_taken(daemon: &Daemon, what: &str, mut change: impl FnMut(usize)) {
    for round in 1..=3 {
        let before = daemon.log().matches("flows.toml is reloaded").count();
        change(round);
        eventually(what, || (daemon.log().matches("flows.toml is reloaded").count() > before).then_some(()));
    }
}

#[test]
fn changes_behind_links_are_taken_by_themselves() {
    for how in [How::Kubernetes, How::Current, How::Chain, How::Elsewhere, How::Replaced] {
        let sandbox = Sandbox::new("");
        let flows = FLOWS
            .replace("/STATE", &sandbox.path("state").display().to_string())
            .replace("SECRET", &sandbox.path("secrets/password").display().to_string());
        let mut file = Mount::new(sandbox.path("config/mounted"), how, "flows.toml", &flows);
        let mut secret = Mount::new(sandbox.path("secrets"), how, "password", "canary-1");
        // Beside flows.toml as it is named, and so in that folder.
        fs::create_dir_all(sandbox.path("config/here")).unwrap();
        symlink("../mounted/flows.toml", sandbox.path("config/here/flows.toml")).unwrap();
        let mut template = Mount::new(sandbox.path("config/here/templates"), how, "mine.txt.hbs", "First");
        let config = sandbox.path("config/here/flows.toml").display().to_string();
        let daemon = sandbox.daemon_by(sandbox.command(&["--config", &config, "run"]));
        daemon.wait_for_log("ready");
        is_taken(&daemon, &format!("{how:?}: a secret"), |round| {
            secret.put("password", &format!("canary-{round}"));
        });
        is_taken(&daemon, &format!("{how:?}: a template"), |round| {
            template.put("mine.txt.hbs", &format!("Round {round}"));
        });
        is_taken(&daemon, &format!("{how:?}: flows.toml"), |round| {
            file.put(
                "flows.toml",
                &flows.replace("\"hour\"", &format!("\"hour\"\ninterval = {}", round + 1)),
            );
        });
        assert!(daemon.log().contains("every 3 hours → every 4 hours"), "{how:?}: {}", daemon.log());
        assert!(daemon.stop().success());
    }
}

#[test]
fn a_secret_an_authority_and_a_template_that_were_not_there_are_taken_when_they_come() {
    let sandbox = Sandbox::new("");
    let flows = FLOWS
        .replace("/STATE", &sandbox.path("state").display().to_string())
        .replace("SECRET", &sandbox.path("later/secrets/password").display().to_string())
        .replace("security = \"none\"", "security = \"none\"\nca_file = \"authority.pem\"");
    sandbox.write("flows.toml", &flows);
    sandbox.write("templates/mine.txt.hbs", "First");
    let authority = crate::support::certificates::certificates();
    fs::copy(&authority.authority, sandbox.path("authority.pem")).unwrap();
    let daemon = sandbox.daemon();
    is_taken(&daemon, "a secret in a new folder", |round| {
        let _ = fs::remove_dir_all(sandbox.path("later"));
        sandbox.write("later/secrets/password", &format!("canary-{round}"));
    });
    is_taken(&daemon, "an authority", |_| {
        fs::copy(&authority.authority, sandbox.path("part")).unwrap();
        fs::rename(sandbox.path("part"), sandbox.path("authority.pem")).unwrap();
    });
    is_taken(&daemon, "a new template", |round| sandbox.write(&format!("templates/{round}.txt.hbs"), "New"));
    assert!(daemon.stop().success());
}

#[test]
fn a_corrected_secret_is_tried_although_the_file_has_mistakes() {
    let sandbox = Sandbox::new("");
    let flows = FLOWS
        .replace("/STATE", &sandbox.path("state").display().to_string())
        .replace("SECRET", &sandbox.path("password").display().to_string());
    sandbox.write("flows.toml", &flows);
    sandbox.write("templates/mine.txt.hbs", "First");
    assert_eq!(sandbox.run(&["lead", "add", "leads", "--test"]).code, 0);
    let daemon = sandbox.daemon();
    daemon.wait_for_log("cannot read the secret from");
    sandbox.edit("\"hour\"", "\"hours\"");
    daemon.wait_for_log("leadflow keeps running the previous flows");
    assert!(!daemon.log().contains("cannot connect to 127.0.0.1:1"), "{}", daemon.log());
    sandbox.write("password", "canary");
    // Before the connection has had its rest of half a minute.
    within(Duration::from_secs(20), "a try", || {
        daemon.log().contains("cannot connect to 127.0.0.1:1").then_some(())
    });
    assert!(daemon.stop().success());
}

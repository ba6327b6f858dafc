//! Whether the service's user can read what flows.toml names, when root asks.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};

use crate::owner::{Office, SERVICE};
use crate::support::certificates;

const RELAY: &str = "[connections.relay.smtp]\nhost = \"127.0.0.1\"\nport = 25\nsecurity = \"none\"\n\
    from = \"a@contoso.example\"\nca_file = \"authority.pem\"\n\
    login = { username = \"a\", password = { file = \"keys/password\" } }\n\n";

#[test]
fn what_the_service_cannot_read_is_an_error_of_roots_check() {
    let office = Office::that_has_run();
    let flows = fs::read_to_string(office.path("flows.toml")).unwrap();
    fs::write(office.path("flows.toml"), format!("{RELAY}{flows}")).unwrap();
    for folder in ["keys", "templates"] {
        fs::create_dir(office.path(folder)).unwrap();
    }
    for name in ["keys/password", "authority.pem", "templates/a.txt.hbs"] {
        fs::write(office.path(name), "text").unwrap();
    }
    fs::copy(&certificates::certificates().authority, office.path("authority.pem")).unwrap();
    let set = |name: &str, mode, user| {
        fs::set_permissions(office.path(name), Permissions::from_mode(mode)).unwrap();
        chown(office.path(name), Some(user), Some(user)).unwrap();
    };
    let all = [("flows.toml", 0o644), ("keys", 0o755), ("keys/password", 0o644), ("authority.pem", 0o644)];
    let all = all.into_iter().chain([("templates", 0o755), ("templates/a.txt.hbs", 0o644)]);
    all.for_each(|(name, mode)| set(name, mode, 0));
    assert_eq!(office.run(&["check"]).code, 0);

    let place = |name: &str| office.path(name).display().to_string();
    let credential = "write { credential = \"password\" }, and add LoadCredential=password:";
    for (name, mode, whole, words) in [
        ("keys/password", 0o600, 0o644, credential),
        ("keys/password", 0o640, 0o644, credential),
        ("keys", 0o700, 0o755, credential),
        ("authority.pem", 0o600, 0o644, "sudo chmod a+rX"),
        ("templates/a.txt.hbs", 0o600, 0o644, "type: sudo chmod a+rX"),
        ("templates", 0o700, 0o755, "type: sudo chmod a+rX"),
        ("flows.toml", 0o600, 0o644, "type: sudo chmod a+rX"),
    ] {
        set(name, mode, 0);
        office.refuses(
            &["check"],
            &["the service cannot read", &place(name), "belongs to root:root (mode", words],
        );
        // Root can, and so can its own runs.
        assert_eq!(office.run(&["run", "--once"]).code, 0, "{name}");
        set(name, whole, 0);
    }
    for (name, mode) in [("keys/password", 0o400), ("keys", 0o500)] {
        set(name, mode, SERVICE);
        assert_eq!(office.run(&["check"]).code, 0, "{name}");
    }
    // A group that the unit may give it.
    set("keys", 0o755, 0);
    set("keys/password", 0o640, 0);
    chown(office.path("keys/password"), None, Some(777)).unwrap();
    assert_eq!(office.run(&["check"]).code, 0);
}

//! What root's commands write where somebody says.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

use crate::disk::Mount;
use crate::owner::{Office, STRANGER, plant};

#[test]
fn a_backup_is_private_whole_and_never_through_a_link() {
    let office = Office::that_has_run();
    let backup = |path: &Path| office.run(&["backup", path.to_str().unwrap()]);
    let copies = office.path("copies");
    fs::create_dir(&copies).unwrap();
    let path = copies.join("leadflow.db");
    assert_eq!(backup(&path).code, 0);
    let found = fs::metadata(&path).unwrap();
    assert_eq!((found.uid(), found.mode() & 0o7777), (0, 0o600));
    assert!(backup(&path).stderr.contains("already exists"));
    for target in [office.treasure(), office.path("root/new")] {
        plant(&copies.join("link"), &target);
        let output = backup(&copies.join("link"));
        assert_eq!(output.code, 1, "{output:?}");
        office.is_unharmed("a link for the copy");
    }
    // A folder that another may change, and another's link to a folder.
    fs::create_dir(office.path("theirs")).unwrap();
    plant(&office.path("theirs/root"), &office.path("root"));
    chown(office.path("theirs"), Some(STRANGER), None).unwrap();
    for place in ["theirs/copy", "theirs/root/new"] {
        let said = backup(&office.path(place)).stderr;
        assert!(
            said.contains("theirs belongs to user 61666") && said.contains("name another folder"),
            "{said}"
        );
        office.is_unharmed(place);
    }
    assert_eq!(fs::read_dir(office.path("theirs")).unwrap().count(), 1);
    // The folder of the service itself.
    assert_eq!(backup(&office.path("state/copy.db")).code, 0);
    assert_eq!(fs::metadata(office.path("state/copy.db")).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn a_backup_that_fails_half_way_leaves_nothing() {
    let office = Office::that_has_run();
    let disk = office.path("disk");
    let _mount = Mount::new(&["-t", "tmpfs", "-o", "size=40k"], Path::new("tmpfs"), &disk);
    let output = office.exits(1, &["backup", disk.join("copy.db").to_str().unwrap()]);
    assert!(output.stderr.contains("full"), "{output:?}");
    assert_eq!(fs::read_dir(&disk).unwrap().count(), 0);
}

#[test]
fn exports_and_previews_are_private_and_take_no_links_place() {
    let office = Office::that_has_run();
    for (name, arguments) in [
        ("leads.csv", ["lead", "export", "leads", "--to"].as_slice()),
        ("mail.html", &["preview", "leads", "--last", "9", "--html"]),
    ] {
        let path = office.path(name);
        let write = || office.run(&[arguments, &[path.to_str().unwrap()]].concat());
        for _ in 0..2 {
            let output = write();
            assert_eq!(output.code, 0, "{output:?}");
        }
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600, "{name}");
        fs::remove_file(&path).unwrap();
        for target in [office.treasure(), office.path("root/new")] {
            plant(&path, &target);
            let output = write();
            assert!(output.code == 1 && output.stderr.contains("is a link to"), "{output:?}");
            office.is_unharmed(name);
        }
    }
    // Under sudo it is for who typed it.
    let path = office.path("asked.html");
    let mut command = office.command(&["preview", "leads", "--last", "9", "--html", path.to_str().unwrap()]);
    assert!(command.env("SUDO_UID", "61666").env("SUDO_GID", "61667").output().unwrap().status.success());
    let found = fs::metadata(&path).unwrap();
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (61_666, 61_667, 0o600));
    // A stranger's link on the way.
    plant(&office.path("way"), &office.path("root"));
    let output = office.run(&["lead", "export", "leads", "--to", office.path("way/new").to_str().unwrap()]);
    assert!(output.code == 1 && output.stderr.contains("is a link of user 61234's to"), "{output:?}");
    office.is_unharmed("a link on the way");
}

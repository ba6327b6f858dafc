//! Folders full of traps.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::judge::Kind;
use super::*;

fn here() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    (folder, path)
}

fn pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

fn reason(result: io::Result<impl Sized>) -> String {
    result.err().expect("a refusal").to_string()
}

#[test]
fn a_way_is_walked_through_its_links_and_ends_where_names_are_missing() {
    let (_folder, here) = here();
    fs::create_dir_all(here.join("private/state")).unwrap();
    symlink("private/state", here.join("state")).unwrap();
    symlink(here.join("state"), here.join("far")).unwrap();
    symlink("round", here.join("round")).unwrap();
    let way = path_walk::walk(&here.join("far/./../state/a/b")).unwrap();
    assert_eq!(way.path, here.join("private/state"));
    assert_eq!(way.missing, ["a", "b"]);
    let links = way.entries.iter().filter(|entry| matches!(entry.kind, Kind::Link(_)));
    assert_eq!(links.count(), 2, "far and state; the last name is private/state itself");
    assert!(path_walk::walk(&here.join("round")).is_err());
    File::create(here.join("file")).unwrap();
    assert!(path_walk::walk(&here.join("file/a")).is_err());
}

#[test]
fn folders_are_made_down_to_the_last() {
    let (_folder, here) = here();
    let path = here.join("a/b/c");
    for _ in 0..2 {
        let made = Folder::make(&path, 0o700, Use::Own).unwrap();
        assert_eq!(made.path(), path);
    }
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
    fs::write(here.join("file"), "").unwrap();
    assert!(Folder::make(&here.join("file/d"), 0o700, Use::Own).is_err());
    assert!(Folder::open(&here.join("nowhere"), Use::Own).is_err());
}

#[test]
fn a_folder_that_everybody_may_write_holds_no_state_and_may_hold_mails() {
    let (_folder, here) = here();
    let path = here.join("open");
    fs::create_dir(&path).unwrap();
    for mode in [0o777, 0o1777] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let said = reason(Folder::open(&path, Use::Own));
        assert!(said.contains(&format!("can change {}", path.display())), "{said}");
        assert!(refusal(&Folder::open(&path, Use::Own).unwrap_err()).is_some());
        Folder::open(&path, Use::Shared).unwrap().write("mail.eml", 0o600, b"mail").unwrap();
    }
    assert_eq!(fs::metadata(path.join("mail.eml")).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn traps_in_a_folder_are_named_and_neither_followed_nor_waited_for() {
    let (_folder, here) = here();
    let folder = Folder::open(&here, Use::Own).unwrap();
    fs::write(here.join("treasure"), "secret").unwrap();
    symlink(here.join("treasure"), here.join("link")).unwrap();
    symlink("nowhere", here.join("dangling")).unwrap();
    pipe(&here.join("pipe"));
    let _listener = std::os::unix::net::UnixListener::bind(here.join("socket")).unwrap();
    fs::create_dir(here.join("folder")).unwrap();
    fs::hard_link(here.join("treasure"), here.join("second")).unwrap();
    for (name, words) in [
        ("link", "is a link to"),
        (
            "dangling",
            "is a link to nowhere; leadflow does not follow links there; put the file itself in its place, \
             after: rm",
        ),
        ("pipe", "is a pipe, not a plain file; move it away: mv "),
        ("socket", "is a socket"),
        ("folder", "is a folder"),
        ("second", "has 2 names"),
    ] {
        for said in
            [reason(folder.stat(name)), reason(folder.file(name, true)), reason(folder.file(name, false))]
        {
            assert!(said.contains(words), "{name}: {said}");
        }
        assert!(folder.new_file(name, 0o600).is_err(), "{name}");
    }
    assert!(folder.stat("nothing").unwrap().is_none());
    // A part is written beside it and takes the link's place.
    folder.write("link", 0o644, b"ours").unwrap();
    assert_eq!(fs::read(here.join("treasure")).unwrap(), b"secret");
    assert_eq!(fs::read(here.join("link")).unwrap(), b"ours");
    let mut text = String::new();
    folder.file("link", false).unwrap().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "ours");
}

#[test]
fn a_database_that_everybody_may_write_or_with_traps_beside_it_is_refused() {
    let (_folder, here) = here();
    let folder = Folder::open(&here, Use::Own).unwrap();
    let open = || open_database(&folder, "x.db").map_err(|error| error.to_string());
    open().unwrap().execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)").unwrap();
    assert_eq!(fs::metadata(here.join("x.db")).unwrap().mode() & 0o777, 0o600);
    fs::write(here.join("treasure"), "").unwrap();
    for beside in ["x.db-wal", "x.db-shm", "x.db-journal"] {
        let path = here.join(beside);
        symlink(here.join("treasure"), &path).unwrap();
        assert!(open().unwrap_err().contains("is a link to"), "{beside}");
        fs::remove_file(&path).unwrap();
        pipe(&path);
        assert!(open().unwrap_err().contains("is a pipe"), "{beside}");
        fs::remove_file(&path).unwrap();
    }
    assert!(open().is_ok());
    for (mode, is_taken) in [(0o660, true), (0o644, true), (0o602, false), (0o666, false)] {
        fs::set_permissions(here.join("x.db"), fs::Permissions::from_mode(mode)).unwrap();
        match open() {
            Ok(_) => assert!(is_taken, "{mode:o}"),
            Err(said) => {
                assert!(
                    !is_taken && said.contains("every user of this machine can change"),
                    "{mode:o}: {said}"
                );
                assert!(said.contains("type: chmod o-w ") && said.contains("x.db"), "{said}");
            }
        }
    }
    fs::set_permissions(here.join("x.db"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(here.join("x.db"), here.join("y.db")).unwrap();
    symlink("y.db", here.join("x.db")).unwrap();
    assert!(open().unwrap_err().contains("is a link to y.db"));
}

#[test]
fn a_draft_is_private_from_its_first_byte_and_gone_when_it_is_not_kept() {
    let (_folder, here) = here();
    let names = || fs::read_dir(&here).unwrap().count();
    let path = here.join("copy");
    let mut draft = Draft::new(&path, None).unwrap();
    assert_eq!(fs::metadata(draft.path()).unwrap().mode() & 0o777, 0o600);
    draft.write_all(b"half").unwrap();
    assert!(!path.exists());
    drop(draft);
    assert_eq!(names(), 0);
    Draft::new(&path, None).unwrap().keep().unwrap();
    assert!(reason(Draft::new(&path, None)).contains("it already exists; name another file"));
    // Somebody is first.
    fs::remove_file(&path).unwrap();
    let draft = Draft::new(&path, None).unwrap();
    fs::write(&path, "other").unwrap();
    assert!(draft.keep().is_err());
    assert_eq!(fs::read(&path).unwrap(), b"other");
    // Another file in its place is not taken for it.
    let draft = Draft::replacing(&path, Readers::Asker).unwrap();
    fs::remove_file(draft.path()).unwrap();
    fs::write(draft.path(), "false").unwrap();
    assert!(reason(draft.keep()).contains("was replaced"));
    assert_eq!(names(), 1);
}

#[test]
fn a_draft_takes_the_place_of_plain_files_alone() {
    let (_folder, here) = here();
    let put = |name: &str| {
        let mut draft = Draft::replacing(&here.join(name), Readers::Asker)?;
        draft.write_all(b"new")?;
        draft.keep()
    };
    fs::write(here.join("treasure"), "old").unwrap();
    symlink("treasure", here.join("link")).unwrap();
    pipe(&here.join("pipe"));
    assert!(reason(put("link")).contains("is a link to treasure; name the file itself"));
    assert!(reason(put("pipe")).contains("is a pipe"));
    assert!(put("").is_err() && put("nowhere/file").is_err());
    assert_eq!(fs::read(here.join("treasure")).unwrap(), b"old");
    put("treasure").unwrap();
    assert_eq!(fs::read(here.join("treasure")).unwrap(), b"new");
    // A new one takes no name that a link has, wherever it leads.
    assert!(reason(Draft::new(&here.join("link"), None)).contains("already exists"));
    fs::set_permissions(&here, fs::Permissions::from_mode(0o777)).unwrap();
    let said = reason(Draft::new(&here.join("new"), None));
    assert!(
        said.contains("every user of this machine can change") && said.contains("name another folder"),
        "{said}"
    );
}

#[test]
fn only_plain_files_are_read_and_no_more_of_them_than_they_may_hold() {
    let (_folder, here) = here();
    let path = here.join("file");
    fs::write(&path, "12345").unwrap();
    assert_eq!(read_plain(&path, 5).unwrap(), b"12345");
    assert!(reason(read_plain(&path, 4)).contains("5 bytes"));
    pipe(&here.join("pipe"));
    assert!(reason(read_plain(&here.join("pipe"), 5)).contains("is a pipe, not a plain file"));
    assert!(read_plain(&here, 5).is_err());
    // It says that it is empty.
    assert!(read_plain(Path::new("/proc/self/environ"), 0).is_err());
    let of_device = reason(read_plain(Path::new("/dev/zero"), 5));
    assert!(of_device.contains("is a device") && !of_device.contains("rm "), "{of_device}");
}

#[test]
fn rights_are_explained_and_other_errors_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not/there");
    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    let words = explained(&path, &denied);
    let place = folder.path().display().to_string();
    for word in [&place, "belongs to", "(mode 0", "and you are"] {
        assert!(words.contains(word), "`{word}` is not in: {words}");
    }
    let full = io::Error::from(io::ErrorKind::StorageFull);
    assert_eq!(explained(&path, &full), full.to_string());
}

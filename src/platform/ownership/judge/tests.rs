//! The judgement as tables: the way from `/`, and what is said of it.

use super::*;

const ROOT: u32 = 0;
const SERVICE: u32 = 61_234;
const STRANGER: u32 = 1_666;
const FLOWS: &str = "/etc/flows.toml";
const STAMP: &str = "..2026_01_05_08_00_00.123456789";

fn entry(path: &str, kind: Kind, mode: u32, uid: u32) -> Entry {
    let path = PathBuf::from(path);
    Entry { path, kind, mode, uid, gid: uid, has_writers: false, sealed_data: None }
}

fn folder(path: &str, mode: u32, uid: u32) -> Entry {
    entry(path, Kind::Folder, mode, uid)
}

fn file(path: &str, mode: u32, uid: u32) -> Entry {
    entry(path, Kind::File, mode, uid)
}

fn link(path: &str, target: &str, uid: u32) -> Entry {
    entry(path, Kind::Link(target.into()), 0o777, uid)
}

/// Of a group that is not its owner's own.
fn shared(entry: Entry) -> Entry {
    Entry { gid: 50, ..entry }
}

/// `well`, or words of the first warning or refusal.
fn judged(way: &[Entry]) -> String {
    let way: Vec<_> = [folder("/", 0o755, ROOT)].into_iter().chain(way.iter().cloned()).collect();
    let trust = Trust { users: vec![ROOT], service: Some(SERVICE) };
    match judge(&way, &trust, "who gets the leads") {
        Err(finding) => format!("refused: {finding}"),
        Ok(warnings) => warnings.first().map_or("well".to_owned(), |finding| format!("warning: {finding}")),
    }
}

fn says(way: &[Entry], words: &[&str]) {
    let said = judged(way);
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}, of {way:#?}");
    }
}

#[test]
fn a_file_is_roots_or_ours_and_nobody_else_may_write_it() {
    let etc = folder("/etc", 0o755, ROOT);
    let of = |mode, uid| [etc.clone(), file(FLOWS, mode, uid)];
    says(&of(0o644, ROOT), &["well"]);
    says(&of(0o644, SERVICE), &["well"]);
    says(&of(0o664, SERVICE), &["well"]);
    says(
        &of(0o644, STRANGER),
        &["refused: /etc/flows.toml belongs to user 1666", "sudo chown root: /etc/flows.toml"],
    );
    let open =
        "refused: every user of this machine can change /etc/flows.toml, and therefore who gets the leads";
    says(&of(0o666, ROOT), &[open, "chmod o-w /etc/flows.toml"]);
    let group = shared(file(FLOWS, 0o664, ROOT));
    says(
        &[etc.clone(), group],
        &["warning:", "can change /etc/flows.toml, and therefore", "chmod g-w /etc/flows.toml"],
    );
    let listed = Entry { has_writers: true, ..file(FLOWS, 0o664, ROOT) };
    says(
        &[etc.clone(), listed],
        &["warning: an access control list lets users", "setfacl -b /etc/flows.toml"],
    );
    let pipe = entry(FLOWS, Kind::Other("pipe"), 0o644, ROOT);
    says(&[etc, pipe], &["refused: /etc/flows.toml is a pipe, not a plain file"]);
}

#[test]
fn so_is_every_folder_of_the_way() {
    let below = |folder: Entry, uid| [folder, file("/srv/flows.toml", 0o644, uid)];
    says(&below(folder("/srv", 0o755, SERVICE), ROOT), &["well"]);
    says(&below(folder("/srv", 0o775, SERVICE), SERVICE), &["well"]);
    says(
        &below(folder("/srv", 0o755, STRANGER), ROOT),
        &["refused: /srv belongs to user 1666", "chown root: /srv"],
    );
    let open = ["refused:", "/srv, a folder on the way, and therefore who gets the leads", "chmod o-w /srv"];
    says(&below(folder("/srv", 0o757, ROOT), ROOT), &open);
    let group = ["warning:", "can change /srv, a folder on the way", "chmod g-w /srv"];
    says(&below(shared(folder("/srv", 0o775, ROOT)), SERVICE), &group);
}

#[test]
fn a_sticky_folder_keeps_what_is_roots_or_ours() {
    let tmp = folder("/tmp", 0o1777, ROOT);
    let of = |uid| [tmp.clone(), file("/tmp/flows.toml", 0o644, uid)];
    says(&of(ROOT), &["well"]);
    let place = "refused: /tmp/flows.toml, in /tmp where others may put files, belongs to user ";
    says(&of(STRANGER), &[place]);
    // Whoever owns the state there may have put it there before the service did.
    says(&of(SERVICE), &[place]);
    says(
        &[folder("/tmp", 0o1777, STRANGER), file("/tmp/flows.toml", 0o644, ROOT)],
        &["refused: /tmp belongs to"],
    );
    says(
        &[folder("/tmp", 0o777, ROOT), file("/tmp/flows.toml", 0o644, ROOT)],
        &["refused:", "can change /tmp, a folder"],
    );
    let store = shared(folder("/store", 0o1775, ROOT));
    says(&[store.clone(), file("/store/flows.toml", 0o644, ROOT)], &["well"]);
    says(
        &[store, file("/store/flows.toml", 0o644, SERVICE)],
        &["refused: /store/flows.toml, in /store where"],
    );
}

#[test]
fn links_count_as_what_they_are_and_as_the_way_to_where_they_lead() {
    let etc = folder("/etc", 0o755, ROOT);
    let with = |uid, srv| {
        [etc.clone(), link(FLOWS, "/srv/f", uid), folder("/srv", srv, ROOT), file("/srv/f", 0o644, ROOT)]
    };
    says(&with(ROOT, 0o755), &["well"]);
    says(
        &with(STRANGER, 0o755),
        &["refused: /etc/flows.toml belongs to", "sudo chown -h root: /etc/flows.toml"],
    );
    says(&with(ROOT, 0o777), &["refused:", "can change /srv"]);
    let state_of_a_dynamic_user = [
        folder("/var", 0o755, ROOT),
        link("/var/leadflow", "private/leadflow", ROOT),
        folder("/var/private", 0o700, ROOT),
        folder("/var/private/leadflow", 0o750, SERVICE),
    ];
    says(&state_of_a_dynamic_user, &["well"]);
}

/// As `ls -la` shows a `ConfigMap` in a pod with an `fsGroup`.
fn mount(mode: u32, uid: u32, data: Option<&str>) -> Vec<Entry> {
    let folder_of_time = format!("/config/{STAMP}");
    vec![
        Entry { sealed_data: data.map(PathBuf::from), ..folder("/config", mode, uid) },
        link("/config/flows.toml", "..data/flows.toml", uid),
        link("/config/..data", STAMP, uid),
        shared(folder(&folder_of_time, 0o2755, uid)),
        shared(file(&format!("{folder_of_time}/flows.toml"), 0o664, uid)),
    ]
}

#[test]
fn mounts_of_kubernetes_are_the_one_exception() {
    for mode in [0o777, 0o2777, 0o1777, 0o3777] {
        assert_eq!(judged(&mount(mode, ROOT, Some(STAMP))), "well", "{mode:o}");
    }
    // Not mounted read-only, or `..data` is not root's or leads elsewhere: it is a folder as any other.
    for data in [None, Some("/home/ana"), Some("../..2026"), Some("..data_tmp"), Some("..")] {
        says(&mount(0o777, ROOT, data), &["every user of this machine can change /config", "Kubernetes"]);
    }
    says(&mount(0o777, STRANGER, Some(STAMP)), &["refused: /config belongs to"]);
    let mut way = mount(0o777, ROOT, Some(STAMP));
    way.last_mut().unwrap().uid = STRANGER;
    says(&way, &["refused:"]);
}

//! The users of this machine: who is trusted, and what they are called.

use std::ffi::OsStr;
use std::fs;

use crate::text::foreign;

/// What a user is called who has no number in this user namespace, unless the system says otherwise.
const UNKNOWN: u32 = 65_534;
/// Characters of a name that are kept.
const LONGEST_NAME: usize = 100;

/// Root, and the user that leadflow runs as.
pub(crate) fn trusted_users() -> Vec<u32> {
    let mut users = vec![0, uzers::get_effective_uid()];
    // In a container whose users are mapped without root, its files belong to nobody that is known.
    let has_no_root = fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !has_root(&map));
    if has_no_root {
        let number = fs::read_to_string("/proc/sys/kernel/overflowuid").ok();
        users.push(number.and_then(|number| number.trim().parse().ok()).unwrap_or(UNKNOWN));
    }
    users
}

/// Whether it is the user who typed the command: ours, root, or who typed `sudo` before it.
pub(crate) fn asks_for_it(user: u32) -> bool {
    trusted_users().contains(&user) || (uzers::get_effective_uid() == 0 && sudo_user() == Some(user))
}

/// The name of the user who typed the command, also where `sudo` was before it; the user's number if there is no name. It
/// is clean and may be printed and stored.
pub fn who_asks() -> String {
    name_of_asker(uzers::get_current_uid(), std::env::var_os("SUDO_USER").as_deref())
}

/// Only root is believed that another user has typed `sudo`.
fn name_of_asker(user: u32, sudo_user: Option<&OsStr>) -> String {
    let clean = |name: &str| Some(foreign::line(name, LONGEST_NAME)).filter(|name| !name.is_empty());
    let by_sudo = sudo_user.filter(|_| user == 0).and_then(|name| clean(&name.to_string_lossy()));
    by_sudo.or_else(|| clean(&word_of(user))).unwrap_or_else(|| user.to_string())
}

/// Who typed `sudo` or `run0`.
pub(super) fn sudo_user() -> Option<u32> {
    std::env::var("SUDO_UID").ok()?.parse().ok()
}

/// Their group.
pub(super) fn sudo_group() -> Option<u32> {
    std::env::var("SUDO_GID").ok()?.parse().ok()
}

/// The groups of a user, so far as this machine knows the user.
pub(super) fn groups_of(user: u32) -> Vec<u32> {
    let known = uzers::get_user_by_uid(user).and_then(|user| user.groups());
    known.into_iter().flatten().map(|group| group.gid()).chain([user]).collect()
}

/// What a user is called in a sentence.
pub(crate) fn name_of(user: u32) -> String {
    named(user).unwrap_or_else(|| format!("user {user}"))
}

/// What a user is called in a command.
pub(crate) fn word_of(user: u32) -> String {
    named(user).unwrap_or_else(|| user.to_string())
}

fn named(user: u32) -> Option<String> {
    uzers::get_user_by_uid(user).map(|user| user.name().to_string_lossy().into_owned())
}

/// The name of a group, or its number.
pub(crate) fn name_of_group(group: u32) -> String {
    uzers::get_group_by_gid(group)
        .map_or_else(|| group.to_string(), |group| group.name().to_string_lossy().into_owned())
}

/// Whether a user namespace has root: each line of its map is a first number, what it is outside, and how many
/// follow each other.
fn has_root(map: &str) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        matches!(*numbers, [0, _, count] if count > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_may_have_no_root() {
        assert!(has_root("         0          0 4294967295\n"));
        assert!(has_root("0 1000 1\n1 100000 65536"));
        assert!(!has_root("      1000       1000          1\n"));
        assert!(!has_root(""));
        assert!(trusted_users().contains(&0));
    }

    #[test]
    fn who_asks_is_the_user_and_behind_sudo_who_typed_it() {
        let asker = |user, sudo_user: &str| name_of_asker(user, Some(OsStr::new(sudo_user)));
        let root = word_of(0);
        assert_eq!((name_of_asker(0, None), asker(0, "anna")), (root.clone(), "anna".to_owned()));
        assert_eq!((asker(0, ""), asker(0, " \n")), (root.clone(), root), "nobody is called so");
        let nobody = 3_999_999_999;
        assert_eq!(asker(nobody, "anna"), "3999999999", "anyone may set a variable");
        assert_eq!(asker(0, "an\u{1b}na\nof \u{202e}there"), "an na of there");
        assert!(asker(0, &"a".repeat(1000)).chars().count() <= LONGEST_NAME);
    }
}

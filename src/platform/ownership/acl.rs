//! Access control lists: the group's bits of a mode are then the mask of all that others may.

use std::path::Path;

use rustix::fs::lgetxattr;

/// The version of a list's form in its extended attribute, which is four bytes and eight an entry:
/// tag, rights, number (`linux/posix_acl_xattr.h`).
const VERSION: [u8; 4] = [2, 0, 0, 0];
const USER: u16 = 0x02;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const WRITE: u16 = 0x02;
/// More than any file system keeps of one file.
const LARGEST: usize = 64 << 10;

/// Whether a list names somebody who may write. A path without a list, or on a file system without any, has none.
pub(super) fn has_writers(path: &Path) -> bool {
    let mut list = vec![0; LARGEST];
    lgetxattr(path, "system.posix_acl_access", list.as_mut_slice())
        .is_ok_and(|length| names_writers(list.get(..length).unwrap_or_default()))
}

/// Whether there is a list, which may name whomever.
pub(super) fn is_listed(path: &Path) -> bool {
    let mut list = vec![0; LARGEST];
    lgetxattr(path, "system.posix_acl_access", list.as_mut_slice()).is_ok_and(|length| length > 0)
}

fn names_writers(list: &[u8]) -> bool {
    let Some(entries) = list.strip_prefix(&VERSION) else { return false };
    let entries: Vec<(u16, u16)> = entries
        .chunks_exact(8)
        .filter_map(|entry| match *entry {
            [a, b, c, d, ..] => Some((u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]))),
            _ => None,
        })
        .collect();
    let may =
        |wanted: &[u16]| entries.iter().any(|(tag, rights)| wanted.contains(tag) && rights & WRITE != 0);
    may(&[USER, GROUP]) && may(&[MASK])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(u16, u16)]) -> Vec<u8> {
        let mut list = VERSION.to_vec();
        for (tag, rights) in entries {
            list.extend(tag.to_le_bytes());
            list.extend(rights.to_le_bytes());
            list.extend(1000_u32.to_le_bytes());
        }
        list
    }

    #[test]
    fn named_users_and_groups_within_the_mask_may_write() {
        let owner = [(0x01, 6), (0x04, 4), (0x20, 4)];
        for (more, expected) in [
            (vec![], false),
            (vec![(USER, 6), (MASK, 6)], true),
            (vec![(GROUP, 6), (MASK, 6)], true),
            (vec![(USER, 4), (MASK, 6)], false),
            (vec![(USER, 6), (MASK, 4)], false),
        ] {
            let all: Vec<_> = owner.into_iter().chain(more.clone()).collect();
            assert_eq!(names_writers(&list(&all)), expected, "{more:?}");
        }
        assert!(!names_writers(b""));
        assert!(!names_writers(b"\x02\0\0\0\x02"));
        assert!(!has_writers(Path::new("/nowhere")));
    }
}

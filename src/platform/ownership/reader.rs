//! Whether the service can read a file, when root asks, who can read everything.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::judge::{Entry, Kind};
use super::{acl, name_of, name_of_group, path_walk, users};

/// The user that the service runs as, and what its sandbox hides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reader {
    /// `None` for one that systemd makes at the start.
    user: Option<u32>,
    groups: Vec<u32>,
    is_of_package: bool,
}

/// Why the service cannot read a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) why: String,
    /// Whose rights keep it out.
    pub(crate) shut: Option<PathBuf>,
}

/// What the packaged unit hides, and by which of its settings.
const HIDDEN: [(&str, &str); 5] = [
    ("/home", "ProtectHome="),
    ("/root", "ProtectHome="),
    ("/run/user", "ProtectHome="),
    ("/tmp", "PrivateTmp="),
    ("/var/tmp", "PrivateTmp="),
];
/// Where `systemctl edit leadflow` puts what it changes.
const EDITS: &str = "/etc/systemd/system/leadflow.service.d";
const READ: u32 = 0o4;
const SEARCH: u32 = 0o1;

impl Reader {
    /// The owner of the state folder, or of the package before its first start a user without any rights. `None` when
    /// it is root, or not root who asks.
    pub(crate) fn for_service(state: &Path, is_of_package: bool) -> Option<Self> {
        if uzers::get_effective_uid() != 0 {
            return None;
        }
        let owner = fs::metadata(state).ok().map(|found| found.uid());
        match owner {
            Some(0) => None,
            Some(user) => Some(Self { user: Some(user), groups: users::groups_of(user), is_of_package }),
            None if !is_of_package || is_edited("User=") => None,
            None => Some(Self { user: None, groups: Vec::new(), is_of_package }),
        }
    }

    /// Whether it is the packaged unit's, which takes credentials from a folder.
    pub(crate) fn is_of_package(&self) -> bool {
        self.is_of_package
    }

    /// What keeps it from a file that is there; `None` where nothing does, or where that is not known.
    pub(crate) fn refusal(&self, path: &Path) -> Option<Refusal> {
        let way = path_walk::seen(path);
        if !matches!(way.last()?.kind, Kind::File) {
            return None;
        }
        let is_hidden = |(place, by): &&(&str, &str)| {
            self.is_of_package && way.iter().any(|entry| entry.path == Path::new(place)) && !is_edited(by)
        };
        if let Some((place, by)) = HIDDEN.iter().find(is_hidden) {
            return Some(Refusal { why: format!("its unit hides {place} from it ({by})"), shut: None });
        }
        let shut = way.iter().find(|entry| !self.may(entry))?;
        let owner = name_of(shut.uid);
        let group = name_of_group(shut.gid);
        let why = format!("{} belongs to {owner}:{group} (mode {:04o})", shut.path.display(), shut.mode);
        Some(Refusal { why, shut: Some(shut.path.clone()) })
    }

    fn may(&self, entry: &Entry) -> bool {
        let wanted = match entry.kind {
            Kind::Link(_) => return true,
            Kind::Folder => SEARCH,
            Kind::File | Kind::Other(_) => READ,
        };
        // A unit may give it further groups, which only systemd knows; of root's own group it is not.
        let is_of_group = self.groups.contains(&entry.gid) || entry.gid != 0;
        let is_owner = self.user == Some(entry.uid);
        let by_group = is_of_group && entry.mode >> 3 & wanted != 0;
        (is_owner && entry.mode >> 6 & wanted != 0)
            || by_group
            || entry.mode & wanted != 0
            || acl::is_listed(&entry.path)
    }
}

/// Whether somebody has another value for a setting of the packaged unit, so that it is not known what holds.
fn is_edited(setting: &str) -> bool {
    let files = fs::read_dir(EDITS).into_iter().flatten().flatten();
    let mut texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    texts.any(|text| text.contains(setting))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: Kind, mode: u32, uid: u32, gid: u32) -> Entry {
        let path = PathBuf::from("/nowhere");
        Entry { path, kind, mode, uid, gid, has_writers: false, sealed_data: None }
    }

    #[test]
    fn rights_of_the_owner_the_group_and_the_others() {
        let of = |user| Reader { user, groups: vec![700], is_of_package: true };
        for (kind, mode, uid, gid, owner, made_at_start) in [
            (Kind::File, 0o600, 700, 700, true, false),
            (Kind::File, 0o600, 0, 0, false, false),
            (Kind::File, 0o640, 0, 0, false, false),
            (Kind::File, 0o640, 0, 700, true, true),
            (Kind::File, 0o640, 0, 701, true, true),
            (Kind::File, 0o644, 0, 0, true, true),
            (Kind::Folder, 0o744, 0, 0, false, false),
            (Kind::Folder, 0o751, 0, 0, true, true),
            (Kind::Folder, 0o700, 700, 0, true, false),
            (Kind::Link("elsewhere".into()), 0o000, 0, 0, true, true),
        ] {
            let entry = entry(kind, mode, uid, gid);
            assert_eq!(of(Some(700)).may(&entry), owner, "{entry:?}");
            assert_eq!(of(None).may(&entry), made_at_start, "{entry:?}");
        }
    }
}

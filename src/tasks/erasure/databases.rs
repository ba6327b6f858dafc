//! Databases that lie in leadflow's folders and are not the state: what `recover` has put aside, and
//! copies. They hold whole mails, in base64 and in pieces, so that a search for words is not enough.

use std::io::Read as _;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::Leftover;
use super::person::Person;
use crate::platform::ownership::open_inside;

/// What a database begins with, and a write-ahead log in either order of bytes.
const DATABASE: &[u8] = b"SQLite format 3\0";
const LOGS: [&[u8]; 2] = [b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"];

/// Searches the file where it is a database; what is to be reported of it, its errors included.
pub(super) fn search(path: &Path, person: &Person) -> Option<Leftover> {
    let mut head = Vec::new();
    open_inside(path).ok()?.take(DATABASE.len() as u64).read_to_end(&mut head).ok()?;
    let what = if LOGS.iter().any(|log| head.starts_with(log)) {
        format!("{} is a database's log, which cannot be searched", path.display())
    } else if head == DATABASE {
        match is_in_database(path, person) {
            Ok(false) => return None,
            Ok(true) => format!("{} is an earlier or copied database, and names the person", path.display()),
            Err(error) => format!("{} is a database that cannot be searched: {error}", path.display()),
        }
    } else {
        return None;
    };
    Some(Leftover {
        what,
        help: format!("leadflow does not use it; delete it if you no longer need it: rm {}", path.display()),
    })
}

fn is_in_database(path: &Path, person: &Person) -> rusqlite::Result<bool> {
    // Nothing is written beside it, and no log is opened.
    let mut address =
        url::Url::from_file_path(path).map_err(|()| rusqlite::Error::InvalidPath(path.to_owned()))?;
    address.set_query(Some("immutable=1"));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let db = Connection::open_with_flags(address.as_str(), flags)?;
    let mut ask = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?;
    let tables: Vec<String> = ask.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for table in &tables {
        if is_in_table(&db, table, person)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Cells of bytes that follow each other are pieces of one mail, as far as they have the same first cell.
fn is_in_table(db: &Connection, table: &str, person: &Person) -> rusqlite::Result<bool> {
    let mut ask = db.prepare(&format!("SELECT * FROM \"{}\"", table.replace('"', "\"\"")))?;
    let columns = ask.column_count();
    let mut mail = Vec::new();
    let mut of = None;
    let mut rows = ask.query([])?;
    while let Some(row) = rows.next()? {
        let first = row.get::<_, rusqlite::types::Value>(0)?;
        if of.as_ref() != Some(&first) {
            if !mail.is_empty() && person.is_in_mail(&mail) {
                return Ok(true);
            }
            (mail, of) = (Vec::new(), Some(first));
        }
        for column in 0..columns {
            match row.get_ref(column)? {
                ValueRef::Text(text) if person.is_in_text(&String::from_utf8_lossy(text)) => return Ok(true),
                // Keys and versions are bytes, too, and no mail begins with as few.
                ValueRef::Blob(bytes) if !mail.is_empty() || bytes.len() > SHORT => {
                    mail.extend_from_slice(bytes);
                }
                _ => {}
            }
        }
    }
    Ok(!mail.is_empty() && person.is_in_mail(&mail))
}

/// Bytes of a key and a version.
const SHORT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::erasure::ErasureTarget;

    #[test]
    fn whole_mails_are_read_and_what_cannot_be_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let person = Person::new(&ErasureTarget::parse("ana@fabrikam.example"));
        let at = |name: &str| folder.path().join(name);
        let path = at("a b#?%41.db");
        let mut mail = b"Subject: x\r\nContent-Transfer-Encoding: base64\r\n\r\n".to_vec();
        let db = Connection::open(&path).unwrap();
        db.execute_batch("CREATE TABLE \"te\"\"xts\" (mail, part, bytes)").unwrap();
        let put = |bytes: &[u8], mail: i64, part: i64| {
            db.execute("INSERT INTO \"te\"\"xts\" VALUES (?1, ?2, ?3)", (mail, part, bytes)).unwrap();
        };
        put(b"Subject: other\r\n\r\nThis one names somebody else, at some length: bo@c.example\r\n", 1, 0);
        assert_eq!(search(&path, &person), None);
        mail.extend_from_slice(b"VGhpcyBvbmUgbmFtZXMgYW5hQGZhYnJpa2FtLmV4YW1wbGU=\r\n");
        let (begin, end) = mail.split_at(70);
        put(begin, 2, 0);
        put(end, 2, 1);
        let found = search(&path, &person).unwrap();
        assert!(found.what.ends_with("names the person") && found.help.contains("rm /"), "{found:?}");
        drop(db);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(at("broken"), [&whole[..100], &[b'x'; 5_000]].concat()).unwrap();
        std::fs::write(at("log"), [LOGS[1], &[0; 40]].concat()).unwrap();
        std::fs::write(at("text"), "no database").unwrap();
        assert!(search(&at("broken"), &person).unwrap().what.contains("cannot be searched: "));
        assert!(search(&at("log"), &person).unwrap().what.contains("a database's log"));
        assert_eq!(search(&at("text"), &person), None);
    }
}

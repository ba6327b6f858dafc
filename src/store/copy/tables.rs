//! The tables of a state, in the form that every backend has.

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    Integer,
    Text,
    /// 0 or 1 among the values.
    Boolean,
    /// 16 bytes.
    Key,
    Bytes,
}

/// A table in the form that every backend has.
pub(in crate::store) struct Table {
    pub(in crate::store) name: &'static str,
    pub(in crate::store) columns: &'static [(&'static str, Kind)],
    /// Columns that no two rows share, in whose order rows are compared.
    pub(in crate::store) order: &'static str,
}

/// Tables whose numbers are never given twice.
pub(in crate::store) const NUMBERED: [&str; 3] = ["runs", "mails", "requests"];

use Kind::{Boolean, Bytes, Integer, Key, Text};

/// All tables but that of the nodes, which are of now; each after those that it refers to, but for `flows.source_id`.
pub(in crate::store) const TABLES: [Table; 14] = [
    Table { name: "meta", columns: &[("name", Text), ("value", Text)], order: "name" },
    Table {
        name: "flows",
        columns: &[
            ("id", Integer),
            ("name", Text),
            ("anchor", Integer),
            ("last_slot", Integer),
            ("off_since", Integer),
            ("on_since", Integer),
            ("last_read", Integer),
            ("failures", Integer),
            ("failing_since", Integer),
            ("failed_run", Integer),
            ("clock_problem", Text),
            ("due_since", Integer),
            ("source_id", Integer),
            ("preset_begin", Integer),
            ("seen_on", Integer),
            ("off_by", Text),
        ],
        order: "id",
    },
    Table {
        name: "sources",
        columns: &[
            ("id", Integer),
            ("flow", Integer),
            ("identity", Text),
            ("first_due", Integer),
            ("begin", Integer),
            ("watermark", Integer),
            ("looked_back", Integer),
            ("left_since", Integer),
        ],
        order: "id",
    },
    Table {
        name: "runs",
        columns: &[
            ("id", Integer),
            ("flow", Integer),
            ("cause", Text),
            ("due", Integer),
            ("started", Integer),
            ("ended", Integer),
            ("outcome", Text),
            ("summary", Text),
            ("rows", Integer),
            ("mails", Integer),
            ("help", Text),
            ("owner", Text),
            ("asked_by", Text),
        ],
        order: "id",
    },
    Table {
        name: "steps",
        columns: &[
            ("run", Integer),
            ("position", Integer),
            ("name", Text),
            ("inputs", Text),
            ("outputs", Text),
            ("took", Integer),
        ],
        order: "run, position",
    },
    Table {
        name: "keys",
        columns: &[
            ("source", Integer),
            ("key", Key),
            ("version", Integer),
            ("run", Integer),
            ("mail", Integer),
        ],
        order: "source, key",
    },
    Table {
        name: "earlier",
        columns: &[("source", Integer), ("key", Key), ("run", Integer), ("mail", Integer)],
        order: "source, key, mail",
    },
    Table {
        name: "mails",
        columns: &[
            ("id", Integer),
            ("run", Integer),
            ("connections", Text),
            ("sender", Text),
            ("subject", Text),
            ("message_id", Text),
            ("created", Integer),
            ("sending", Boolean),
            ("tries", Integer),
            ("began", Integer),
            ("is_paced", Boolean),
            ("next_try", Integer),
            ("connection", Text),
            ("broke", Integer),
            ("broke_over", Text),
            ("breaks", Integer),
            ("owner", Text),
            ("asked_by", Text),
        ],
        order: "id",
    },
    Table {
        name: "texts",
        columns: &[("mail", Integer), ("part", Integer), ("bytes", Bytes)],
        order: "mail, part",
    },
    Table {
        name: "recipients",
        columns: &[
            ("mail", Integer),
            ("position", Integer),
            ("address", Text),
            ("state", Text),
            ("uncertain", Integer),
            ("reply", Text),
        ],
        order: "mail, position",
    },
    Table {
        name: "requests",
        columns: &[
            ("id", Integer),
            ("kind", Text),
            ("flow", Text),
            ("about", Text),
            ("created", Integer),
            ("run", Integer),
            ("answer", Text),
            ("asked_by", Text),
        ],
        order: "id",
    },
    Table {
        name: "connections",
        columns: &[
            ("name", Text),
            ("failures", Integer),
            ("failing_since", Integer),
            ("what", Text),
            ("help", Text),
            ("rest_until", Integer),
        ],
        order: "name",
    },
    Table { name: "sends", columns: &[("connection", Text), ("at", Integer)], order: "connection, at" },
    Table {
        name: "alarms",
        columns: &[
            ("kind", Text),
            ("about", Text),
            ("since", Integer),
            ("what", Text),
            ("mailed", Integer),
            ("mail", Integer),
        ],
        order: "kind, about",
    },
];

impl Table {
    /// The names of its columns, as a statement has them.
    pub(in crate::store) fn list(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

-- All moments are microseconds since 1970-01-01 UTC.

CREATE TABLE flows (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    anchor      INTEGER NOT NULL,      -- when the flow was first seen: slots count from here
    last_slot   INTEGER,               -- the newest slot that a run has taken
    off_since   INTEGER,               -- set by `leadflow off`
    source      TEXT,                  -- the table that begin, watermark and keys are about
    begin       INTEGER,               -- rows before it are not mailed; NULL with a fixed window
    watermark   INTEGER,               -- how far the table is read, in the server's time
    looked_back INTEGER                -- the last deep scan; NULL until the first scan is committed
) STRICT;

CREATE TABLE runs (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    flow      INTEGER NOT NULL REFERENCES flows (id),
    cause     TEXT NOT NULL,
    due       INTEGER,
    started   INTEGER NOT NULL,
    ended     INTEGER,
    outcome   TEXT NOT NULL,
    summary   TEXT NOT NULL DEFAULT '',
    rows      INTEGER NOT NULL DEFAULT 0,
    mails     INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX runs_by_flow ON runs (flow, id);
CREATE UNIQUE INDEX one_run_at_a_time ON runs (flow) WHERE outcome = 'running';

CREATE TABLE steps (
    run      INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    name     TEXT NOT NULL,
    inputs   TEXT NOT NULL,            -- JSON object
    outputs  TEXT NOT NULL,            -- JSON object
    took     INTEGER NOT NULL,         -- microseconds
    PRIMARY KEY (run, position)
) STRICT, WITHOUT ROWID;

-- The rows a flow has handed on. `mail` is NULL for rows that were passed over or lay before begin.
CREATE TABLE keys (
    flow    INTEGER NOT NULL,
    key     BLOB NOT NULL,             -- 16 bytes of the hash of PartitionKey and RowKey
    version INTEGER NOT NULL,          -- 8 bytes of the hash of the Timestamp that was handed on
    run     INTEGER NOT NULL,
    mail    INTEGER,
    PRIMARY KEY (flow, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE mails (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    run         INTEGER NOT NULL REFERENCES runs (id),
    connections TEXT NOT NULL,         -- JSON array of names, in the order they are tried
    sender      TEXT NOT NULL,         -- envelope sender
    subject     TEXT NOT NULL,
    message_id  TEXT NOT NULL,
    bytes       BLOB,                  -- RFC 5322 text; NULL once it is purged
    created     INTEGER NOT NULL,
    sending     INTEGER NOT NULL DEFAULT 0,
    tries       INTEGER NOT NULL DEFAULT 0,
    next_try    INTEGER                -- NULL: nothing waits any more
) STRICT;
CREATE INDEX mails_that_wait ON mails (next_try) WHERE next_try IS NOT NULL;
CREATE INDEX mails_by_run ON mails (run);

CREATE TABLE recipients (
    mail      INTEGER NOT NULL REFERENCES mails (id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    address   TEXT NOT NULL,
    state     TEXT NOT NULL,           -- waiting | sent | uncertain | held
    uncertain INTEGER NOT NULL DEFAULT 0, -- times the end of the message got no reply; never goes back
    reply     TEXT,
    PRIMARY KEY (mail, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE requests (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    kind    TEXT NOT NULL,
    flow    TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT;

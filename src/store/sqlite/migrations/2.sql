-- The state as one whole: its identity, which the marker beside flows.toml repeats, and when the
-- daemon last made its plan.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta (name, value) VALUES ('id', lower(hex(randomblob(16))));

-- What the alarms look at.
ALTER TABLE flows ADD COLUMN on_since INTEGER;                    -- `leadflow on` has turned it on again
ALTER TABLE flows ADD COLUMN last_read INTEGER;                   -- the last run that read the table to its end
ALTER TABLE flows ADD COLUMN failures INTEGER NOT NULL DEFAULT 0; -- failed runs since then
ALTER TABLE flows ADD COLUMN failing_since INTEGER;
ALTER TABLE flows ADD COLUMN failed_run INTEGER;                  -- the last of them
ALTER TABLE flows ADD COLUMN clock_problem TEXT;                  -- why the last scan moved no watermark
UPDATE flows SET
    last_read = (SELECT max(ended) FROM runs WHERE runs.flow = flows.id
                 AND outcome NOT IN ('running', 'failed', 'interrupted'));
UPDATE flows SET
    (failures, failing_since, failed_run) = (
        SELECT count(*), min(ended), max(id) FROM runs
        WHERE runs.flow = flows.id AND outcome = 'failed' AND ended > coalesce(flows.last_read, 0));

ALTER TABLE runs ADD COLUMN help TEXT;                            -- what to do about a failed run

-- A mail about leadflow's own work has no run.
CREATE TABLE mails_2 (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    run         INTEGER REFERENCES runs (id),
    connections TEXT NOT NULL,         -- JSON array of names, in the order they are tried
    sender      TEXT NOT NULL,         -- envelope sender
    subject     TEXT NOT NULL,
    message_id  TEXT NOT NULL,
    bytes       BLOB,                  -- RFC 5322 text; NULL once it is purged
    created     INTEGER NOT NULL,
    sending     INTEGER NOT NULL DEFAULT 0,
    tries       INTEGER NOT NULL DEFAULT 0,
    began       INTEGER,               -- when it was first named to a server: counts for per_hour
    is_paced    INTEGER NOT NULL DEFAULT 0, -- it waits for nothing but its flow's per_hour
    next_try    INTEGER                -- NULL: nothing waits any more
) STRICT;
INSERT INTO mails_2 (id, run, connections, sender, subject, message_id, bytes, created, sending, tries, began, next_try)
    SELECT id, run, connections, sender, subject, message_id, bytes, created, sending, tries,
           iif(tries > 0, created, NULL), next_try
    FROM mails;
DROP TABLE mails;
ALTER TABLE mails_2 RENAME TO mails;
CREATE INDEX mails_that_wait ON mails (connections, next_try) WHERE next_try IS NOT NULL;
CREATE INDEX mails_by_run ON mails (run);
CREATE INDEX mails_by_begin ON mails (began) WHERE began IS NOT NULL;
CREATE INDEX recipients_that_are_held ON recipients (mail) WHERE state = 'held';

-- Mail connections that fail.
CREATE TABLE connections (
    name          TEXT PRIMARY KEY,
    failures      INTEGER NOT NULL,    -- tries in a row
    failing_since INTEGER NOT NULL,
    what          TEXT NOT NULL,
    help          TEXT
) STRICT, WITHOUT ROWID;

-- What is wrong now, and who was told.
CREATE TABLE alarms (
    kind   TEXT NOT NULL,              -- file | connection | clock | failing | late | held | waiting
    about  TEXT NOT NULL,              -- the flow or connection; empty for the whole
    since  INTEGER NOT NULL,
    what   TEXT NOT NULL,              -- in a sentence, as it was last
    mailed INTEGER,                    -- when the last mail about it was made
    mail   INTEGER,                    -- that mail
    PRIMARY KEY (kind, about)
) STRICT, WITHOUT ROWID;

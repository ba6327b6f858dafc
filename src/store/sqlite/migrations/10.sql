-- Who works on the state. With the lock of the state folder it is one process at a time, whose lease has no end.
CREATE TABLE nodes (
    name        TEXT PRIMARY KEY,
    owner       TEXT UNIQUE,           -- whose claims runs and mails bear; NULL once it was taken over
    lease_until INTEGER,               -- NULL: it has no end
    joined      INTEGER NOT NULL,
    seen        INTEGER NOT NULL,      -- when it renewed its lease last
    version     TEXT NOT NULL,
    digest      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
DELETE FROM meta WHERE name = 'owner';
INSERT INTO meta (name, value) VALUES ('schedule', '0'); -- rises when what planners follow from is changed by a command
CREATE INDEX mails_in_hands ON mails (connections, owner) WHERE owner IS NOT NULL;

ALTER TABLE connections ADD COLUMN rest_until INTEGER;   -- nobody tries it before
-- What was handed to a connection within the last minute: counts for per_minute.
CREATE TABLE sends (
    connection TEXT NOT NULL,
    at         INTEGER NOT NULL
) STRICT;
CREATE INDEX sends_by_connection ON sends (connection, at);

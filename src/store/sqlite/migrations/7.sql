-- The tables that a flow reads or has read, each with how far. A flow that comes back to one goes on
-- where it was.
CREATE TABLE sources (
    id          INTEGER PRIMARY KEY,
    flow        INTEGER NOT NULL REFERENCES flows (id) ON DELETE CASCADE,
    identity    TEXT NOT NULL,         -- account and table, one text for every way to write them
    first_due   INTEGER,               -- the slot that the flow was first to read it for; NULL once it was read
    begin       INTEGER,               -- rows before it are not mailed; NULL with a fixed window
    watermark   INTEGER,               -- how far the table is read, in the server's time
    looked_back INTEGER,               -- the last deep scan; NULL until the first scan is committed
    left_since  INTEGER,               -- since then the flow reads another table
    UNIQUE (flow, identity)
) STRICT;

-- Keys name their source by the number that their flow has had. Rows that were replayed before the
-- flow's first run have a source whose identity is not known yet.
INSERT INTO sources (id, flow, identity, begin, watermark, looked_back)
    SELECT id, id, coalesce(source, ''), iif(source IS NULL, NULL, begin), watermark, looked_back FROM flows
    WHERE source IS NOT NULL OR EXISTS (SELECT 1 FROM keys WHERE keys.flow = flows.id);

ALTER TABLE flows ADD COLUMN due_since INTEGER;                   -- the first slot since the table was last read
ALTER TABLE flows ADD COLUMN source_id INTEGER REFERENCES sources (id); -- the table that it reads
ALTER TABLE flows ADD COLUMN preset_begin INTEGER;                -- `leadflow recover` wants its next begin there
ALTER TABLE flows ADD COLUMN seen_on INTEGER;                     -- when it was first seen on: its anchor; NULL while it is off
UPDATE flows SET source_id = id WHERE source IS NOT NULL;
UPDATE flows SET preset_begin = begin WHERE source IS NULL;
UPDATE flows SET seen_on = anchor;
UPDATE flows SET due_since = (
        SELECT min(coalesce(due, started)) FROM runs WHERE runs.flow = flows.id AND outcome IN ('failed', 'interrupted')
            AND cause NOT IN ('resubmit', 'replay') AND started > coalesce(flows.last_read, 0))
    WHERE failures > 0;
ALTER TABLE flows DROP COLUMN source;
ALTER TABLE flows DROP COLUMN begin;
ALTER TABLE flows DROP COLUMN watermark;
ALTER TABLE flows DROP COLUMN looked_back;

DROP TRIGGER keys_that_are_mailed_again;
ALTER TABLE keys RENAME COLUMN flow TO source;
ALTER TABLE earlier RENAME COLUMN flow TO source;
CREATE TRIGGER keys_that_are_mailed_again AFTER UPDATE ON keys WHEN old.mail IS NOT NULL AND new.mail IS NOT old.mail
BEGIN
    INSERT OR IGNORE INTO earlier (source, key, run, mail) VALUES (old.source, old.key, old.run, old.mail);
END;

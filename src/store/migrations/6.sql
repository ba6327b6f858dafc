-- The bytes of mails lie apart: an update of a mail need not write them anew, nor a look read over them.
CREATE TABLE texts (
    mail  INTEGER PRIMARY KEY REFERENCES mails (id) ON DELETE CASCADE,
    bytes BLOB NOT NULL                -- RFC 5322 text; the row is gone once it is purged
) STRICT;
INSERT INTO texts (mail, bytes) SELECT id, bytes FROM mails WHERE bytes IS NOT NULL;
ALTER TABLE mails DROP COLUMN bytes;

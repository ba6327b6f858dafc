-- The bytes of mails lie apart: an update of a mail need not write them anew, nor a look read over
-- them. They lie in pieces, so that no more than one of them is in memory twice.
CREATE TABLE texts (
    mail  INTEGER NOT NULL REFERENCES mails (id) ON DELETE CASCADE,
    part  INTEGER NOT NULL,
    bytes BLOB NOT NULL,               -- RFC 5322 text; the rows are gone once it is purged
    PRIMARY KEY (mail, part)
) STRICT;
INSERT INTO texts (mail, part, bytes) SELECT id, 0, bytes FROM mails WHERE bytes IS NOT NULL;
ALTER TABLE mails DROP COLUMN bytes;

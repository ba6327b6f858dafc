-- A mail in the middle of which a session broke steps aside: the others of its lane go first.
ALTER TABLE mails ADD COLUMN broke INTEGER;                    -- rises with each break of any mail; NULL: none, or it waits no more
-- JSON array of the connections over which its last try broke, while no other mail has gone
-- through one of them since: until then nobody knows whose fault it was.
ALTER TABLE mails ADD COLUMN broke_over TEXT;
ALTER TABLE mails ADD COLUMN breaks INTEGER NOT NULL DEFAULT 0; -- such tries that were the mail's fault
CREATE INDEX mails_that_broke ON mails (broke) WHERE broke IS NOT NULL;
CREATE INDEX mails_under_suspicion ON mails (id) WHERE broke_over IS NOT NULL;

-- Mails that carried a row before the one that its key names: it was replayed, or written again.
CREATE TABLE earlier (
    flow INTEGER NOT NULL,
    key  BLOB NOT NULL,
    run  INTEGER NOT NULL,
    mail INTEGER NOT NULL,
    PRIMARY KEY (flow, key, mail)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER keys_that_are_mailed_again AFTER UPDATE ON keys WHEN old.mail IS NOT NULL AND new.mail IS NOT old.mail
BEGIN
    INSERT OR IGNORE INTO earlier (flow, key, run, mail) VALUES (old.flow, old.key, old.run, old.mail);
END;

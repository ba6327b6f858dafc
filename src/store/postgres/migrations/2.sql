-- Who asked for it, by name; NULL: nobody did, or a version did that did not note it.
ALTER TABLE requests ADD COLUMN asked_by text;
ALTER TABLE runs ADD COLUMN asked_by text;
ALTER TABLE mails ADD COLUMN asked_by text; -- who was the last to have it tried again, dropped or sent elsewhere
ALTER TABLE flows ADD COLUMN off_by text;   -- who has turned it off; NULL while it is on

-- The connection that the mail was last handed to.
ALTER TABLE mails ADD COLUMN connection TEXT;

-- What a request is about, and what became of it: the run that it began, or why it was refused.
ALTER TABLE requests ADD COLUMN about TEXT NOT NULL DEFAULT '{}'; -- JSON object
ALTER TABLE requests ADD COLUMN run INTEGER;
ALTER TABLE requests ADD COLUMN answer TEXT;

-- The connection that the mail was last handed to.
ALTER TABLE mails ADD COLUMN connection TEXT;

-- All that `leadflow stats` asks of a run.
CREATE INDEX runs_by_start ON runs (flow, started, ended, outcome, rows, mails);

-- What `leadflow outbox list` shows beside waiting and held mails.
CREATE INDEX recipients_that_are_uncertain ON recipients (mail) WHERE uncertain > 0;

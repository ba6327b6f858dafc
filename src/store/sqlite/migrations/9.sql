-- Who has claimed it: the owner of then (`meta`, 'owner'), which is made anew when a process begins its work. What another
-- owner has under way is taken over, for it is gone: one process at a time holds the lock of the state.
ALTER TABLE runs ADD COLUMN owner TEXT;
ALTER TABLE mails ADD COLUMN owner TEXT; -- NULL: nobody has it in hands

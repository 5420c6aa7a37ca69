-- Rolls that were begun, each with its whole plan, and every step of theirs in the order in which it happened.
CREATE TABLE roll (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    cluster TEXT NOT NULL,
    begun   TEXT NOT NULL,
    plan    TEXT NOT NULL,
    outcome TEXT                             -- NULL while it is not over
) STRICT;
CREATE INDEX roll_unfinished ON roll (cluster) WHERE outcome IS NULL;

CREATE TABLE roll_entry (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    roll  INTEGER NOT NULL REFERENCES roll (id) ON DELETE CASCADE,
    entry TEXT NOT NULL
) STRICT;
CREATE INDEX roll_entry_of ON roll_entry (roll, id);

-- Events that go through a broker, as far as this worker knows of them: those it publishes, until the broker has
-- confirmed them, and those it has seen, so that the same id is not taken for a new one.
CREATE TABLE broker_event (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    id       TEXT NOT NULL UNIQUE,
    cluster  TEXT NOT NULL,
    body     TEXT NOT NULL,              -- the CloudEvent as JSON; without its data once the broker has it
    state    TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'delayed', 'done')),
    at       INTEGER NOT NULL,           -- since when it is so; all times: milliseconds since 1970
    due      INTEGER NOT NULL,           -- when it may be taken next
    attempts INTEGER NOT NULL DEFAULT 0,
    why      TEXT NOT NULL DEFAULT ''    -- why it was put back
) STRICT;
CREATE INDEX broker_event_waiting ON broker_event (seq) WHERE state = 'waiting';
CREATE INDEX broker_event_old ON broker_event (at) WHERE state IN ('sent', 'done');

-- What one worker learns, those that share its clusters are told. `told`: whether the broker has it, or brought it. `at`: a time that
-- only grows, even where another worker's clock is ahead; of two writers the later one counts, at every worker alike.
ALTER TABLE report ADD COLUMN name TEXT;
ALTER TABLE report ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE report ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
UPDATE report SET at = ended, name = lower(hex(randomblob(16)));
CREATE UNIQUE INDEX report_by_name ON report (name);
UPDATE OR IGNORE report SET name = json_extract(body, '$.roll') WHERE json_extract(body, '$.roll') IS NOT NULL;
UPDATE report SET body = json_set(body, '$.roll', name);
CREATE INDEX report_by_time ON report (cluster, at, id);
CREATE INDEX report_untold ON report (id) WHERE told = 0;

ALTER TABLE request ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
CREATE INDEX request_untold ON request (changed) WHERE told = 0;

ALTER TABLE preview ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
CREATE INDEX preview_untold ON preview (stored) WHERE told = 0;

-- A row that is made for something else has nothing to tell.
ALTER TABLE cluster ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cluster ADD COLUMN told INTEGER NOT NULL DEFAULT 1;

-- Under which name this database's worker is told things: one row.
CREATE TABLE worker (id TEXT NOT NULL) STRICT;

-- Whether it was told how the roll ended. Until then a worker that was killed in between owes the report.
ALTER TABLE roll ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
UPDATE roll SET told = 1 WHERE outcome IS NOT NULL;
CREATE INDEX roll_untold ON roll (cluster) WHERE told = 0;

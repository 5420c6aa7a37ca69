-- When the nodes were compared with the newest commit by this worker, and what that showed.
ALTER TABLE cluster ADD COLUMN compared TEXT;
ALTER TABLE cluster ADD COLUMN compared_at INTEGER;

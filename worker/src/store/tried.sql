-- How often a bundle was rolled back: a renewal is tried again, later each time.
ALTER TABLE quarantine ADD COLUMN times INTEGER NOT NULL DEFAULT 1;

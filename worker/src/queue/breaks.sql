-- How often the work on an event broke; it is given up for that, and not for having waited.
ALTER TABLE event ADD COLUMN breaks INTEGER NOT NULL DEFAULT 0;

-- The events that asked for it, the latest last: one that comes once more, to whichever worker, asks nothing anew.
ALTER TABLE acme_certificate ADD COLUMN asked_by TEXT;  -- JSON: their ids

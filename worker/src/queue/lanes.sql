-- Which queue an event waits in: the cluster's own one, or one of its kind in the shared lane.
ALTER TABLE event ADD COLUMN queue TEXT NOT NULL DEFAULT 'cluster';

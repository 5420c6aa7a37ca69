-- What merging a request would do, as it was told; only for people to look at.
CREATE TABLE preview (
    id TEXT PRIMARY KEY,
    cluster TEXT NOT NULL,
    request INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX preview_of_request ON preview (cluster, request, stored);
CREATE INDEX preview_by_age ON preview (stored);

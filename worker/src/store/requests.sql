-- What is remembered of each request of a forge: what was previewed and told, and how far its merge has come.
CREATE TABLE request (
    cluster TEXT NOT NULL,
    number  INTEGER NOT NULL,
    stage   TEXT NOT NULL,                   -- open, merged: until its roll is told; over
    changed INTEGER NOT NULL,                -- milliseconds since 1970
    body    TEXT NOT NULL,                   -- all of it, as JSON
    PRIMARY KEY (cluster, number)
) STRICT;

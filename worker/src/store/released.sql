-- What someone who may merge said may be rolled, though it is not what was reviewed.
ALTER TABLE cluster ADD COLUMN released TEXT;

-- When the forge was asked last what no webhook told of; milliseconds since 1970.
ALTER TABLE cluster ADD COLUMN listened INTEGER;

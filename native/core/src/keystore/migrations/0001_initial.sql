-- Everything a session keeps is a row: a kind (`Entity`), the conversation it belongs to (empty: none), a key and a value.
--
-- An ordinary rowid table, because values reach from 30 bytes to 700 KB: in a WITHOUT ROWID table the values would sit in
-- the inner pages of the tree as well, four to a page. So lookups walk a narrow index, and rewriting a value, which is
-- what a message does, touches one leaf and no index.
CREATE TABLE rows (
  id     INTEGER PRIMARY KEY,
  entity INTEGER NOT NULL,
  scope  BLOB    NOT NULL,
  key    BLOB    NOT NULL,
  value  BLOB    NOT NULL, -- encrypted under the seal of the same id
  UNIQUE (entity, scope, key)
) STRICT;

-- The key of each value, because SQLite cannot be trusted to forget a row: when it rebuilds a page of a tree, copies of
-- rows stay in the gaps of that page, and `secure_delete` does not reach them. So values may stay behind, but their keys may
-- not: a seal is only ever overwritten in its place, never deleted, and all are of one size. No page of this table is
-- ever rebuilt.
CREATE TABLE seals (
  id    INTEGER PRIMARY KEY,
  spare INTEGER NOT NULL, -- 1: belongs to no row, and its key is zeros
  key   BLOB    NOT NULL
) STRICT;

CREATE INDEX spare_seals ON seals (id) WHERE spare;

-- Which keystore this is, and how often it was stored: one row. The same number is kept beside the
-- database, so that an older file is told from the newest (counter.rs).
CREATE TABLE states (
  identity BLOB    NOT NULL, -- random
  number   INTEGER NOT NULL
) STRICT;

INSERT INTO states VALUES (randomblob(16), 0);

/** "CnDs" in the file's header: by it a service knows its own files from any other SQLite database. */
export const APPLICATION_ID = 0x436e4473;
export const SCHEMA_VERSION = 1;

export const schema = `
  CREATE TABLE key_packages (
    published   INTEGER PRIMARY KEY AUTOINCREMENT, -- the order they are handed out in
    ref         TEXT NOT NULL UNIQUE,              -- stays for ever: nothing is handed out twice, Welcomes find their client
    client      TEXT NOT NULL,
    suite       TEXT NOT NULL,
    last_resort INTEGER NOT NULL,
    not_after   INTEGER NOT NULL,                  -- milliseconds since 1970
    bytes       BLOB                               -- NULL once handed out, replaced or withdrawn
  ) STRICT;
  CREATE INDEX claimable ON key_packages (client, suite, last_resort) WHERE bytes IS NOT NULL;

  CREATE TABLE conversations (
    id            TEXT PRIMARY KEY,
    epoch         INTEGER NOT NULL,                -- the one the newest accepted commit began
    external_join INTEGER NOT NULL,                -- 1: the GroupInfo lets join from outside
    group_info    BLOB NOT NULL
  ) STRICT;

  CREATE TABLE members (
    conversation TEXT NOT NULL,
    client       TEXT NOT NULL,
    leaves       INTEGER NOT NULL,                 -- 0: was a member once
    since_epoch  INTEGER NOT NULL,
    removed_at   INTEGER,                          -- the sequence number of the commit that removed it
    PRIMARY KEY (conversation, client)
  ) STRICT, WITHOUT ROWID;

  -- Everything that is delivered. What belongs to the one order of its conversation has a sequence number; a Welcome has none.
  CREATE TABLE entries (
    entry        INTEGER PRIMARY KEY,
    conversation TEXT NOT NULL,
    kind         TEXT NOT NULL,                    -- commit, proposal, message, welcome
    epoch        INTEGER NOT NULL,
    sequence     INTEGER,
    message_id   TEXT NOT NULL,
    bytes        BLOB NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX one_order ON entries (conversation, sequence) WHERE sequence IS NOT NULL;
  CREATE UNIQUE INDEX stored_once ON entries (message_id) WHERE sequence IS NOT NULL;
  CREATE UNIQUE INDEX one_commit_per_epoch ON entries (conversation, epoch) WHERE kind = 'commit';

  CREATE TABLE aborted_commits (
    commit_id TEXT PRIMARY KEY,
    reason    TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE queues (
    cursor INTEGER PRIMARY KEY AUTOINCREMENT,      -- never used again, also when the newest rows are deleted
    client TEXT NOT NULL,
    entry  INTEGER NOT NULL REFERENCES entries
  ) STRICT;
  CREATE INDEX queue_of_client ON queues (client, cursor);
`;

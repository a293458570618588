-- Changeovers, their history, and what a recipient remembers of one.

CREATE TABLE changeover (
	id           INTEGER PRIMARY KEY,
	routes       TEXT NOT NULL,     -- ids with blanks between
	from_version INTEGER NOT NULL,
	to_version   INTEGER NOT NULL,
	state        TEXT NOT NULL,
	open         INTEGER NOT NULL,  -- 1: the dispatcher has to do with it
	who          TEXT NOT NULL,
	note         TEXT,
	allow_weaker TEXT,              -- the reason given; NULL: not allowed
	snapshot     INTEGER,           -- of the settings as they were before it
	machine      TEXT NOT NULL,     -- JSON: where it stands, with its evidence
	started_us   INTEGER NOT NULL,
	settled_us   INTEGER
);
CREATE INDEX changeover_open ON changeover (open) WHERE open = 1;

CREATE TABLE changeover_event (
	id         INTEGER PRIMARY KEY,
	changeover INTEGER NOT NULL,
	at_us      INTEGER NOT NULL,
	kind       TEXT NOT NULL,       -- "moved", "warned", "due", "proven"
	state      TEXT NOT NULL,
	step       INTEGER NOT NULL,
	text       TEXT NOT NULL
);
CREATE INDEX changeover_event_of ON changeover_event (changeover, id);

-- A relay version that the recipient is bound to: above 0 it is in doubt there and is repeated through that one
-- while it works; below 0 that one has refused it for good, and another shall try. NULL: bound to none.
ALTER TABLE recipient ADD COLUMN via INTEGER;

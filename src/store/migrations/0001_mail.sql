-- Messages, recipients, attempts and what is counted about them.
--
-- Hot tables have integer keys only, handed out in ascending order, so every insert is at the right edge
-- of its tree. Recipients of a message have consecutive ids; the attempts of a recipient are a chain
-- (recipient.last_attempt, attempt.prev). Neither needs an index.

CREATE TABLE message (
	id           INTEGER PRIMARY KEY,
	first_rcpt   INTEGER NOT NULL,
	n_rcpt       INTEGER NOT NULL,
	open_rcpt    INTEGER NOT NULL,  -- kept up to date only where n_rcpt > 1
	account      INTEGER NOT NULL,
	credential   INTEGER,
	stream       INTEGER NOT NULL,
	kind         INTEGER NOT NULL,
	about        INTEGER,           -- the message a report is about
	created_us   INTEGER NOT NULL,
	segment      INTEGER NOT NULL,
	offset       INTEGER NOT NULL,
	size         INTEGER NOT NULL,
	flags        INTEGER NOT NULL,
	ret          INTEGER NOT NULL,
	doubt_policy INTEGER NOT NULL,
	deadline_us  INTEGER,
	send_at_us   INTEGER,
	done_us      INTEGER,           -- set only where n_rcpt > 1
	sender       TEXT,              -- NULL: the null sender
	envid        TEXT,
	message_id   TEXT,
	subject      TEXT,
	tag          TEXT,
	client       TEXT
);

CREATE TABLE recipient (
	id           INTEGER PRIMARY KEY,
	msg          INTEGER NOT NULL,
	account      INTEGER NOT NULL,
	grp          INTEGER NOT NULL,
	lane         INTEGER NOT NULL,
	state        INTEGER NOT NULL,
	due_us       INTEGER,           -- NULL: in the dispatcher's hands, waits for a person, or done
	attempts     INTEGER NOT NULL,
	doubts       INTEGER NOT NULL,
	lived_us     INTEGER NOT NULL,
	last_attempt INTEGER,
	done_us      INTEGER,
	notify       INTEGER NOT NULL,
	domain_hash  INTEGER NOT NULL,
	address      TEXT NOT NULL,
	orcpt        TEXT
);
-- What STORE_REFILL walks. A fresh recipient that goes straight to the dispatcher never enters it.
CREATE INDEX recipient_due ON recipient (grp, lane, account, due_us) WHERE due_us IS NOT NULL;
-- In doubt, held, captured.
CREATE INDEX recipient_aside ON recipient (state) WHERE state > 0 AND state < 4;

CREATE TABLE attempt (
	id          INTEGER PRIMARY KEY,
	rcpt        INTEGER NOT NULL,
	prev        INTEGER,            -- the recipient's attempt before this one
	version     INTEGER,
	at_us       INTEGER NOT NULL,
	duration_us INTEGER,
	code        INTEGER,            -- NULL: about to finish, outcome unknown; 0: there was no reply
	stage       INTEGER,
	attribution INTEGER,
	peer        INTEGER,
	enhanced    TEXT,
	text        TEXT
);

-- Whom an attempt spoke to; few and often repeated.
CREATE TABLE peer (
	id     INTEGER PRIMARY KEY,
	remote TEXT,
	tls    TEXT,
	name   TEXT
);

CREATE TABLE segment (
	id           INTEGER PRIMARY KEY,
	bytes        INTEGER NOT NULL,  -- used; what lies behind was never committed
	messages     INTEGER NOT NULL,
	live         INTEGER NOT NULL,  -- messages with an open recipient
	first_msg    INTEGER NOT NULL,
	last_msg     INTEGER NOT NULL,
	last_done_us INTEGER NOT NULL
);
-- Messages that were moved out of an old segment and are still live.
CREATE TABLE moved (
	msg     INTEGER PRIMARY KEY,
	segment INTEGER NOT NULL
);

CREATE TABLE grp (
	id  INTEGER PRIMARY KEY,
	key TEXT NOT NULL UNIQUE
);

-- accepted + generated = the sum of all the others, at every commit.
CREATE TABLE totals (
	account    INTEGER PRIMARY KEY,
	accepted   INTEGER NOT NULL,
	generated  INTEGER NOT NULL,
	queued     INTEGER NOT NULL,    -- held included
	in_doubt   INTEGER NOT NULL,
	captured   INTEGER NOT NULL,
	sent       INTEGER NOT NULL,
	bounced    INTEGER NOT NULL,
	expired    INTEGER NOT NULL,
	failed     INTEGER NOT NULL,
	cancelled  INTEGER NOT NULL,
	suppressed INTEGER NOT NULL,
	unknown    INTEGER NOT NULL
);

-- One row per hour and kind of result: attempts by what they led to and whose fault it was.
CREATE TABLE stat (
	hour        INTEGER NOT NULL,   -- since the epoch
	version     INTEGER NOT NULL,
	lane        INTEGER NOT NULL,
	state       INTEGER NOT NULL,
	attribution INTEGER NOT NULL,
	count       INTEGER NOT NULL,
	PRIMARY KEY (hour, version, lane, state, attribution)
) WITHOUT ROWID;

CREATE TABLE idem (
	key        BLOB PRIMARY KEY,
	msg        INTEGER NOT NULL,
	message_us INTEGER NOT NULL,    -- created_us of that message
	sticky     INTEGER NOT NULL,
	created_us INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX idem_age ON idem (created_us);

CREATE TABLE meta (
	key   TEXT PRIMARY KEY,
	value ANY
) WITHOUT ROWID;

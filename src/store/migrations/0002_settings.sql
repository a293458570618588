-- What people configure, and who did.

CREATE TABLE setting (
	key   TEXT PRIMARY KEY,
	value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE account (
	id         INTEGER PRIMARY KEY,
	name       TEXT NOT NULL UNIQUE,
	disabled   INTEGER NOT NULL,
	options    TEXT,
	note       TEXT,
	created_us INTEGER NOT NULL
);

CREATE TABLE credential (
	id         INTEGER PRIMARY KEY,
	account    INTEGER NOT NULL,
	name       TEXT NOT NULL UNIQUE,
	verifier   TEXT NOT NULL,
	senders    TEXT,
	networks   TEXT,
	stream     INTEGER,
	options    TEXT,
	paused     TEXT,                -- why; NULL: not paused
	note       TEXT,
	created_us INTEGER NOT NULL
);

CREATE TABLE relay (
	id         INTEGER PRIMARY KEY,
	name       TEXT NOT NULL UNIQUE,
	state      TEXT NOT NULL,
	state_why  TEXT,
	version    INTEGER,             -- the one in use
	note       TEXT,
	created_us INTEGER NOT NULL
);

-- Rows never change, but for what takes effect at once (limits, note, secret) and what was announced.
CREATE TABLE relay_version (
	id              INTEGER PRIMARY KEY,
	relay           INTEGER NOT NULL,
	number          INTEGER NOT NULL,
	host            TEXT NOT NULL,
	port            INTEGER NOT NULL,
	tls             TEXT NOT NULL,
	tls_name        TEXT,
	ca_file         TEXT,
	user            TEXT,
	secret          BLOB,           -- sealed
	auth            TEXT,
	senders         TEXT,
	rewrites        TEXT,
	provider        TEXT,
	allow_plaintext TEXT,
	bounces         TEXT,
	max_connections INTEGER NOT NULL,
	max_recipients  INTEGER NOT NULL,
	rate_count      INTEGER NOT NULL,
	rate_per_s      INTEGER NOT NULL,
	daily_quota     INTEGER NOT NULL,
	caps_seen       INTEGER NOT NULL,
	caps_smtputf8   INTEGER NOT NULL,
	caps_eight_bit  INTEGER NOT NULL,
	caps_dsn        INTEGER NOT NULL,
	caps_size_bytes INTEGER NOT NULL,
	note            TEXT,
	created_us      INTEGER NOT NULL,
	UNIQUE (relay, number)
);

CREATE TABLE route (
	id          INTEGER PRIMARY KEY,
	name        TEXT NOT NULL UNIQUE,
	relay       INTEGER,
	account     INTEGER,
	sender      TEXT,
	rcpt_domain TEXT,
	stream      INTEGER,
	is_default  INTEGER NOT NULL,
	for_bounces INTEGER NOT NULL,
	note        TEXT,
	created_us  INTEGER NOT NULL
);

CREATE TABLE alarm (
	id         INTEGER PRIMARY KEY,
	kind       TEXT NOT NULL,
	target     TEXT NOT NULL,
	secret     BLOB,
	created_us INTEGER NOT NULL,
	UNIQUE (kind, target)
);

CREATE TABLE login_day (
	version INTEGER NOT NULL,
	login   TEXT NOT NULL,
	day     INTEGER NOT NULL,       -- since the epoch
	count   INTEGER NOT NULL,
	PRIMARY KEY (version, login, day)
) WITHOUT ROWID;

CREATE TABLE audit (
	id     INTEGER PRIMARY KEY,
	at_us  INTEGER NOT NULL,
	who    TEXT NOT NULL,
	what   TEXT NOT NULL,
	target TEXT,
	why    TEXT,
	detail TEXT
);

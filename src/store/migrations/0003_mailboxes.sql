-- Mailboxes that are read over IMAP, what probes found in them, and reports that came home.

CREATE TABLE mailbox (
	id          INTEGER PRIMARY KEY,
	name        TEXT NOT NULL UNIQUE COLLATE NOCASE,
	host        TEXT NOT NULL,
	port        INTEGER NOT NULL,
	tls         TEXT NOT NULL,
	tls_name    TEXT,
	ca_file     TEXT,
	user        TEXT NOT NULL,
	secret      BLOB,               -- sealed
	auth        TEXT NOT NULL,      -- password, xoauth2
	address     TEXT NOT NULL,
	for_probe   INTEGER NOT NULL,
	for_bounces INTEGER NOT NULL,
	receive     TEXT,               -- addresses of ours that this mailbox reads
	smtp_relay  TEXT,               -- relay that sends as this mailbox
	note        TEXT,
	created_us  INTEGER NOT NULL,
	looked_us   INTEGER,            -- when it was last read for reports, or tried to
	trouble     TEXT                -- what was wrong then; NULL: nothing
);

-- How far a folder has been read.
CREATE TABLE mailbox_cursor (
	mailbox     INTEGER NOT NULL,
	folder      TEXT NOT NULL,
	uidvalidity INTEGER NOT NULL,
	uid         INTEGER NOT NULL,   -- all up to this one have been looked at
	PRIMARY KEY (mailbox, folder)
) WITHOUT ROWID;

-- One run of probes.
CREATE TABLE probe (
	id                   INTEGER PRIMARY KEY,
	version              INTEGER NOT NULL,
	at_us                INTEGER NOT NULL,
	passed               INTEGER NOT NULL,
	preserves_message_id INTEGER,   -- NULL: not seen
	preserves_date       INTEGER,
	summary              TEXT NOT NULL,
	report               TEXT NOT NULL
);
CREATE INDEX probe_version ON probe (version, id);

-- What a mail server said about a recipient after the message had been handed over.
CREATE TABLE report (
	id          INTEGER PRIMARY KEY,
	rcpt        INTEGER NOT NULL,
	version     INTEGER,            -- that it had gone out through
	at_us       INTEGER NOT NULL,   -- when it was read
	action      INTEGER NOT NULL,
	attribution INTEGER NOT NULL,
	matched     INTEGER NOT NULL,   -- by what
	status      TEXT,
	text        TEXT,
	reporter    TEXT,               -- the server that says so
	mailbox     TEXT,               -- where it was read
	source      BLOB NOT NULL,      -- digest of the report, so that none counts twice
	UNIQUE (rcpt, source)
);
CREATE INDEX report_age ON report (at_us);

CREATE TABLE report_stat (
	hour        INTEGER NOT NULL,   -- since the epoch
	version     INTEGER NOT NULL,
	lane        INTEGER NOT NULL,
	action      INTEGER NOT NULL,
	attribution INTEGER NOT NULL,
	count       INTEGER NOT NULL,
	PRIMARY KEY (hour, version, lane, action, attribution)
) WITHOUT ROWID;

/* The store: what survives a crash. One directory, one writer thread, any number of readers.
 *
 *	DATA/lock           held while open; a second process is refused
 *	DATA/mail.db        SQLite in WAL mode: rows
 *	DATA/content/N.seg  contents, append-only
 *	DATA/ballast        space that is given up so that outcomes can be written on a full disk
 *
 * Only the writer thread writes, and only what arrives in its mailbox as operations (store/op.h).
 * It commits whatever has arrived together (group commit): contents are written and synced, then
 * the rows are committed and synced, then everybody is answered. Readers (store/reader.h) look on.
 *
 * Life: store_open (takes the lock, migrates, recovers), store_recovery (what the dispatcher must
 * know), store_start (the writer runs), operations, store_close. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "loop/mailbox.h"
#include "mail/ids.h"
#include "mail/stream.h"
#include "store/op.h"

struct store;
struct store_metrics;

struct store_opts {
	const char *dir;           /* must exist */
	int64_t retain_content_us; /* content kept after its last recipient is done */
	int64_t retain_history_us; /* rows kept after their last recipient is done; 0: 30 days */
	uint64_t low_water_bytes;  /* new mail is refused while less is free; 0: 128 MB */
	uint32_t segment_bytes;    /* size of a segment file; 0: 64 MB */
	uint32_t ballast_bytes;    /* 0: 16 MB */
};

/* Opens, locks, migrates and recovers; blocks. RC_EXISTS: another process has it. RC_INVALID: the
 * database is newer than this program. RC_IO, RC_DB: as they say. */
enum rc store_open(const struct store_opts *opts, struct store **out, struct fault *fault);

struct store_group {
	struct group_id id;
	struct str key;
};
struct store_backlog {
	struct group_id group;
	enum stream lane;
	uint64_t rows;  /* on disk with a due time; STORE_BACKLOG_MAX means that or more */
	int64_t due_us; /* the earliest */
};
#define STORE_BACKLOG_MAX 2000000

/* What store_open found. Valid until store_start. */
struct store_recovery {
	const struct store_group *groups; /* all that were ever made */
	size_t n_groups;
	const struct store_backlog *backlogs;
	size_t n_backlogs;
	/* In doubt since a crash, policy not applied yet (state IN_DOUBT, due_us 0). Those that the
	 * dispatcher does not settle by an OUTCOME are listed again at the next start. At most
	 * 10,000 at a time; the others come by STORE_REFILL. */
	const struct store_row *in_doubt;
	size_t n_in_doubt;
	uint64_t crashed_attempts; /* "about to finish" without an outcome, found by this start */
};
const struct store_recovery *store_recovery(const struct store *s);

/* Starts the writer thread. Fresh messages and notices go to `dispatcher`; NULL: nothing is ever
 * handed over in memory (tools, tests). */
void store_start(struct store *s, struct mailbox *dispatcher);
/* Commits all that was posted, stops the writer, checkpoints, unlocks, frees. Operations that the
 * disk would not take for five seconds come back with RC_CANCELLED. Nobody may post any more,
 * readers must be closed. Takes NULL; nulls the pointer. */
void store_close(struct store **s);

/* Any thread. */
void store_post(struct store *s, struct store_op *op);
struct mailbox *store_mailbox(struct store *s);

/* How the store is, for /healthz and alarms. */
struct store_health {
	bool accepts;        /* new mail would be taken now */
	enum rc rc;          /* why not, or RC_OK */
	char text[256];      /* likewise, with what to do; empty when all is well */
	uint64_t free_bytes; /* on the disk, at the last look */
	uint64_t waiting;    /* outcomes that the disk would not take yet */
	uint64_t wal_bytes;
	int64_t since_us; /* wall; since when it is so */
};
/* A consistent copy. Any thread. */
void store_health(struct store *s, struct store_health *out);
/* Counters that live as long as the store (store/metrics.h). Any thread. */
const struct store_metrics *store_metrics(const struct store *s);

/* The public id of a message: a UUID (version 7) that carries the row's id, veiled by a secret of
 * this store, so that it says nothing about volumes and needs no index. */
#define STORE_PUBLIC_ID_SIZE 37
void store_public_id(const struct store *s, struct msg_id id, int64_t created_us,
    char out[static STORE_PUBLIC_ID_SIZE]);
/* RC_NOT_FOUND when `text` is no id that this store gave out. */
enum rc store_public_parse(const struct store *s, struct str text, struct msg_id *out);

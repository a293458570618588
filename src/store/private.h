/* The inside of an open store: the writer's state, by the file that keeps it.
 *
 * All of it belongs to the writer thread, and to store_open and store_close while that does not
 * run; exceptions are marked. What a transaction changes in memory is kept apart until the commit:
 * each part has _commit and _rollback, called by batch.c, so that memory never says what the disk
 * does not. */
#pragma once

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"
#include "loop/mailbox.h"
#include "store/db.h"
#include "store/message.h"
#include "store/metrics.h"
#include "store/op.h"
#include "store/store.h"

/* ---- numbers: growing arrays, here and below */

struct store_ids {
	uint64_t *v;
	size_t n;
	size_t cap;
};

/* ---- floor.c: which of the newest ids are still open (attempts without outcome, births without
 * due time) */

struct store_floor {
	uint64_t *bits;          /* ring of cap words; word of id i is (i / 64) % cap */
	size_t cap;              /* a power of two */
	uint64_t floor;          /* no id below is open */
	uint64_t next;           /* one past the highest id ever opened */
	uint64_t written;        /* the floor on disk */
	uint64_t writing;        /* the same, by this transaction; 0: not written by it */
	const char *key;         /* in meta */
	struct store_ids opened; /* of this transaction: pairs first, count */
	struct store_ids closed;
};

void store_floor_init(struct store_floor *f, const char *key, uint64_t floor);
void store_floor_done(struct store_floor *f);
void store_floor_open(struct store_floor *f, uint64_t first, uint64_t n);
void store_floor_close(struct store_floor *f, uint64_t id);
void store_floor_commit(struct store_floor *f);
void store_floor_rollback(struct store_floor *f);
/* Up to `max` of the lowest open ids. */
size_t store_floor_lowest(const struct store_floor *f, uint64_t *out, size_t max);
/* Writes the floor to meta where it has moved by `step` since it was last written. */
enum rc store_floor_save(
    struct store *s, struct store_floor *f, uint64_t step, struct fault *fault);

/* ---- tally.c: totals and statistics */

enum store_counter {
	COUNT_ACCEPTED,
	COUNT_GENERATED,
	COUNT_QUEUED,
	COUNT_IN_DOUBT,
	COUNT_CAPTURED,
	COUNT_SENT,
	COUNT_BOUNCED,
	COUNT_EXPIRED,
	COUNT_FAILED,
	COUNT_CANCELLED,
	COUNT_SUPPRESSED,
	COUNT_UNKNOWN,
	COUNT_COUNTERS,
};

struct store_total {
	uint64_t account;
	int64_t delta[COUNT_COUNTERS];
};
struct store_stat {
	int64_t hour;
	uint64_t version;
	uint8_t lane;
	uint8_t state;
	uint8_t attribution;
	int64_t count;
};
/* Deltas of this transaction, one entry per account or kind touched. */
struct store_tally {
	struct store_total *totals;
	size_t n_totals, cap_totals;
	struct store_stat *stats;
	size_t n_stats, cap_stats;
	struct map by_account; /* index + 1 into totals */
	/* hash -> index + 1; equal hashes with unequal kinds make two entries */
	struct map by_stat;
};

enum store_counter store_tally_counter(enum store_state s);
void store_tally_add(struct store_tally *t, uint64_t account, enum store_counter c, int64_t n);
void store_tally_move(
    struct store_tally *t, uint64_t account, enum store_state from, enum store_state to);
void store_tally_stat(struct store_tally *t, const struct store_stat *kind);
/* Adds the deltas to the tables. */
enum rc store_tally_flush(struct store *s, struct fault *fault);
void store_tally_clear(struct store_tally *t);
void store_tally_done(struct store_tally *t);

/* ---- intern.c: texts that many rows share, known by number */

struct store_interned {
	uint64_t id;
	uint64_t hash;
	struct store_interned *same; /* next with this hash */
	size_t n;
	char p[]; /* the text, NUL behind it */
};
struct store_intern {
	struct map by_hash;
	size_t count;
	uint64_t next_id;
	struct store_interned **added; /* by this transaction */
	size_t n_added, cap_added;
};

void store_intern_done(struct store_intern *in);
/* Enters what is on disk already; for recovery. */
void store_intern_load(struct store_intern *in, uint64_t id, struct str text);
/* The group of key `key`; made where there is none. */
enum rc store_intern_group(struct store *s, struct str key, uint64_t *out, struct fault *fault);
enum rc store_intern_peer(struct store *s, struct str remote, struct str tls, struct str name,
    uint64_t *out, struct fault *fault);
void store_intern_commit(struct store_intern *in);
void store_intern_rollback(struct store_intern *in);
/* All but the first `n_added` entries of this transaction leave: a part of it is undone. */
void store_intern_rollback_to(struct store_intern *in, size_t n_added);

/* ---- segment.c: content files */

struct store_segment {
	uint32_t id;
	uint64_t bytes; /* used, committed */
	uint64_t messages;
	uint64_t live;
	uint64_t first_msg, last_msg;
	int64_t last_done_us;
	/* of this transaction */
	bool touched;
	int64_t d_messages, d_live;
	uint64_t t_first, t_last;
	int64_t t_done_us;
};
struct store_segments {
	int dir_fd;
	int fd;           /* of the current one, -1: none yet */
	uint64_t size;    /* of the current file */
	uint64_t end;     /* where the next record goes; committed or not */
	bool dirty;       /* written and not synced */
	uint32_t next_id; /* > 0 */
	struct map by_id; /* struct store_segment */
	struct store_segment *current;
	struct store_ids touched; /* ids of this transaction */
	struct map moved; /* message id -> segment id, as a pointer; segment ids start at 1 */
	struct store_ids moving;    /* by this transaction: pairs message, segment */
	struct store_ids forgotten; /* moved messages done in this transaction */
};

enum rc store_segment_open(struct store *s, struct fault *fault);
void store_segment_done(struct store *s);
/* Appends the contents of `n` messages (those without a place yet) with as few writes as possible.
 */
enum rc store_segment_append(
    struct store *s, struct store_message **msgs, size_t n, struct fault *fault);
/* Syncs what was appended; aborts when that fails. */
void store_segment_sync(struct store *s);
/* A committed message lies in `segment`; open: it is live. */
void store_segment_add(struct store *s, uint32_t segment, uint64_t msg, bool live);
/* The last recipient of `msg` is done; `segment` as the caller knows it. */
void store_segment_release(struct store *s, uint32_t segment, uint64_t msg, int64_t at_us);
/* `msg` now lies in `to`. */
enum rc store_segment_move(
    struct store *s, uint64_t msg, uint32_t from, struct store_content to, struct fault *fault);
enum rc store_segment_flush(struct store *s, struct fault *fault);
void store_segment_commit(struct store *s);
void store_segment_rollback(struct store *s);
/* "00000001.seg". */
#define STORE_SEGMENT_NAME_SIZE 32
void store_segment_name(char out[static STORE_SEGMENT_NAME_SIZE], uint32_t id);
/* A segment that nothing needs any more, or NULL; the row goes in this transaction, the file after
 * it. */
struct store_segment *store_segment_idle(struct store *s, int64_t now_us);
enum rc store_segment_forget(struct store *s, struct store_segment *g, struct fault *fault);
void store_segment_unlink(struct store *s, struct store_segment *g);
/* One whose few live messages should be moved out, or NULL. */
struct store_segment *store_segment_sparse(struct store *s, int64_t now_us);

/* ---- content.c: records in segment files */

/* Before each content, on an 8-byte boundary; the machine's byte order. */
struct store_record {
	uint32_t magic;
#define STORE_RECORD_MAGIC 0x50487231u
	uint32_t reserved;
	uint64_t msg;
	uint64_t bytes;
	uint64_t sum; /* store_content_sum of content and message id */
};
static_assert(sizeof(struct store_record) == 32, "the layout is on disk");

uint64_t store_content_sum(struct str content, uint64_t msg);
/* Reads and checks the record at `at`. RC_NOT_FOUND: no file, or another message's record. RC_IO.
 */
enum rc store_content_read(
    int dir_fd, uint64_t msg, struct store_content at, struct blob **out, struct fault *fault);

/* ---- window.c: what may be handed over in memory, and what the dispatcher was told */

struct store_window {
	int64_t credits[STREAM_COUNT];
	struct map open;             /* group id -> self */
	struct map told;             /* group * 2 + lane -> struct told */
	struct list changed;         /* told entries of this transaction */
	int64_t spent[STREAM_COUNT]; /* in this transaction */
};

void store_window_init(struct store_window *w);
void store_window_done(struct store_window *w);
void store_window_grant(struct store_window *w, const struct store_grant *g);
/* Whether one more recipient may be handed over; spends a credit. */
bool store_window_take(struct store_window *w, uint64_t group, enum stream lane);
/* A row went to disk with a due time. */
void store_window_more(struct store_window *w, uint64_t group, enum stream lane, int64_t due_us);
/* The dispatcher has asked: it will see all there is. */
void store_window_asked(struct store_window *w, uint64_t group, enum stream lane);
void store_window_commit(struct store *s);
void store_window_rollback(struct store_window *w);

/* ---- guard.c: disk space, ballast, health */

struct store_guard {
	pthread_mutex_t lock; /* of `health` alone; nothing is called while it is held */
	struct store_health health;
	int64_t looked_us;   /* monotonic */
	bool low;            /* below the low-water mark */
	bool ballast;        /* the ballast file is there */
	struct fault broken; /* the last write failed so; rc RC_OK: it worked */
	int64_t retry_us;    /* monotonic; while broken, nothing is tried before */
};

void store_guard_init(struct store *s);
void store_guard_done(struct store *s);
/* Looks at the free space once a second; makes the ballast again when there is room. */
void store_guard_look(struct store *s, int64_t now_us);
/* Why no mail is taken now; RC_OK: it is, or it is time to try again. */
enum rc store_guard_check(struct store *s, struct fault *fault);
/* While broken: whether it is time to try again. */
bool store_guard_may_try(const struct store *s, int64_t now_us);
/* True when there was ballast to release. */
bool store_guard_release(struct store *s);
void store_guard_failed(struct store *s, const struct fault *fault, size_t waiting);
void store_guard_worked(struct store *s);
/* Any thread. */
void store_guard_health(struct store *s, struct store_health *out);

/* ---- idem.c */

/* Enters the key of `m`. *dup_out: it was there; then msg and created of the first one. */
enum rc store_idem_claim(struct store *s, const struct store_message *m, bool *dup_out,
    struct msg_id *msg_out, int64_t *created_out, struct fault *fault);
enum rc store_idem_confirm(struct store *s, const struct store_confirm *op, struct fault *fault);
/* Deletes up to a slice of keys older than 24 h. *more_out: there may be others. */
enum rc store_idem_prune(struct store *s, int64_t now_us, bool *more_out, struct fault *fault);

/* ---- the operations, each inside a transaction */

/* Whether it is refused before anything is written for it. */
enum rc store_accept_check(struct store *s, const struct store_accept *op, struct fault *fault);
enum rc store_accept_message(struct store *s, struct store_message *m, struct fault *fault);
enum rc store_accept_run(struct store *s, struct store_accept *op);
enum rc store_outcome_finish(struct store *s, struct store_finish *op);
enum rc store_outcome_run(struct store *s, struct store_outcome *op);
enum rc store_refill_run(struct store *s, struct store_refill *op);
/* Reads one row by a statement whose columns are STORE_ROW_COLUMNS; strings go to `a`. */
#define STORE_ROW_COLUMNS                                                                          \
	"r.id, r.msg, r.account, m.credential, r.grp, r.lane, r.state, r.due_us, r.lived_us,"      \
	" m.created_us, m.deadline_us, r.domain_hash, m.n_rcpt, m.flags, m.segment, m.offset,"     \
	" m.size, r.attempts, r.doubts, r.notify, m.ret, m.doubt_policy, m.kind, r.address,"       \
	" r.orcpt, m.sender, m.envid, m.message_id, r.via"
#define STORE_ROW_COLUMN_COUNT 29
void store_refill_read(sqlite3_stmt *st, struct arena *a, struct store_row *row);

/* ---- config.c: shared by config_*.c */

/* Runs an insert. RC_EXISTS: "there is such WHAT already". */
enum rc store_config_insert(
    struct store_tx *tx, sqlite3_stmt *st, const char *what, uint64_t *id_out, struct fault *fault);
/* Runs an update or a delete. RC_NOT_FOUND: it changed nothing. RC_EXISTS likewise. */
enum rc store_config_update(
    struct store_tx *tx, sqlite3_stmt *st, const char *what, struct fault *fault);
/* `sql`: a literal with the id as its only parameter. */
enum rc store_config_delete(
    struct store_tx *tx, const char *sql, uint64_t id, const char *what, struct fault *fault);
/* Makes room for row number `n` (from 0). */
void *store_config_grow(struct arena *a, void *rows, uint32_t n, size_t size);

/* ---- backlog.c */

/* The next (group, lane) after (*grp, *lane) that has rows with a due time; RC_DONE: none. */
enum rc store_backlog_next(struct store_db *db, int64_t *grp, int64_t *lane, struct fault *fault);
/* Counts its rows; *budget is how many may still be counted in all, and shrinks. */
enum rc store_backlog_count(struct store_db *db, int64_t grp, int64_t lane, int64_t *budget,
    struct store_backlog *out, struct fault *fault);

/* ---- batch.c: one group */

/* Runs `n` operations as one transaction and answers them. On failure nothing is answered and
 * nothing has changed: *fault says why. */
enum rc store_batch_run(struct store *s, struct store_op **ops, size_t n, struct fault *fault);
/* Answers `op` with a failure. */
void store_batch_refuse(struct store *s, struct store_op *op, const struct fault *why);
/* Answers `op` with what stands in it; posted by the next outbox_flush. */
void store_batch_answer(struct store *s, struct store_op *op);
/* Ends a transaction begun by store_db_begin: counters, content, rows, then memory. On failure, or
 * with `rc` one already, all is undone. Returns how it went. */
enum rc store_batch_end(struct store *s, enum rc rc, struct fault *fault);

/* ---- upkeep.c: retention, emptying of old segments, stragglers */

struct store_upkeep {
	int64_t next_pass_us; /* monotonic */
	uint64_t prune_at;    /* next message id to look at; 0: no pass running */
	bool idem_pass;
	uint32_t moving;      /* segment being emptied, 0: none */
	uint64_t moving_at;   /* next message id to look at */
	int64_t next_move_us; /* monotonic; likewise for looking for one */
	int64_t next_slice_us;
};

/* One slice of about 2 ms, where one is due; `idle`: nobody waits, so the next may follow at once.
 * True when there is more to do. */
bool store_upkeep_slice(struct store *s, int64_t now_us, bool idle);

/* ---- recover.c */

enum rc store_recover(struct store *s, struct fault *fault);

/* ---- writer.c */

void *store_writer_main(void *arg);

/* ---- checkpoint.c */

struct store_checkpoint {
	int done_pages;  /* of the WAL, moved to the database */
	int64_t last_us; /* monotonic */
};

/* Moves what the WAL holds to the database where enough has come together, or `idle`. */
void store_checkpoint_step(struct store *s, bool idle);
bool store_checkpoint_pending(const struct store *s);
/* Everything, at the end; leaves an empty WAL where nobody reads. */
void store_checkpoint_final(struct store *s);

struct store {
	uint32_t magic;
#define STORE_MAGIC 0x90e57042u
	struct store_opts opts;
	char *dir;  /* a copy */
	char *path; /* of the database */
	int lock_fd;
	uint64_t secret[2]; /* veils public ids; never changes after open. Any thread */
	struct mailbox *inbox;
	struct mailbox *dispatcher; /* NULL: nothing is handed over */
	pthread_t thread;
	bool started;

	struct store_db db;
	uint64_t next_msg, next_rcpt, next_attempt;
	int64_t now_us;      /* wall, of this transaction */
	int64_t sync_us;     /* how long the last one's syncs took */
	bool wrote;          /* the last group changed something */
	struct map disabled; /* account ids, read again when `accounts_changed` */
	bool accounts_changed;
	struct store_floor finishing; /* attempts */
	struct store_floor births;    /* recipients */
	struct store_tally tally;
	struct store_intern groups;
	struct store_intern peers;
	struct store_segments segments;
	struct store_window window;
	struct store_guard guard;
	struct store_upkeep upkeep;
	struct store_checkpoint checkpoint;
	struct outbox outbox;

	struct arena recovery_arena;
	struct store_recovery recovery;
	struct store_metrics metrics; /* any thread reads */
};

/* What a STORE_CALL works with. */
struct store_reader {
	struct store_db own; /* a pool thread's */
	struct store_db *db; /* &own, or the writer's */
	struct store *store;
};
struct store_tx {
	struct store *store;
	struct store_db *db;
	struct store_reader reader;
};

/* Whether `have` is the address `want`, or in its domain where that begins with '@'; an empty one
 * fits all. */
static inline bool
store_address_fits(struct str want, struct str have)
{
	if (want.n != 0 && want.p[0] == '@')
		return str_ends_nocase(have, want);
	return want.n == 0 || str_eq_nocase(have, want);
}

void store_ids_push(struct store_ids *ids, uint64_t v);
void store_metrics_note(struct store_histogram *h, uint64_t v);
/* Reads which accounts are disabled. */
enum rc store_accept_load_accounts(struct store *s, struct fault *fault);

static inline void
store_count(_Atomic uint64_t *c, uint64_t n)
{
	atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

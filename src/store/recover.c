/* What a start finds and puts right.
 *
 *	an attempt without a code
 *		The process ended between "about to finish" and the reply: its recipient is in
 *		doubt, with due time 0 until the dispatcher has applied its policy.
 *	a queued recipient without a due time
 *		It was in the dispatcher's hands: due now.
 *	a segment file without a row
 *		It was never committed to, or lost its last message: removed.
 *
 * The first two are put right in one transaction. They are looked for from their floors on
 * (floor.c), so the time this takes depends on what was in flight, not on how much history or
 * backlog there is. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/blob.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/private.h"

#define IN_DOUBT_LISTED 10000
#define TAIL_CHECKED    32

/* ---- numbers */

static enum rc
read_meta(struct store *s, const char *key, int64_t none, int64_t *out, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(&s->db, "SELECT value FROM meta WHERE key = ?1");

	store_db_text(st, 1, str_from(key));
	return store_db_value(&s->db, st, none, out, fault);
}

static enum rc
write_meta(struct store *s, const char *key, uint64_t value, struct fault *fault)
{
	sqlite3_stmt *st =
	    store_db_stmt(&s->db, "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)");

	store_db_text(st, 1, str_from(key));
	store_db_id(st, 2, value);
	return store_db_run(&s->db, st, fault);
}

/* One more than the highest id in the table or ever noted. */
static enum rc
read_next(struct store *s, const char *sql, const char *key, uint64_t *out, struct fault *fault)
{
	int64_t top = 0, noted = 0;
	enum rc rc = store_db_value(&s->db, store_db_stmt(&s->db, sql), 0, &top, fault);

	if (rc == RC_OK)
		rc = read_meta(s, key, 1, &noted, fault);
	if (rc == RC_OK)
		*out = (uint64_t)(top + 1 > noted ? top + 1 : noted);
	return rc;
}

static enum rc
read_ids(struct store *s, struct fault *fault)
{
	enum rc rc = read_next(s, "SELECT max(id) FROM message", "next_msg", &s->next_msg, fault);

	if (rc == RC_OK)
		rc = read_next(
		    s, "SELECT max(id) FROM recipient", "next_rcpt", &s->next_rcpt, fault);
	if (rc == RC_OK)
		rc = read_next(
		    s, "SELECT max(id) FROM attempt", "next_attempt", &s->next_attempt, fault);
	if (rc == RC_OK)
		rc =
		    read_next(s, "SELECT max(id) FROM peer", "next_peer", &s->peers.next_id, fault);
	s->groups.next_id = 1;
	return rc;
}

static enum rc
read_secret(struct store *s, struct fault *fault)
{
	static const char *const keys[2] = { "secret_a", "secret_b" };

	for (int i = 0; i < 2; i++) {
		int64_t v;
		enum rc rc = read_meta(s, keys[i], 0, &v, fault);
		if (rc == RC_OK && v == 0) {
			while (v == 0)
				sqlite3_randomness(sizeof(v), &v);
			rc = write_meta(s, keys[i], (uint64_t)v, fault);
		}
		if (rc != RC_OK)
			return rc;
		s->secret[i] = (uint64_t)v;
	}
	return RC_OK;
}

static enum rc
read_groups(struct store *s, struct fault *fault)
{
	struct arena *a = &s->recovery_arena;
	int64_t count;
	size_t n = 0;
	enum rc rc = store_db_value(
	    &s->db, store_db_stmt(&s->db, "SELECT count(*) FROM grp"), 0, &count, fault);

	if (rc != RC_OK)
		return rc;
	struct store_group *list = ARENA_NEW_ARRAY(a, struct store_group, (size_t)count + 1);
	sqlite3_stmt *st = store_db_stmt(&s->db, "SELECT id, key FROM grp ORDER BY id");
	while ((rc = store_db_step(&s->db, st, fault)) == RC_OK) {
		list[n].id.v = store_db_col_id(st, 0);
		list[n].key = store_db_col_text(st, 1, a);
		store_intern_load(&s->groups, list[n].id.v, list[n].key);
		n++;
	}
	s->recovery.groups = list;
	s->recovery.n_groups = n;
	return rc == RC_DONE ? RC_OK : rc;
}

/* ---- in doubt */

struct open_attempt {
	uint64_t id, rcpt, account;
	enum store_state state;
	bool gone; /* no such recipient any more */
};

static enum rc
doubt(struct store *s, const struct open_attempt *a, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(&s->db,
	    "UPDATE attempt SET code = 0, text = 'the process ended before the reply arrived'"
	    " WHERE id = ?1");

	store_db_id(st, 1, a->id);
	enum rc rc = store_db_run(&s->db, st, fault);
	if (rc != RC_OK || a->gone)
		return rc;
	/* A final state stands (an operator was faster); the attempt is on record. */
	st = store_db_stmt(&s->db,
	    "UPDATE recipient SET last_attempt = ?2, attempts = attempts + 1,"
	    " doubts = doubts + (state < 4), due_us = CASE WHEN state < 4 THEN 0 END,"
	    " via = CASE WHEN state < 4 THEN (SELECT version FROM attempt WHERE id = ?2) ELSE via END,"
	    " state = CASE WHEN state < 4 THEN 1 ELSE state END WHERE id = ?1");
	static_assert(STORE_SENT == 4 && STORE_IN_DOUBT == 1, "the statement says so");
	store_db_id(st, 1, a->rcpt);
	store_db_id(st, 2, a->id);
	rc = store_db_run(&s->db, st, fault);
	if (rc == RC_OK && !store_state_is_final(a->state))
		store_tally_move(&s->tally, a->account, a->state, STORE_IN_DOUBT);
	return rc;
}

static enum rc
settle_attempts(struct store *s, struct fault *fault)
{
	struct open_attempt *open = NULL;
	size_t n = 0, cap = 0;
	int64_t floor;
	enum rc rc = read_meta(s, "finish_floor", 0, &floor, fault);

	if (rc != RC_OK)
		return rc;
	sqlite3_stmt *st = store_db_stmt(&s->db,
	    "SELECT a.id, a.rcpt, r.account, r.state, r.id IS NULL FROM attempt a"
	    " LEFT JOIN recipient r ON r.id = a.rcpt WHERE a.id >= ?1 AND a.code IS NULL"
	    " ORDER BY a.id");
	store_db_int(st, 1, floor);
	while ((rc = store_db_step(&s->db, st, fault)) == RC_OK) {
		if (n == cap) {
			cap = cap != 0 ? cap * 2 : 64;
			open = mem_realloc(open, cap * sizeof(*open));
		}
		open[n++] = (struct open_attempt){ .id = store_db_col_id(st, 0),
			.rcpt = store_db_col_id(st, 1),
			.account = store_db_col_id(st, 2),
			.state = (enum store_state)store_db_col_int(st, 3),
			.gone = store_db_col_int(st, 4) != 0 };
	}
	if (rc == RC_DONE)
		rc = RC_OK;
	for (size_t i = 0; i < n && rc == RC_OK; i++)
		rc = doubt(s, &open[i], fault);
	free(open);
	s->recovery.crashed_attempts = n;
	return rc;
}

static enum rc
settle_births(struct store *s, struct fault *fault)
{
	int64_t floor;
	enum rc rc = read_meta(s, "birth_floor", 0, &floor, fault);

	if (rc != RC_OK)
		return rc;
	sqlite3_stmt *st = store_db_stmt(&s->db,
	    "UPDATE recipient SET due_us = ?2 WHERE id >= ?1 AND due_us IS NULL AND state = 0");
	static_assert(STORE_QUEUED == 0, "the statement says so");
	store_db_int(st, 1, floor);
	store_db_int(st, 2, s->now_us);
	return store_db_run(&s->db, st, fault);
}

/* From now on, everything below the next ids is closed. */
static enum rc
start_floors(struct store *s, struct fault *fault)
{
	store_floor_init(&s->finishing, "finish_floor", s->next_attempt);
	store_floor_init(&s->births, "birth_floor", s->next_rcpt);
	enum rc rc = write_meta(s, "finish_floor", s->next_attempt, fault);
	if (rc == RC_OK)
		rc = write_meta(s, "birth_floor", s->next_rcpt, fault);
	s->finishing.written = s->next_attempt;
	s->births.written = s->next_rcpt;
	return rc;
}

/* ---- the report */

static enum rc
list_in_doubt(struct store *s, struct fault *fault)
{
	struct arena *a = &s->recovery_arena;
	size_t n = 0, cap = 0;
	struct store_row *rows = NULL;
	enum rc rc;
	sqlite3_stmt *st = store_db_stmt(&s->db,
	    "SELECT " STORE_ROW_COLUMNS " FROM recipient r INDEXED BY recipient_aside"
	    " JOIN message m ON m.id = r.msg"
	    " WHERE r.state > 0 AND r.state < 4 AND r.state = 1 AND r.due_us = 0 LIMIT ?1");

	store_db_int(st, 1, IN_DOUBT_LISTED);
	while ((rc = store_db_step(&s->db, st, fault)) == RC_OK) {
		if (n == cap) {
			cap = cap != 0 ? cap * 2 : 64;
			struct store_row *more = ARENA_NEW_ARRAY(a, struct store_row, cap);
			if (n > 0)
				memcpy(more, rows, n * sizeof(*rows));
			rows = more;
		}
		store_refill_read(st, a, &rows[n++]);
	}
	s->recovery.in_doubt = rows;
	s->recovery.n_in_doubt = n;
	return rc == RC_DONE ? RC_OK : rc;
}

static enum rc
list_backlogs(struct store *s, struct fault *fault)
{
	struct arena *a = &s->recovery_arena;
	size_t max = (s->recovery.n_groups + 1) * STREAM_COUNT, n = 0;
	struct store_backlog *list = ARENA_NEW_ARRAY(a, struct store_backlog, max);
	int64_t grp = -1, lane = 0, budget = STORE_BACKLOG_MAX;
	enum rc rc = RC_OK;

	while (rc == RC_OK && n < max) {
		rc = store_backlog_next(&s->db, &grp, &lane, fault);
		if (rc == RC_OK)
			rc = store_backlog_count(&s->db, grp, lane, &budget, &list[n++], fault);
	}
	s->recovery.backlogs = list;
	s->recovery.n_backlogs = n;
	return rc == RC_DONE ? RC_OK : rc;
}

/* ---- content */

static void
remove_orphans(struct store *s)
{
	int fd = openat(s->segments.dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(d)) != NULL) {
		struct str name = str_from(e->d_name);
		uint64_t id;
		if (!str_ends(name, STR(".seg")) ||
		    str_to_u64(str_sub(name, 0, name.n - 4), &id) != RC_OK)
			continue;
		if (map_get(&s->segments.by_id, id) == NULL)
			unlinkat(s->segments.dir_fd, e->d_name, 0);
	}
	closedir(d);
}

/* Reads the newest contents again: they are what a disk that lies about syncs would have lost. */
static enum rc
check_tail(struct store *s, struct fault *fault)
{
	enum rc rc;
	sqlite3_stmt *st = store_db_stmt(&s->db,
	    "SELECT id, segment, offset, size FROM message WHERE id >= ?1 ORDER BY id DESC LIMIT ?2");

	store_db_id(st, 1, s->next_msg > TAIL_CHECKED ? s->next_msg - TAIL_CHECKED : 1);
	store_db_int(st, 2, TAIL_CHECKED);
	while ((rc = store_db_step(&s->db, st, fault)) == RC_OK) {
		struct store_content at = { (uint32_t)store_db_col_id(st, 1),
			(uint32_t)store_db_col_id(st, 2), (uint32_t)store_db_col_id(st, 3) };
		AUTO(blob_unref) struct blob *b = NULL;
		struct fault why = { 0 };
		if (map_get(&s->segments.by_id, at.segment) != NULL &&
		    store_content_read(s->segments.dir_fd, store_db_col_id(st, 0), at, &b, &why) !=
			RC_OK)
			log_event(LOG_ERROR, NULL, "store.content_lost",
			    "content of message %lld is lost: %s; does this disk keep what it "
			    "says is synced?",
			    (long long)store_db_col_int(st, 0), why.text);
	}
	return rc == RC_DONE ? RC_OK : rc;
}

static enum rc
settle_all(struct store *s, struct fault *fault)
{
	enum rc rc = read_ids(s, fault);

	if (rc == RC_OK)
		rc = read_secret(s, fault);
	if (rc == RC_OK)
		rc = settle_attempts(s, fault);
	if (rc == RC_OK)
		rc = settle_births(s, fault);
	if (rc == RC_OK)
		rc = start_floors(s, fault);
	if (rc == RC_OK)
		rc = store_tally_flush(s, fault);
	store_tally_clear(&s->tally);
	return rc;
}

enum rc
store_recover(struct store *s, struct fault *fault)
{
	s->now_us = clock_wall_us();
	enum rc rc = store_db_begin(&s->db, fault);
	if (rc == RC_OK)
		rc = settle_all(s, fault);
	if (rc == RC_OK)
		rc = store_db_commit(&s->db, fault);
	if (rc != RC_OK) {
		store_db_rollback(&s->db);
		return rc;
	}
	rc = store_segment_open(s, fault);
	if (rc == RC_OK)
		rc = read_groups(s, fault);
	if (rc == RC_OK)
		rc = store_accept_load_accounts(s, fault);
	if (rc == RC_OK)
		rc = list_in_doubt(s, fault);
	if (rc == RC_OK)
		rc = list_backlogs(s, fault);
	if (rc == RC_OK)
		rc = check_tail(s, fault);
	if (rc == RC_OK)
		remove_orphans(s);
	return rc;
}

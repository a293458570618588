/* The two roles of a connection.
 *
 * The writer: WAL, every commit synced, no automatic checkpoint (the writer thread makes them when
 * nobody waits), overwritten rows not wiped, files grown in large steps so that syncs seldom touch
 * the file system's own journal. There is exactly one, guarded by the store's lock file: SQLite
 * before 3.51.3 can corrupt a WAL when two connections write or checkpoint at once. For the same
 * reason readers are opened read-only and never checkpoint, not even on close. */
#include "store/db.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"

#define WRITER_CACHE_KB 32768
#define READER_CACHE_KB 2048
#define GROW_BYTES      (1 << 20)

static int
note_wal(void *arg, sqlite3 *h, const char *name, int pages)
{
	struct store_db *db = arg;

	(void)h;
	(void)name;
	db->wal_pages = pages;
	return SQLITE_OK;
}

static enum rc
set_up_writer(struct store_db *db, struct fault *fault)
{
	char sql[512];
	int off = 0, grow = GROW_BYTES;

	snprintf(sql, sizeof(sql),
	    "PRAGMA page_size=4096;"
	    "PRAGMA journal_mode=WAL;"
	    "PRAGMA synchronous=FULL;"
	    "PRAGMA secure_delete=OFF;"
	    "PRAGMA wal_autocheckpoint=0;"
	    "PRAGMA journal_size_limit=67108864;"
	    "PRAGMA temp_store=MEMORY;"
	    "PRAGMA cache_spill=OFF;"
	    "PRAGMA cache_size=-%d;",
	    WRITER_CACHE_KB);
	enum rc rc = store_db_exec(db, sql, fault);
	if (rc != RC_OK)
		return rc;
	sqlite3_db_config(db->h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, &off);
	sqlite3_file_control(db->h, "main", SQLITE_FCNTL_CHUNK_SIZE, &grow);
	sqlite3_wal_hook(db->h, note_wal, db);
	return RC_OK;
}

static enum rc
set_up_reader(struct store_db *db, struct fault *fault)
{
	char sql[128];
	int off = 0;

	sqlite3_db_config(db->h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, &off);
	snprintf(sql, sizeof(sql), "PRAGMA query_only=ON; PRAGMA cache_size=-%d;", READER_CACHE_KB);
	return store_db_exec(db, sql, fault);
}

enum rc
store_db_open(struct store_db *db, const char *path, enum store_db_mode mode, struct fault *fault)
{
	int flags = mode == STORE_DB_WRITER ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
					    : SQLITE_OPEN_READONLY;

	*db = (struct store_db){ 0 };
	if (sqlite3_open_v2(path, &db->h, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		enum rc rc = store_db_error(db, fault);
		store_db_close(db);
		return rc;
	}
	sqlite3_extended_result_codes(db->h, 1);
	sqlite3_busy_timeout(db->h, 5000);
	enum rc rc = mode == STORE_DB_WRITER ? set_up_writer(db, fault) : set_up_reader(db, fault);
	if (rc != RC_OK)
		store_db_close(db);
	return rc;
}

void
store_db_close(struct store_db *db)
{
	size_t at = 0;
	void *st;

	while ((st = map_next(&db->stmts, &at, NULL)) != NULL)
		sqlite3_finalize(st);
	map_done(&db->stmts);
	if (db->h != NULL) {
		int rc = sqlite3_close(db->h);
		ASSERT(rc == SQLITE_OK);
	}
	db->h = NULL;
}

enum rc
store_db_error(struct store_db *db, struct fault *fault)
{
	int code = db->h != NULL ? sqlite3_extended_errcode(db->h) : SQLITE_NOMEM;
	int sys = db->h != NULL ? sqlite3_system_errno(db->h) : 0;
	const char *text = db->h != NULL ? sqlite3_errmsg(db->h) : "out of memory";

	if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC) {
		log_event(LOG_ERROR, NULL, "store.sync_failed",
		    "database sync: errno %d; stopping, since what was written may be lost", sys);
		abort();
	}
	if (code == SQLITE_FULL)
		return fault_set(fault, RC_LIMIT, "the disk is full: writing the database");
	if ((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_READONLY ||
	    (code & 0xff) == SQLITE_CANTOPEN) {
		bool full = sys == ENOSPC || sys == EDQUOT || sys == EFBIG;
		return fault_set(fault, full ? RC_LIMIT : RC_IO, "%s: %s (%d, errno %d)",
		    full ? "the disk is full" : "database file", text, code, sys);
	}
	return fault_set(fault, RC_DB, "database: %s (%d)", text, code);
}

enum rc
store_db_exec(struct store_db *db, const char *sql, struct fault *fault)
{
	return sqlite3_exec(db->h, sql, NULL, NULL, NULL) == SQLITE_OK ? RC_OK
								       : store_db_error(db, fault);
}

sqlite3_stmt *
store_db_stmt(struct store_db *db, const char *sql)
{
	uint64_t key = (uint64_t)(uintptr_t)sql;
	sqlite3_stmt *st = map_get(&db->stmts, key);

	if (st != NULL) {
		sqlite3_clear_bindings(st);
		return st;
	}
	int rc = sqlite3_prepare_v3(db->h, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL);
	if (rc != SQLITE_OK) {
		/* Text that does not parse is our bug; a disk that cannot be read is not. */
		if ((rc & 0xff) == SQLITE_ERROR)
			log_event(
			    LOG_ERROR, NULL, "store.bad_sql", "%s: %s", sqlite3_errmsg(db->h), sql);
		ASSERT((rc & 0xff) != SQLITE_ERROR);
		return NULL;
	}
	map_put(&db->stmts, key, st);
	return st;
}

enum rc
store_db_step(struct store_db *db, sqlite3_stmt *st, struct fault *fault)
{
	if (st == NULL)
		return store_db_error(db, fault);
	int rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		return RC_OK;
	if (rc == SQLITE_DONE) {
		sqlite3_reset(st);
		return RC_DONE;
	}
	enum rc failed = store_db_error(db, fault);
	sqlite3_reset(st);
	return failed;
}

enum rc
store_db_run(struct store_db *db, sqlite3_stmt *st, struct fault *fault)
{
	enum rc rc;

	while ((rc = store_db_step(db, st, fault)) == RC_OK)
		;
	return rc == RC_DONE ? RC_OK : rc;
}

enum rc
store_db_value(
    struct store_db *db, sqlite3_stmt *st, int64_t none, int64_t *out, struct fault *fault)
{
	enum rc rc = store_db_step(db, st, fault);

	if (rc == RC_DONE)
		*out = none;
	if (rc != RC_OK)
		return rc == RC_DONE ? RC_OK : rc;
	*out = store_db_col_int_or(st, 0, none);
	sqlite3_reset(st);
	return RC_OK;
}

void
store_db_reset(sqlite3_stmt *st)
{
	if (st != NULL)
		sqlite3_reset(st);
}

enum rc
store_db_begin(struct store_db *db, struct fault *fault)
{
	return store_db_run(db, store_db_stmt(db, "BEGIN IMMEDIATE"), fault);
}

enum rc
store_db_commit(struct store_db *db, struct fault *fault)
{
	return store_db_run(db, store_db_stmt(db, "COMMIT"), fault);
}

void
store_db_rollback(struct store_db *db)
{
	struct fault ignored = { 0 };

	/* Some errors have rolled back already. */
	if (!sqlite3_get_autocommit(db->h) &&
	    store_db_run(db, store_db_stmt(db, "ROLLBACK"), &ignored) != RC_OK)
		log_event(LOG_ERROR, NULL, "store.rollback_failed", "%s", ignored.text);
}

struct str
store_db_col_view(sqlite3_stmt *st, int at)
{
	const void *p = sqlite3_column_blob(st, at);

	return (struct str){ p, p != NULL ? (size_t)sqlite3_column_bytes(st, at) : 0 };
}

struct str
store_db_col_text(sqlite3_stmt *st, int at, struct arena *a)
{
	struct str s = store_db_col_view(st, at);

	return s.n != 0 ? arena_str(a, s) : (struct str){ 0 };
}

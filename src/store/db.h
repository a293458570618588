/* SQLite, thinly: one connection with its prepared statements, and errors turned into ours.
 *
 * A statement is named by its text: store_db_stmt prepares the literal at its first use and finds
 * it again by its address. Binding a statement that could not be prepared does nothing, so a caller
 * checks once, at store_db_run or store_db_step. One thread at a time.
 *
 * Errors: RC_LIMIT the disk is full, RC_IO the disk failed, RC_DB anything else. A failed sync
 * aborts the process (disk.h says why). */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/fault.h"
#include "base/map.h"

struct store_db {
	sqlite3 *h;
	struct map stmts; /* sqlite3_stmt by the address of its text */
	int wal_pages;    /* in the WAL after the last commit; the writer's connection only */
};

enum store_db_mode { STORE_DB_WRITER, STORE_DB_READER };

/* Opens `path` (created by the writer) and sets it up for its role. */
enum rc store_db_open(
    struct store_db *db, const char *path, enum store_db_mode mode, struct fault *fault);
/* Finalizes and closes; harmless on a zeroed one. */
void store_db_close(struct store_db *db);
/* Runs SQL text of any number of statements, without results. */
enum rc store_db_exec(struct store_db *db, const char *sql, struct fault *fault);

/* `sql` must be a literal. Bindings are cleared. NULL when it cannot be prepared. */
sqlite3_stmt *store_db_stmt(struct store_db *db, const char *sql);
/* RC_OK: a row. RC_DONE: no more, and the statement is reset. Other: reset likewise. */
enum rc store_db_step(struct store_db *db, sqlite3_stmt *st, struct fault *fault);
/* To the end. RC_OK. */
enum rc store_db_run(struct store_db *db, sqlite3_stmt *st, struct fault *fault);
/* One value of one row, or `none` where there is no row or it is NULL. */
enum rc store_db_value(
    struct store_db *db, sqlite3_stmt *st, int64_t none, int64_t *out, struct fault *fault);
/* Leaves a statement before its end. */
void store_db_reset(sqlite3_stmt *st);
/* Our error for the last failure on `db`. */
enum rc store_db_error(struct store_db *db, struct fault *fault);
/* Rows changed by the last statement. */
static inline int
store_db_changes(struct store_db *db)
{
	return sqlite3_changes(db->h);
}

enum rc store_db_begin(struct store_db *db, struct fault *fault);
enum rc store_db_commit(struct store_db *db, struct fault *fault);
/* Harmless without a transaction. */
void store_db_rollback(struct store_db *db);

/* Binding. Views must stay until the statement has run. */
static inline void
store_db_int(sqlite3_stmt *st, int at, int64_t v)
{
	sqlite3_bind_int64(st, at, v);
}
static inline void
store_db_id(sqlite3_stmt *st, int at, uint64_t v)
{
	sqlite3_bind_int64(st, at, (int64_t)v);
}
/* NULL for zero. */
static inline void
store_db_id_or_null(sqlite3_stmt *st, int at, uint64_t v)
{
	if (v != 0)
		sqlite3_bind_int64(st, at, (int64_t)v);
}
/* NULL for the empty text. */
static inline void
store_db_text(sqlite3_stmt *st, int at, struct str s)
{
	if (s.n != 0)
		sqlite3_bind_text64(st, at, s.p, s.n, SQLITE_STATIC, SQLITE_UTF8);
}
/* '' for the empty text; for NOT NULL columns. */
static inline void
store_db_text_always(sqlite3_stmt *st, int at, struct str s)
{
	sqlite3_bind_text64(st, at, s.n != 0 ? s.p : "", s.n, SQLITE_STATIC, SQLITE_UTF8);
}
static inline void
store_db_blob(sqlite3_stmt *st, int at, struct str s)
{
	if (s.n != 0)
		sqlite3_bind_blob64(st, at, s.p, s.n, SQLITE_STATIC);
}

/* Columns of the row at hand. */
static inline int64_t
store_db_col_int(sqlite3_stmt *st, int at)
{
	return sqlite3_column_int64(st, at);
}
static inline uint64_t
store_db_col_id(sqlite3_stmt *st, int at)
{
	return (uint64_t)sqlite3_column_int64(st, at);
}
static inline int64_t
store_db_col_int_or(sqlite3_stmt *st, int at, int64_t none)
{
	return sqlite3_column_type(st, at) == SQLITE_NULL ? none : sqlite3_column_int64(st, at);
}
/* A view until the next step. */
struct str store_db_col_view(sqlite3_stmt *st, int at);
/* A copy with a NUL behind it. */
struct str store_db_col_text(sqlite3_stmt *st, int at, struct arena *a);

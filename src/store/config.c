/* What all settings tables have in common: errors turned into words, and lists that grow as they
 * are read. */
#include <string.h>

#include "base/arena.h"
#include "store/private.h"

#define FIRST_ROWS 16

enum rc
store_config_insert(
    struct store_tx *tx, sqlite3_stmt *st, const char *what, uint64_t *id_out, struct fault *fault)
{
	struct fault why = { 0 };
	enum rc rc = store_db_run(tx->db, st, &why);

	if (rc == RC_OK) {
		if (id_out != NULL)
			*id_out = (uint64_t)sqlite3_last_insert_rowid(tx->db->h);
		return RC_OK;
	}
	if ((sqlite3_errcode(tx->db->h) & 0xff) == SQLITE_CONSTRAINT)
		return fault_set(fault, RC_EXISTS, "there is such %s already", what);
	return fault_set(fault, rc, "%s", why.text);
}

enum rc
store_config_update(struct store_tx *tx, sqlite3_stmt *st, const char *what, struct fault *fault)
{
	enum rc rc = store_config_insert(tx, st, what, NULL, fault);

	if (rc == RC_OK && store_db_changes(tx->db) == 0)
		return fault_set(fault, RC_NOT_FOUND, "there is no such %s", what);
	return rc;
}

enum rc
store_config_delete(
    struct store_tx *tx, const char *sql, uint64_t id, const char *what, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(tx->db, sql);

	store_db_id(st, 1, id);
	return store_config_update(tx, st, what, fault);
}

void *
store_config_grow(struct arena *a, void *rows, uint32_t n, size_t size)
{
	if (n != 0 && (n < FIRST_ROWS || (n & (n - 1)) != 0))
		return rows;
	void *more = arena_zalloc_array(a, n != 0 ? (size_t)n * 2 : FIRST_ROWS, size);
	if (n != 0)
		memcpy(more, rows, n * size);
	return more;
}

/* Keys of submissions whose reply the client may not have seen.
 *
 * An SMTP key is deleted as soon as the client goes on, for then it has read its 250 and sending
 * the same again is meant; so the table holds little more than the clients of this moment. A sticky
 * key stays for its 24 hours. Key and message commit together. */
#include "base/clock.h"
#include "store/private.h"

#define KEEP_US     HOURS(24)
#define PRUNE_SLICE 100

static enum rc
look_up(struct store *s, struct str key, struct msg_id *msg_out, int64_t *created_out,
    bool *old_out, struct fault *fault)
{
	sqlite3_stmt *st =
	    store_db_stmt(&s->db, "SELECT msg, message_us, created_us FROM idem WHERE key = ?1");

	store_db_blob(st, 1, key);
	enum rc rc = store_db_step(&s->db, st, fault);
	if (rc != RC_OK)
		return rc == RC_DONE ? fault_set(fault, RC_DB, "a key vanished") : rc;
	msg_out->v = store_db_col_id(st, 0);
	*created_out = store_db_col_int(st, 1);
	*old_out = store_db_col_int(st, 2) + KEEP_US < s->now_us;
	store_db_reset(st);
	return RC_OK;
}

static enum rc
insert(struct store *s, const struct store_message *m, const char *sql, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(&s->db, sql);

	store_db_blob(st, 1, str_make((const char *)m->key, sizeof(m->key)));
	store_db_id(st, 2, m->id.v);
	store_db_int(st, 3, m->created_us);
	store_db_int(st, 4, m->key_is_sticky);
	store_db_int(st, 5, s->now_us);
	return store_db_run(&s->db, st, fault);
}

enum rc
store_idem_claim(struct store *s, const struct store_message *m, bool *dup_out,
    struct msg_id *msg_out, int64_t *created_out, struct fault *fault)
{
	struct msg_id first = { 0 };
	int64_t created = 0;
	bool old = false;

	enum rc rc = insert(
	    s, m, "INSERT INTO idem VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING", fault);
	if (rc != RC_OK)
		return rc;
	if (store_db_changes(&s->db) != 0) {
		*dup_out = false;
		return RC_OK;
	}
	rc = look_up(
	    s, str_make((const char *)m->key, sizeof(m->key)), &first, &created, &old, fault);
	if (rc != RC_OK)
		return rc;
	*dup_out = !old;
	if (old)
		return insert(
		    s, m, "INSERT OR REPLACE INTO idem VALUES (?1, ?2, ?3, ?4, ?5)", fault);
	*msg_out = first;
	*created_out = created;
	return RC_OK;
}

enum rc
store_idem_confirm(struct store *s, const struct store_confirm *op, struct fault *fault)
{
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < op->n && rc == RC_OK; i++) {
		sqlite3_stmt *st =
		    store_db_stmt(&s->db, "DELETE FROM idem WHERE key = ?1 AND sticky = 0");
		store_db_blob(st, 1, str_make((const char *)op->keys[i], STORE_KEY_SIZE));
		rc = store_db_run(&s->db, st, fault);
	}
	return rc;
}

enum rc
store_idem_prune(struct store *s, int64_t now_us, bool *more_out, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(&s->db,
	    "DELETE FROM idem WHERE key IN"
	    " (SELECT key FROM idem WHERE created_us < ?1 ORDER BY created_us LIMIT ?2)");

	store_db_int(st, 1, now_us - KEEP_US);
	store_db_int(st, 2, PRUNE_SLICE);
	enum rc rc = store_db_run(&s->db, st, fault);
	if (rc == RC_OK)
		*more_out = store_db_changes(&s->db) == PRUNE_SLICE;
	return rc;
}

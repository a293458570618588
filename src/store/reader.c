/* Reading beside the writer. Content is found by where the caller last knew it; when that place no
 * longer holds the message, its row says where it went. */
#include "store/reader.h"

#include <stdlib.h>

#include "base/mem.h"
#include "store/private.h"

struct store_reader *
store_tx_reader(struct store_tx *tx)
{
	return &tx->reader;
}

enum rc
store_reader_new(struct store *s, struct store_reader **out, struct fault *fault)
{
	AUTO(store_reader_free) struct store_reader *r = MEM_NEW(struct store_reader);

	r->store = s;
	enum rc rc = store_db_open(&r->own, s->path, STORE_DB_READER, fault);
	if (rc != RC_OK)
		return rc;
	r->db = &r->own;
	*out = TAKE(r);
	return RC_OK;
}

void
store_reader_free(struct store_reader **rp)
{
	struct store_reader *r = *rp;

	if (r == NULL)
		return;
	*rp = NULL;
	store_db_close(&r->own);
	free(r);
}

static enum rc
look_up(struct store_reader *r, struct msg_id id, struct store_content *out, struct fault *fault)
{
	sqlite3_stmt *st =
	    store_db_stmt(r->db, "SELECT segment, offset, size FROM message WHERE id = ?1");

	store_db_id(st, 1, id.v);
	enum rc rc = store_db_step(r->db, st, fault);
	if (rc == RC_DONE)
		return fault_set(
		    fault, RC_NOT_FOUND, "message %llu is not known", (unsigned long long)id.v);
	if (rc != RC_OK)
		return rc;
	*out = (struct store_content){ (uint32_t)store_db_col_id(st, 0),
		(uint32_t)store_db_col_id(st, 1), (uint32_t)store_db_col_id(st, 2) };
	store_db_reset(st);
	return RC_OK;
}

enum rc
store_reader_content(struct store_reader *r, struct msg_id id, struct store_content at,
    struct blob **out, struct fault *fault)
{
	struct store_content now = { 0 };
	int dir_fd = r->store->segments.dir_fd;

	if (at.segment != 0 && store_content_read(dir_fd, id.v, at, out, NULL) == RC_OK)
		return RC_OK;
	enum rc rc = look_up(r, id, &now, fault);
	return rc == RC_OK ? store_content_read(dir_fd, id.v, now, out, fault) : rc;
}

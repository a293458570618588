/* Checkpoints: small and often, between groups, by the writer alone.
 *
 * Passive ones move what they can without waiting for readers. Once all of the WAL is moved and
 * nobody reads, the next commit starts it over, so its size stays near STEP_PAGES. While a reader
 * holds it, every further STEP_PAGES are moved as they come. */
#include "base/clock.h"
#include "base/log.h"
#include "store/private.h"

#define PAGE_BYTES 4096
#define STEP_PAGES 500

static void
run(struct store *s, int mode)
{
	int64_t from = clock_monotonic_us();
	int log = -1, moved = -1;

	int rc = sqlite3_wal_checkpoint_v2(s->db.h, NULL, mode, &log, &moved);
	if (rc == SQLITE_OK || rc == SQLITE_BUSY) {
		s->checkpoint.done_pages = moved;
	} else {
		struct fault why = { 0 };
		enum rc failed = store_db_error(&s->db, &why);
		log_event(LOG_WARN, NULL, "store.checkpoint_failed", "%s (%s)", why.text,
		    rc_name(failed));
		s->checkpoint.done_pages =
		    s->db.wal_pages; /* tried again after the next STEP_PAGES */
	}
	s->checkpoint.last_us = clock_monotonic_us();
	store_metrics_note(&s->metrics.checkpoint_us, (uint64_t)(s->checkpoint.last_us - from));
	if (log >= 0)
		atomic_store_explicit(
		    &s->metrics.wal_bytes, (uint64_t)log * PAGE_BYTES, memory_order_relaxed);
}

bool
store_checkpoint_pending(const struct store *s)
{
	return s->db.wal_pages != s->checkpoint.done_pages;
}

void
store_checkpoint_step(struct store *s, bool idle)
{
	struct store_checkpoint *c = &s->checkpoint;

	if (s->db.wal_pages < c->done_pages)
		c->done_pages = 0; /* it was started over */
	if (s->db.wal_pages - c->done_pages >= STEP_PAGES || (idle && store_checkpoint_pending(s)))
		run(s, SQLITE_CHECKPOINT_PASSIVE);
}

void
store_checkpoint_final(struct store *s)
{
	run(s, SQLITE_CHECKPOINT_TRUNCATE);
}

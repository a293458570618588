/* Totals per account and statistics per hour, kept in the same commits as the rows they count.
 *
 * A group of operations touches few accounts and few kinds of result, so their changes are summed
 * here and written once per commit. Every change of a recipient's state is one store_tally_move,
 * which keeps the equation of promise P1 by its form: what leaves one column enters another. */
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "store/private.h"

static const enum store_counter counter_of[] = {
	[STORE_QUEUED] = COUNT_QUEUED,
	[STORE_IN_DOUBT] = COUNT_IN_DOUBT,
	[STORE_HELD] = COUNT_QUEUED,
	[STORE_CAPTURED] = COUNT_CAPTURED,
	[STORE_SENT] = COUNT_SENT,
	[STORE_BOUNCED] = COUNT_BOUNCED,
	[STORE_EXPIRED] = COUNT_EXPIRED,
	[STORE_FAILED] = COUNT_FAILED,
	[STORE_CANCELLED] = COUNT_CANCELLED,
	[STORE_SUPPRESSED] = COUNT_SUPPRESSED,
	[STORE_UNKNOWN] = COUNT_UNKNOWN,
};
static_assert(COUNT_OF(counter_of) == STORE_STATE_COUNT, "every state is counted");

enum store_counter
store_tally_counter(enum store_state s)
{
	ASSERT((size_t)s < STORE_STATE_COUNT);
	return counter_of[s];
}

static struct store_total *
total_of(struct store_tally *t, uint64_t account)
{
	size_t at = map_get_number(&t->by_account, account);

	if (at != 0)
		return &t->totals[at - 1];
	if (t->n_totals == t->cap_totals) {
		t->cap_totals = t->cap_totals != 0 ? t->cap_totals * 2 : 16;
		t->totals = mem_realloc(t->totals, t->cap_totals * sizeof(*t->totals));
	}
	t->totals[t->n_totals] = (struct store_total){ .account = account };
	t->n_totals++;
	map_put_number(&t->by_account, account, t->n_totals);
	return &t->totals[t->n_totals - 1];
}

void
store_tally_add(struct store_tally *t, uint64_t account, enum store_counter c, int64_t n)
{
	total_of(t, account)->delta[c] += n;
}

void
store_tally_move(
    struct store_tally *t, uint64_t account, enum store_state from, enum store_state to)
{
	struct store_total *total = total_of(t, account);

	total->delta[store_tally_counter(from)]--;
	total->delta[store_tally_counter(to)]++;
}

static uint64_t
stat_hash(const struct store_stat *k)
{
	uint64_t v[3] = { (uint64_t)k->hour, k->version,
		(uint64_t)k->lane << 16 | (uint64_t)k->state << 8 | k->attribution };

	return str_hash(str_make((const char *)v, sizeof(v)), 0);
}

void
store_tally_stat(struct store_tally *t, const struct store_stat *kind)
{
	uint64_t h = stat_hash(kind);
	size_t at = map_get_number(&t->by_stat, h);

	if (at != 0) {
		struct store_stat *e = &t->stats[at - 1];
		if (e->hour == kind->hour && e->version == kind->version && e->lane == kind->lane &&
		    e->state == kind->state && e->attribution == kind->attribution) {
			e->count += kind->count;
			return;
		}
	}
	if (t->n_stats == t->cap_stats) {
		t->cap_stats = t->cap_stats != 0 ? t->cap_stats * 2 : 16;
		t->stats = mem_realloc(t->stats, t->cap_stats * sizeof(*t->stats));
	}
	t->stats[t->n_stats++] = *kind;
	map_put_number(&t->by_stat, h, t->n_stats);
}

static enum rc
flush_total(struct store *s, const struct store_total *t, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(&s->db,
	    "INSERT INTO totals VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
	    " ON CONFLICT (account) DO UPDATE SET accepted = accepted + ?2,"
	    " generated = generated + ?3, queued = queued + ?4, in_doubt = in_doubt + ?5,"
	    " captured = captured + ?6, sent = sent + ?7, bounced = bounced + ?8,"
	    " expired = expired + ?9, failed = failed + ?10, cancelled = cancelled + ?11,"
	    " suppressed = suppressed + ?12, unknown = unknown + ?13");

	static_assert(COUNT_COUNTERS == 12, "the statement names every counter");
	store_db_id(st, 1, t->account);
	for (int i = 0; i < COUNT_COUNTERS; i++)
		store_db_int(st, 2 + i, t->delta[i]);
	return store_db_run(&s->db, st, fault);
}

static enum rc
flush_stat(struct store *s, const struct store_stat *k, struct fault *fault)
{
	sqlite3_stmt *st = store_db_stmt(&s->db, "INSERT INTO stat VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
						 " ON CONFLICT DO UPDATE SET count = count + ?6");

	store_db_int(st, 1, k->hour);
	store_db_id(st, 2, k->version);
	store_db_int(st, 3, k->lane);
	store_db_int(st, 4, k->state);
	store_db_int(st, 5, k->attribution);
	store_db_int(st, 6, k->count);
	return store_db_run(&s->db, st, fault);
}

enum rc
store_tally_flush(struct store *s, struct fault *fault)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; i < s->tally.n_totals && rc == RC_OK; i++)
		rc = flush_total(s, &s->tally.totals[i], fault);
	for (size_t i = 0; i < s->tally.n_stats && rc == RC_OK; i++)
		rc = flush_stat(s, &s->tally.stats[i], fault);
	return rc;
}

void
store_tally_clear(struct store_tally *t)
{
	for (size_t i = 0; i < t->n_totals; i++)
		map_remove(&t->by_account, t->totals[i].account);
	for (size_t i = 0; i < t->n_stats; i++)
		map_remove(&t->by_stat, stat_hash(&t->stats[i]));
	t->n_totals = t->n_stats = 0;
}

void
store_tally_done(struct store_tally *t)
{
	map_done(&t->by_account);
	map_done(&t->by_stat);
	free(t->totals);
	free(t->stats);
	*t = (struct store_tally){ 0 };
}

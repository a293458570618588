/* A floor below which no id is open, so that a restart finds the open ones without an index.
 *
 * One bit per id from the floor up, in a ring of words: a set bit is an open id. The floor moves up
 * over clear bits, and its value goes to `meta` now and then; a restart looks at rows from there
 * on. Ids are opened in ascending order, each at most once.
 *
 * LIMITS: one bit for each id between the oldest open one and the newest; upkeep.c closes
 * stragglers. */
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "store/private.h"

#define FIRST_WORDS 64

void
store_ids_push(struct store_ids *ids, uint64_t v)
{
	if (ids->n == ids->cap) {
		ids->cap = ids->cap != 0 ? ids->cap * 2 : 64;
		ids->v = mem_realloc(ids->v, ids->cap * sizeof(*ids->v));
	}
	ids->v[ids->n++] = v;
}

void
store_floor_init(struct store_floor *f, const char *key, uint64_t floor)
{
	*f = (struct store_floor){ .key = key, .floor = floor, .next = floor };
	f->cap = FIRST_WORDS;
	f->bits = MEM_NEW_ARRAY(uint64_t, f->cap);
}

void
store_floor_done(struct store_floor *f)
{
	free(f->bits);
	free(f->opened.v);
	free(f->closed.v);
	*f = (struct store_floor){ 0 };
}

static uint64_t *
word_of(const struct store_floor *f, uint64_t id)
{
	return &f->bits[(id / 64) & (f->cap - 1)];
}

static void
grow(struct store_floor *f, uint64_t up_to)
{
	size_t cap = f->cap;

	while (up_to / 64 - f->floor / 64 + 1 > cap)
		cap *= 2;
	if (cap == f->cap)
		return;
	uint64_t *bits = MEM_NEW_ARRAY(uint64_t, cap);
	for (uint64_t w = f->floor / 64; w <= f->next / 64; w++)
		bits[w & (cap - 1)] = f->bits[w & (f->cap - 1)];
	free(f->bits);
	f->bits = bits;
	f->cap = cap;
}

static void
advance(struct store_floor *f)
{
	while (f->floor < f->next) {
		uint64_t rest = *word_of(f, f->floor) >> (f->floor % 64);
		if (rest != 0) {
			f->floor += (uint64_t)__builtin_ctzll(rest);
			return;
		}
		f->floor = (f->floor / 64 + 1) * 64;
	}
	f->floor = f->next;
}

void
store_floor_open(struct store_floor *f, uint64_t first, uint64_t n)
{
	store_ids_push(&f->opened, first);
	store_ids_push(&f->opened, n);
}

void
store_floor_close(struct store_floor *f, uint64_t id)
{
	store_ids_push(&f->closed, id);
}

static void
set_open(struct store_floor *f, uint64_t first, uint64_t n)
{
	ASSERT(first >= f->next);
	if (f->floor == f->next)
		f->floor = first;
	grow(f, first + n);
	f->next = first + n;
	for (uint64_t id = first; id < first + n; id++)
		*word_of(f, id) |= (uint64_t)1 << (id % 64);
}

void
store_floor_commit(struct store_floor *f)
{
	for (size_t i = 0; i < f->opened.n; i += 2)
		set_open(f, f->opened.v[i], f->opened.v[i + 1]);
	for (size_t i = 0; i < f->closed.n; i++) {
		uint64_t id = f->closed.v[i];
		if (id >= f->floor && id < f->next)
			*word_of(f, id) &= ~((uint64_t)1 << (id % 64));
	}
	advance(f);
	if (f->writing != 0)
		f->written = f->writing;
	store_floor_rollback(f);
}

void
store_floor_rollback(struct store_floor *f)
{
	f->opened.n = f->closed.n = 0;
	f->writing = 0;
}

size_t
store_floor_lowest(const struct store_floor *f, uint64_t *out, size_t max)
{
	size_t n = 0;

	for (uint64_t id = f->floor; id < f->next && n < max;) {
		uint64_t rest = *word_of(f, id) >> (id % 64);
		if (rest == 0) {
			id = (id / 64 + 1) * 64;
			continue;
		}
		id += (uint64_t)__builtin_ctzll(rest);
		out[n++] = id++;
	}
	return n;
}

enum rc
store_floor_save(struct store *s, struct store_floor *f, uint64_t step, struct fault *fault)
{
	if (f->floor < f->written + step)
		return RC_OK;
	sqlite3_stmt *st =
	    store_db_stmt(&s->db, "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)");
	store_db_text(st, 1, str_from(f->key));
	store_db_id(st, 2, f->floor);
	f->writing = f->floor;
	return store_db_run(&s->db, st, fault);
}

/* Answers by name and type, the least recently used displaced first.
 *
 * An entry is found by a seeded hash; another name with the same hash simply displaces it. Answers
 * are counted by reference, since one may leave the cache while lookups still wait for their turn
 * to be told. */
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "net/private.h"

struct resolver_kept *
resolver_kept_new(enum dns_type type, const char *name, uint64_t hash)
{
	struct resolver_kept *k = MEM_NEW(struct resolver_kept);

	k->refs = 1;
	arena_init(&k->mem);
	k->type = type;
	k->hash = hash;
	k->name = str_dup0(str_from(name));
	return k;
}

void
resolver_kept_unref(struct resolver_kept **kp)
{
	struct resolver_kept *k = *kp;

	*kp = NULL;
	if (k == NULL || --k->refs != 0)
		return;
	arena_done(&k->mem);
	free(k->name);
	free(k);
}

void
resolver_cache_init(struct resolver_cache *c, size_t max)
{
	ASSERT(max > 0);
	map_init(&c->by_hash);
	list_init(&c->recent);
	c->max = max;
}

static void
drop(struct resolver_cache *c, struct resolver_kept *k)
{
	map_remove(&c->by_hash, k->hash);
	list_remove(&k->recent);
	resolver_kept_unref(&k);
}

void
resolver_cache_clear(struct resolver_cache *c)
{
	while (!list_is_empty(&c->recent))
		drop(c, CONTAINER_OF(c->recent.next, struct resolver_kept, recent));
}

void
resolver_cache_done(struct resolver_cache *c)
{
	resolver_cache_clear(c);
	map_done(&c->by_hash);
}

void
resolver_cache_put(struct resolver_cache *c, struct resolver_kept *k)
{
	struct resolver_kept *before = map_get(&c->by_hash, k->hash);

	if (before != NULL)
		drop(c, before);
	else if (c->by_hash.count >= c->max)
		drop(c, CONTAINER_OF(c->recent.prev, struct resolver_kept, recent));
	k->refs++;
	map_put(&c->by_hash, k->hash, k);
	list_push_front(&c->recent, &k->recent);
}

struct resolver_kept *
resolver_cache_get(
    struct resolver_cache *c, uint64_t hash, enum dns_type type, struct str name, int64_t now_us)
{
	struct resolver_kept *k = map_get(&c->by_hash, hash);

	if (k == NULL || k->type != type || !str_eq_nocase(str_from(k->name), name))
		return NULL;
	if (k->until_us <= now_us) {
		drop(c, k);
		return NULL;
	}
	list_remove(&k->recent);
	list_push_front(&c->recent, &k->recent);
	return k;
}

/* Two kinds of entries in one table: by address and by user name. An entry allows a number of
 * failures in a window; the one that passes it starts a block, whose length doubles with each block
 * until a quiet day. */
#include "account/guard.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "crypto/random.h"

#define ENTRIES_MAX     65536u
#define WINDOW          MINUTES(15)
#define BLOCK_FIRST     MINUTES(1)
#define BLOCK_MAX       HOURS(6)
#define ADDRESS_ALLOWED 10u
#define USER_ALLOWED    20u /* more, since an attacker could lock its owner out */

struct entry {
	uint64_t key;
	struct list age; /* oldest touched first */
	int64_t window_start_us;
	int64_t blocked_until_us;
	int64_t touched_us;
	uint32_t failures;
	uint32_t blocks;
	uint64_t user;       /* of an address: who the failures were for, */
	bool has_more_users; /* unless there were several */
};

struct account_guard {
	struct map entries;
	struct list by_age;
	uint64_t seed;
};

struct account_guard *
account_guard_new(void)
{
	struct account_guard *g = MEM_NEW(struct account_guard);

	list_init(&g->by_age);
	g->seed = random_u64();
	return g;
}

void
account_guard_free(struct account_guard **gp)
{
	struct account_guard *g = *gp;
	struct entry *e;

	if (g == NULL)
		return;
	*gp = NULL;
	LIST_FOREACH(e, &g->by_age, struct entry, age)
		free(e);
	map_done(&g->entries);
	free(g);
}

static uint64_t
address_key(const struct account_guard *g, const struct ip *peer)
{
	/* IPv4 is mapped, so its host bits are in the second half; IPv6 counts by its first half.
	 */
	size_t n = ip_is_v4(peer) ? 16 : 8;

	return str_hash(str_make((const char *)peer->b, n), g->seed);
}

static uint64_t
user_key(const struct account_guard *g, struct str user)
{
	return str_hash_nocase(user, ~g->seed);
}

static struct entry *
touch(struct account_guard *g, uint64_t key, int64_t now_us)
{
	struct entry *e = map_get(&g->entries, key);

	if (e == NULL) {
		if (g->entries.count >= ENTRIES_MAX) {
			struct entry *oldest = LIST_FIRST(&g->by_age, struct entry, age);
			ASSERT(oldest != NULL);
			map_remove(&g->entries, oldest->key);
			list_remove(&oldest->age);
			free(oldest);
		}
		e = MEM_NEW(struct entry);
		e->key = key;
		e->window_start_us = now_us;
		map_put(&g->entries, key, e);
	} else {
		list_remove(&e->age);
	}
	list_push_back(&g->by_age, &e->age);
	if (now_us - e->touched_us > DAYS(1))
		e->blocks = 0;
	e->touched_us = now_us;
	return e;
}

static void
count_failure(
    struct account_guard *g, uint64_t key, uint64_t user, uint32_t allowed, int64_t now_us)
{
	struct entry *e = touch(g, key, now_us);

	if (now_us - e->window_start_us > WINDOW) {
		e->window_start_us = now_us;
		e->failures = 0;
	}
	e->has_more_users = e->failures != 0 && (e->has_more_users || e->user != user);
	e->user = user;
	if (++e->failures <= allowed)
		return;
	int64_t block = BLOCK_FIRST << (e->blocks < 16 ? e->blocks : 16);
	e->blocked_until_us = now_us + (block < BLOCK_MAX ? block : BLOCK_MAX);
	e->blocks++;
	e->failures = 0;
}

static int64_t
blocked_until(const struct account_guard *g, uint64_t key)
{
	const struct entry *e = map_get(&g->entries, key);

	return e != NULL ? e->blocked_until_us : 0;
}

bool
account_guard_is_blocked(struct account_guard *g, const struct ip *peer, struct str user,
    int64_t now_us, int64_t *until_out)
{
	int64_t until = peer != NULL ? blocked_until(g, address_key(g, peer)) : 0;
	int64_t by_user = blocked_until(g, user_key(g, user));

	if (by_user > until)
		until = by_user;
	if (until <= now_us)
		return false;
	*until_out = until;
	return true;
}

void
account_guard_note(
    struct account_guard *g, const struct ip *peer, struct str user, bool right, int64_t now_us)
{
	uint64_t who = user_key(g, user);

	if (!right) {
		if (peer != NULL)
			count_failure(g, address_key(g, peer), who, ADDRESS_ALLOWED, now_us);
		count_failure(g, who, who, USER_ALLOWED, now_us);
		return;
	}
	struct entry *e = peer != NULL ? map_get(&g->entries, address_key(g, peer)) : NULL;
	if (e != NULL && e->user == who && !e->has_more_users)
		e->failures = 0;
}

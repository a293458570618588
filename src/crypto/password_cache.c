/* A table from the MAC's first 64 bits to entries, which also stand in a queue by age. Every entry
 * lives equally long, so the queue's head is always the next to expire and the right one to evict.
 *
 * The whole MAC of 256 bits is compared, in constant time. Of two entries with the same 64 bits,
 * which does not happen, the later replaces the earlier: that costs one Argon2id. */
#include "crypto/password_cache.h"

#include <sodium.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "crypto/hmac.h"
#include "crypto/password.h"
#include "crypto/random.h"

struct entry {
	struct list by_age;
	uint8_t mac[HASH_SHA256_SIZE];
	int64_t expires_us;
};

struct password_cache {
	uint8_t key[HASH_SHA256_SIZE];
	struct map entries; /* by the first 64 bits of the MAC */
	struct list by_age; /* oldest first; the same entries */
	size_t max_entries;
	int64_t ttl_us;
};

static uint64_t
slot_of(const uint8_t mac[static HASH_SHA256_SIZE])
{
	uint64_t v;

	memcpy(&v, mac, sizeof(v));
	return v;
}

static void
forget(struct password_cache *c, struct entry *e)
{
	ASSERT(e != NULL);
	list_remove(&e->by_age);
	map_remove(&c->entries, slot_of(e->mac));
	free(e);
}

struct password_cache *
password_cache_new(size_t max_entries, int64_t ttl_us)
{
	struct password_cache *c = MEM_NEW(struct password_cache);

	ASSERT(max_entries > 0 && ttl_us > 0);
	random_bytes(c->key, sizeof(c->key));
	map_init(&c->entries);
	list_init(&c->by_age);
	c->max_entries = max_entries;
	c->ttl_us = ttl_us;
	return c;
}

void
password_cache_free(struct password_cache **cp)
{
	struct password_cache *c = TAKE(*cp);

	if (c == NULL)
		return;
	while (!list_is_empty(&c->by_age))
		forget(c, LIST_FIRST(&c->by_age, struct entry, by_age));
	map_done(&c->entries);
	mem_wipe(c->key, sizeof(c->key));
	free(c);
}

static void
add_part(struct buf *b, struct str s)
{
	buf_addf(b, "%zu:", s.n);
	buf_add(b, s);
}

/* The MAC of the three parts, each behind its length so that none can lend bytes to the next. */
static void
mac_of(const struct password_cache *c, struct str user, const struct password_verifier *v,
    struct str secret, uint8_t out[static HASH_SHA256_SIZE])
{
	AUTO(buf_done) struct buf text = { 0 };
	AUTO(buf_wipe) struct buf all = { 0 };

	buf_init(&text, PASSWORD_TEXT_MAX);
	password_format(v, &text);
	/* All of it at once: growing would leave copies of the secret behind. */
	buf_init(&all, user.n + secret.n + PASSWORD_TEXT_MAX + 64);
	(void)buf_reserve(&all, user.n + secret.n + PASSWORD_TEXT_MAX + 64);
	add_part(&all, user);
	add_part(&all, buf_str(&text));
	add_part(&all, secret);
	ASSERT(buf_is_ok(&text) && buf_is_ok(&all));
	hmac_sha256(str_make((const char *)c->key, sizeof(c->key)), buf_str(&all), out);
}

static void
forget_expired(struct password_cache *c, int64_t now_us)
{
	struct entry *e;

	while (
	    (e = LIST_FIRST(&c->by_age, struct entry, by_age)) != NULL && e->expires_us <= now_us)
		forget(c, e);
}

bool
password_cache_has(struct password_cache *c, struct str user, const struct password_verifier *v,
    struct str secret, int64_t now_us)
{
	uint8_t mac[HASH_SHA256_SIZE];

	if (secret.n > PASSWORD_MAX)
		return false;
	forget_expired(c, now_us);
	mac_of(c, user, v, secret, mac);
	const struct entry *e = map_get(&c->entries, slot_of(mac));
	return e != NULL && sodium_memcmp(e->mac, mac, sizeof(mac)) == 0;
}

void
password_cache_add(struct password_cache *c, struct str user, const struct password_verifier *v,
    struct str secret, int64_t now_us)
{
	uint8_t mac[HASH_SHA256_SIZE];

	if (secret.n > PASSWORD_MAX)
		return;
	forget_expired(c, now_us);
	mac_of(c, user, v, secret, mac);
	struct entry *e = map_get(&c->entries, slot_of(mac));
	if (e != NULL)
		forget(c, e);
	if (c->entries.count >= c->max_entries)
		forget(c, LIST_FIRST(&c->by_age, struct entry, by_age));
	e = MEM_NEW(struct entry);
	memcpy(e->mac, mac, sizeof(mac));
	e->expires_us = now_us + c->ttl_us;
	map_put(&c->entries, slot_of(mac), e);
	list_push_back(&c->by_age, &e->by_age);
}

/* A list, most recently filed first, found by looking: it has a few dozen entries, and is asked
 * once a connection. Several sessions may lie under one key, since a relay's connections each bring
 * a ticket and a TLS 1.3 ticket serves once (RFC 8446 §C.4); at most four are kept for one. */
#include <stdlib.h>
#include <time.h>

#include <openssl/ssl.h>

#include "base/check.h"
#include "base/mem.h"
#include "net/private.h"

#define PER_KEY_MAX 4

struct entry {
	struct list link;
	uint64_t hash; /* of everything below but the session */
	uint64_t ctx_id;
	char *name;
	char *key;
	SSL_SESSION *session;
};

struct tls_cache {
	struct list entries; /* most recently filed first */
	size_t count;
	size_t max;
};

struct tls_cache *
tls_cache_new(size_t max_sessions)
{
	struct tls_cache *cache = MEM_NEW(struct tls_cache);

	ASSERT(max_sessions > 0);
	list_init(&cache->entries);
	cache->max = max_sessions;
	return cache;
}

static void
drop(struct tls_cache *cache, struct entry *e)
{
	list_remove(&e->link);
	cache->count--;
	SSL_SESSION_free(e->session);
	free(e->name);
	free(e->key);
	free(e);
}

void
tls_cache_free(struct tls_cache **cp)
{
	struct tls_cache *cache = *cp;
	struct entry *e;

	if (cache == NULL)
		return;
	*cp = NULL;
	LIST_FOREACH(e, &cache->entries, struct entry, link)
		drop(cache, e);
	free(cache);
}

size_t
tls_cache_count(const struct tls_cache *cache)
{
	return cache->count;
}

static uint64_t
hash_of(uint64_t ctx_id, struct str name, struct str key)
{
	return str_hash(key, str_hash_nocase(name, ctx_id));
}

static bool
is_for(const struct entry *e, uint64_t hash, uint64_t ctx_id, struct str name, struct str key)
{
	return e->hash == hash && e->ctx_id == ctx_id && str_eq_nocase(str_from(e->name), name) &&
	       str_eq(str_from(e->key), key);
}

void
tls_cache_put(
    struct tls_cache *cache, uint64_t ctx_id, struct str name, struct str key, SSL_SESSION *session)
{
	uint64_t hash = hash_of(ctx_id, name, key);
	struct entry *e, *oldest = NULL;
	size_t same = 0;

	LIST_FOREACH(e, &cache->entries, struct entry, link) {
		if (is_for(e, hash, ctx_id, name, key)) {
			oldest = e;
			same++;
		}
	}
	if (same >= PER_KEY_MAX)
		drop(cache, oldest);
	else if (cache->count >= cache->max)
		drop(cache, CONTAINER_OF(cache->entries.prev, struct entry, link));
	e = MEM_NEW(struct entry);
	e->hash = hash;
	e->ctx_id = ctx_id;
	e->name = str_dup0(name);
	e->key = str_dup0(key);
	e->session = session;
	list_push_front(&cache->entries, &e->link);
	cache->count++;
}

static bool
is_usable(const SSL_SESSION *s)
{
	return SSL_SESSION_is_resumable(s) == 1 &&
	       SSL_SESSION_get_time(s) + SSL_SESSION_get_timeout(s) > (long)time(NULL);
}

SSL_SESSION *
tls_cache_take(struct tls_cache *cache, uint64_t ctx_id, struct str name, struct str key)
{
	uint64_t hash = hash_of(ctx_id, name, key);
	struct entry *e;

	LIST_FOREACH(e, &cache->entries, struct entry, link) {
		if (!is_for(e, hash, ctx_id, name, key))
			continue;
		SSL_SESSION *s = NULL;
		bool once = SSL_SESSION_get_protocol_version(e->session) == TLS1_3_VERSION;
		if (is_usable(e->session)) {
			SSL_SESSION_up_ref(e->session);
			s = e->session;
		}
		if (s == NULL || once)
			drop(cache, e);
		if (s != NULL)
			return s;
	}
	return NULL;
}

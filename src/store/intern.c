/* Texts that many rows share are stored once and known by number: the keys of groups, and whom
 * attempts spoke to.
 *
 * The map from text to number is in memory. Groups are few and all loaded at start. Peers can
 * become many where mail goes to every MX there is, so their map is emptied when it has PEERS_MAX
 * entries; a peer met again then gets a second row, which does no harm. Entries made by a
 * transaction leave with it. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"
#include "store/private.h"

#define PEERS_MAX 16384

void
store_intern_done(struct store_intern *in)
{
	size_t at = 0;
	struct store_interned *e;

	while ((e = map_next(&in->by_hash, &at, NULL)) != NULL) {
		while (e != NULL) {
			struct store_interned *same = e->same;
			free(e);
			e = same;
		}
	}
	map_done(&in->by_hash);
	free(in->added);
	*in = (struct store_intern){ .next_id = in->next_id };
}

static struct store_interned *
find(const struct store_intern *in, struct str text, uint64_t hash)
{
	struct store_interned *e = map_get(&in->by_hash, hash);

	while (e != NULL && !str_eq(str_make(e->p, e->n), text))
		e = e->same;
	return e;
}

static struct store_interned *
insert(struct store_intern *in, uint64_t id, struct str text, uint64_t hash)
{
	struct store_interned *e = mem_zalloc(sizeof(*e) + text.n + 1);

	e->id = id;
	e->hash = hash;
	e->n = text.n;
	if (text.n != 0)
		memcpy(e->p, text.p, text.n);
	e->same = map_get(&in->by_hash, hash);
	map_put(&in->by_hash, hash, e);
	in->count++;
	if (in->next_id <= id)
		in->next_id = id + 1;
	return e;
}

void
store_intern_load(struct store_intern *in, uint64_t id, struct str text)
{
	insert(in, id, text, str_hash(text, 0));
}

static uint64_t
add(struct store_intern *in, struct str text, uint64_t hash)
{
	if (in->n_added == in->cap_added) {
		in->cap_added = in->cap_added != 0 ? in->cap_added * 2 : 16;
		in->added = mem_realloc(in->added, in->cap_added * sizeof(struct store_interned *));
	}
	struct store_interned *e = insert(in, in->next_id, text, hash);
	in->added[in->n_added++] = e;
	return e->id;
}

void
store_intern_commit(struct store_intern *in)
{
	in->n_added = 0;
}

void
store_intern_rollback(struct store_intern *in)
{
	store_intern_rollback_to(in, 0);
}

void
store_intern_rollback_to(struct store_intern *in, size_t n_added)
{
	/* Newest first: each is at the head of its chain again when its turn comes. */
	while (in->n_added > n_added) {
		struct store_interned *e = in->added[--in->n_added];
		ASSERT(map_get(&in->by_hash, e->hash) == e);
		if (e->same != NULL)
			map_put(&in->by_hash, e->hash, e->same);
		else
			map_remove(&in->by_hash, e->hash);
		in->count--;
		free(e);
	}
}

enum rc
store_intern_group(struct store *s, struct str key, uint64_t *out, struct fault *fault)
{
	uint64_t hash = str_hash(key, 0);
	struct store_interned *e = find(&s->groups, key, hash);

	if (e != NULL) {
		*out = e->id;
		return RC_OK;
	}
	uint64_t id = add(&s->groups, key, hash);
	sqlite3_stmt *st = store_db_stmt(&s->db, "INSERT INTO grp (id, key) VALUES (?1, ?2)");
	store_db_id(st, 1, id);
	store_db_text_always(st, 2, key);
	enum rc rc = store_db_run(&s->db, st, fault);
	if (rc == RC_OK)
		*out = id;
	return rc;
}

enum rc
store_intern_peer(struct store *s, struct str remote, struct str tls, struct str name,
    uint64_t *out, struct fault *fault)
{
	char space[1024];
	struct store_intern *in = &s->peers;

	remote = str_sub(remote, 0, 256);
	tls = str_sub(tls, 0, 256);
	name = str_sub(name, 0, 256);
	if (remote.n + tls.n + name.n == 0) {
		*out = 0;
		return RC_OK;
	}
	int n = snprintf(
	    space, sizeof(space), "%.*s\n%.*s\n%.*s", STR_ARG(remote), STR_ARG(tls), STR_ARG(name));
	struct str text = str_make(space, (size_t)n);
	uint64_t hash = str_hash(text, 0);
	struct store_interned *e = find(in, text, hash);
	if (e != NULL) {
		*out = e->id;
		return RC_OK;
	}
	if (in->count >= PEERS_MAX && in->n_added == 0)
		store_intern_done(in);
	uint64_t id = add(in, text, hash);
	sqlite3_stmt *st = store_db_stmt(
	    &s->db, "INSERT INTO peer (id, remote, tls, name) VALUES (?1, ?2, ?3, ?4)");
	store_db_id(st, 1, id);
	store_db_text(st, 2, remote);
	store_db_text(st, 3, tls);
	store_db_text(st, 4, name);
	enum rc rc = store_db_run(&s->db, st, fault);
	if (rc == RC_OK)
		*out = id;
	return rc;
}

/* A list of questions, few enough to be walked, each with the answer once it is there.
 *
 * Answers are copied from the resolver's, whose own live during its callback only. */
#include "net/answers.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"

#define ENTRY_MAGIC 0xa5e70001u

struct entry {
	uint32_t magic;
	struct answers *owner;
	struct list link;
	enum dns_type type;
	struct str name;       /* lower case */
	struct lookup *lookup; /* while it runs */
	bool is_known;
	struct dns_answer answer;
};

struct answers {
	struct resolver *resolver;
	int64_t timeout_us;
	struct arena mem;
	struct list entries;
	size_t count;
	size_t running;
	answers_fn *on_done;
	void *arg;
	struct dns_answer too_many;
};

struct answers *
answers_new(struct resolver *resolver, int64_t timeout_us)
{
	struct answers *a = MEM_NEW(struct answers);

	a->resolver = resolver;
	a->timeout_us = timeout_us;
	list_init(&a->entries);
	a->too_many.rc = fault_set(
	    &a->too_many.fault, RC_LIMIT, "more than %u DNS lookups were needed", ANSWERS_MAX);
	return a;
}

void
answers_free(struct answers **ap)
{
	struct answers *a = TAKE(*ap);
	struct entry *e;

	if (a == NULL)
		return;
	LIST_FOREACH(e, &a->entries, struct entry, link) {
		resolver_cancel(&e->lookup);
		e->magic = 0;
	}
	arena_done(&a->mem);
	free(a);
}

static struct str
plain(struct str name)
{
	if (name.n > 1 && name.p[name.n - 1] == '.')
		name.n--;
	return name;
}

static struct entry *
find(struct answers *a, enum dns_type type, struct str name)
{
	struct entry *e;

	name = plain(name);
	LIST_FOREACH(e, &a->entries, struct entry, link) {
		if (e->type == type && str_eq_nocase(e->name, name))
			return e;
	}
	return NULL;
}

static struct entry *
add(struct answers *a, enum dns_type type, struct str name)
{
	struct entry *e = ARENA_NEW(&a->mem, struct entry);

	e->magic = ENTRY_MAGIC;
	e->owner = a;
	e->type = type;
	e->name = arena_lower(&a->mem, plain(name));
	list_push_back(&a->entries, &e->link);
	a->count++;
	return e;
}

static void
keep(struct entry *e, const struct dns_answer *answer)
{
	struct arena *mem = &e->owner->mem;
	struct dns_record *records = ARENA_NEW_ARRAY(mem, struct dns_record, answer->count);

	for (size_t i = 0; i < answer->count; i++) {
		records[i] = answer->records[i];
		records[i].text = arena_str(mem, answer->records[i].text);
	}
	e->answer = *answer;
	e->answer.records = records;
	e->is_known = true;
}

const struct dns_answer *
answers_ask(struct answers *a, enum dns_type type, struct str name)
{
	static const struct dns_answer none = { .rc = RC_NOT_FOUND };
	struct entry *e = find(a, type, name);

	if (e != NULL)
		return e->is_known ? &e->answer : NULL;
	if (a->count >= ANSWERS_MAX)
		return &a->too_many;
	if (a->resolver == NULL)
		return &none;
	(void)add(a, type, name);
	return NULL;
}

bool
answers_is_wanting(const struct answers *a)
{
	const struct entry *e;

	LIST_FOREACH(e, &a->entries, struct entry, link) {
		if (!e->is_known && e->lookup == NULL)
			return true;
	}
	return false;
}

static void
on_answer(void *arg, const struct dns_answer *answer)
{
	struct entry *e = FROM_ARG(struct entry, arg, ENTRY_MAGIC);
	struct answers *a = e->owner;

	e->lookup = NULL;
	keep(e, answer);
	if (--a->running == 0)
		a->on_done(a->arg);
}

void
answers_fetch(struct answers *a, answers_fn *on_done, void *arg)
{
	struct entry *e;

	ASSERT(a->running == 0 && answers_is_wanting(a));
	a->on_done = on_done;
	a->arg = arg;
	LIST_FOREACH(e, &a->entries, struct entry, link) {
		if (e->is_known)
			continue;
		a->running++;
		e->lookup =
		    resolver_lookup(a->resolver, e->type, e->name, a->timeout_us, on_answer, e);
	}
}

void
answers_put(struct answers *a, enum dns_type type, struct str name, const struct dns_answer *answer)
{
	if (find(a, type, name) == NULL)
		keep(add(a, type, name), answer);
}

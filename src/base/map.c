/* Open addressing with linear probing and backward-shift deletion: no tombstones, so a table that
 * is filled and emptied for ever stays fast. At most three quarters full. */
#include "base/map.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

void
map_init(struct map *m)
{
	*m = (struct map){ 0 };
}

void
map_done(struct map *m)
{
	free(m->slots);
	map_init(m);
}

static size_t
home(const struct map *m, uint64_t key)
{
	key ^= key >> 32;
	key *= 0x9e3779b97f4a7c15u;
	return (size_t)(key >> 20) & (m->cap - 1);
}

static struct map_slot *
find(const struct map *m, uint64_t key)
{
	size_t i = home(m, key);

	while (m->slots[i].value != NULL && m->slots[i].key != key)
		i = (i + 1) & (m->cap - 1);
	return &m->slots[i];
}

static void
grow(struct map *m)
{
	struct map old = *m;

	m->cap = old.cap != 0 ? old.cap * 2 : 16;
	m->slots = MEM_NEW_ARRAY(struct map_slot, m->cap);
	for (size_t i = 0; i < old.cap; i++) {
		if (old.slots[i].value != NULL)
			*find(m, old.slots[i].key) = old.slots[i];
	}
	free(old.slots);
}

void *
map_get(const struct map *m, uint64_t key)
{
	return m->count != 0 ? find(m, key)->value : NULL;
}

void *
map_put(struct map *m, uint64_t key, void *value)
{
	ASSERT(value != NULL);
	if ((m->count + 1) * 4 > m->cap * 3)
		grow(m);
	struct map_slot *s = find(m, key);
	void *before = s->value;
	*s = (struct map_slot){ key, value };
	if (before == NULL)
		m->count++;
	return before;
}

void
map_put_number(struct map *m, uint64_t key, size_t n)
{
	map_put(m, key, (void *)(uintptr_t)n); /* NOLINT(performance-no-int-to-ptr): meant */
}

void *
map_remove(struct map *m, uint64_t key)
{
	if (m->count == 0)
		return NULL;
	struct map_slot *s = find(m, key);
	void *value = s->value;
	if (value == NULL)
		return NULL;
	size_t hole = (size_t)(s - m->slots);
	for (size_t i = (hole + 1) & (m->cap - 1); m->slots[i].value != NULL;
	     i = (i + 1) & (m->cap - 1)) {
		size_t want = home(m, m->slots[i].key);
		if (((i - want) & (m->cap - 1)) >= ((i - hole) & (m->cap - 1))) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole] = (struct map_slot){ 0 };
	m->count--;
	return value;
}

void *
map_next(const struct map *m, size_t *at, uint64_t *key_out)
{
	while (*at < m->cap) {
		struct map_slot *s = &m->slots[(*at)++];
		if (s->value != NULL) {
			if (key_out != NULL)
				*key_out = s->key;
			return s->value;
		}
	}
	return NULL;
}

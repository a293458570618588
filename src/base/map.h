/* A hash table from 64-bit keys to pointers.
 *
 * Keys are ids, or hashes for which the caller compares the full key itself. Pointers are borrowed
 * and never NULL. Growth doubles and moves everything at once. One owner, no locks. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct map_slot {
	uint64_t key;
	void *value; /* NULL: free */
};

struct map {
	struct map_slot *slots;
	size_t cap; /* 0 or a power of two */
	size_t count;
};

/* `{ 0 }` is an empty map too. */
void map_init(struct map *m);
void map_done(struct map *m);
/* The pointer under `key`, or NULL. */
void *map_get(const struct map *m, uint64_t key);
/* Puts `value` (not NULL) under `key`; returns what stood there before, or NULL. */
void *map_put(struct map *m, uint64_t key, void *value);
/* Takes the entry out and returns its pointer, or NULL. */
void *map_remove(struct map *m, uint64_t key);

/* A table of numbers (never 0) instead of pointers; one table holds one kind only. 0: not there. */
static inline size_t
map_get_number(const struct map *m, uint64_t key)
{
	return (size_t)(uintptr_t)map_get(m, key);
}
void map_put_number(struct map *m, uint64_t key, size_t n);

/* Walks in no order: start with *at = 0; NULL at the end. The map must not change meanwhile. */
void *map_next(const struct map *m, size_t *at, uint64_t *key_out);

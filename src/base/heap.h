/* A priority heap whose bookkeeping lives inside the elements: the smallest key comes first.
 *
 * An element is on at most one heap per node. Keys are microseconds or sequence numbers; equal keys
 * come in no particular order. One owner, no locks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct heap_node {
	int64_t key;
	size_t slot; /* 1-based place in the heap, 0 while on none */
};

struct heap {
	struct heap_node **nodes; /* [1..count] */
	size_t count;
	size_t cap;
};

/* `{ 0 }` is an empty heap too. */
void heap_init(struct heap *h);
void heap_done(struct heap *h);
static inline bool
heap_has(const struct heap_node *n)
{
	return n->slot != 0;
}
/* Inserts `n` under `key`, or moves it there when it is already on this heap. O(log count). */
void heap_set(struct heap *h, struct heap_node *n, int64_t key);
/* Takes `n` out; harmless when it is on no heap. O(log count). */
void heap_remove(struct heap *h, struct heap_node *n);
/* The node with the smallest key, or NULL; stays in. */
struct heap_node *heap_first(const struct heap *h);

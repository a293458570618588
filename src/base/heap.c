/* A binary heap of pointers; each node remembers its slot so that it can be moved or removed. */
#include "base/heap.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

void
heap_init(struct heap *h)
{
	*h = (struct heap){ 0 };
}

void
heap_done(struct heap *h)
{
	for (size_t i = 1; i <= h->count; i++)
		h->nodes[i]->slot = 0;
	free(h->nodes);
	heap_init(h);
}

static void
place(struct heap *h, size_t slot, struct heap_node *n)
{
	h->nodes[slot] = n;
	n->slot = slot;
}

static void
sift_up(struct heap *h, size_t slot, struct heap_node *n)
{
	while (slot > 1 && h->nodes[slot / 2]->key > n->key) {
		place(h, slot, h->nodes[slot / 2]);
		slot /= 2;
	}
	place(h, slot, n);
}

static void
sift_down(struct heap *h, size_t slot, struct heap_node *n)
{
	for (;;) {
		size_t child = slot * 2;
		if (child > h->count)
			break;
		if (child < h->count && h->nodes[child + 1]->key < h->nodes[child]->key)
			child++;
		if (h->nodes[child]->key >= n->key)
			break;
		place(h, slot, h->nodes[child]);
		slot = child;
	}
	place(h, slot, n);
}

void
heap_set(struct heap *h, struct heap_node *n, int64_t key)
{
	size_t slot = n->slot;
	int64_t before = n->key;

	n->key = key;
	if (slot != 0) {
		ASSERT(slot <= h->count && h->nodes[slot] == n);
		if (key < before)
			sift_up(h, slot, n);
		else
			sift_down(h, slot, n);
		return;
	}
	if (h->count + 1 >= h->cap) {
		h->cap = h->cap != 0 ? h->cap * 2 : 64;
		h->nodes = mem_realloc(h->nodes, h->cap * sizeof(struct heap_node *));
	}
	sift_up(h, ++h->count, n);
}

void
heap_remove(struct heap *h, struct heap_node *n)
{
	size_t slot = n->slot;

	if (slot == 0)
		return;
	ASSERT(slot <= h->count && h->nodes[slot] == n);
	n->slot = 0;
	struct heap_node *last = h->nodes[h->count--];
	if (last == n)
		return;
	if (slot > 1 && h->nodes[slot / 2]->key > last->key)
		sift_up(h, slot, last);
	else
		sift_down(h, slot, last);
}

struct heap_node *
heap_first(const struct heap *h)
{
	return h->count != 0 ? h->nodes[1] : NULL;
}

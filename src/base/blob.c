#include "base/blob.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

static _Atomic size_t total_bytes;
static _Atomic size_t budget_bytes = (size_t)256 << 20;

struct blob *
blob_new(size_t n)
{
	ASSERT(n < SIZE_MAX / 2);
	struct blob *b = mem_realloc(NULL, sizeof(*b) + n);

	atomic_init(&b->refs, 1);
	b->n = n;
	atomic_fetch_add_explicit(&total_bytes, n, memory_order_relaxed);
	return b;
}

struct blob *
blob_from(struct str s)
{
	struct blob *b = blob_new(s.n);

	if (s.n != 0)
		memcpy(b->p, s.p, s.n);
	return b;
}

struct blob *
blob_resize(struct blob *b, size_t n)
{
	ASSERT(n < SIZE_MAX / 2);
	ASSERT(atomic_load_explicit(&b->refs, memory_order_relaxed) == 1);
	/* Wraps round where it shrinks; the sum is right all the same. */
	atomic_fetch_add_explicit(&total_bytes, n - b->n, memory_order_relaxed);
	b = mem_realloc(b, sizeof(*b) + n);
	b->n = n;
	return b;
}

struct blob *
blob_ref(struct blob *b)
{
	int32_t before = atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);

	ASSERT(before > 0);
	return b;
}

void
blob_unref(struct blob **bp)
{
	struct blob *b = *bp;

	if (b == NULL)
		return;
	*bp = NULL;
	int32_t before = atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel);
	ASSERT(before > 0);
	if (before != 1)
		return;
	atomic_fetch_sub_explicit(&total_bytes, b->n, memory_order_relaxed);
	free(b);
}

size_t
blob_total_bytes(void)
{
	return atomic_load_explicit(&total_bytes, memory_order_relaxed);
}

void
blob_budget_set(size_t bytes)
{
	atomic_store_explicit(&budget_bytes, bytes, memory_order_relaxed);
}

bool
blob_budget_has(size_t n)
{
	size_t limit = atomic_load_explicit(&budget_bytes, memory_order_relaxed);
	size_t used = blob_total_bytes();

	return used <= limit && n <= limit - used;
}

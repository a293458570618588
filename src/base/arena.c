/* Bump allocation from a list of chunks.
 *
 * The first chunk is small, since most connections say little; each next one doubles up to 64 KB,
 * and a request larger than that gets a chunk of its own size. arena_clear keeps the oldest chunk
 * only. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define CHUNK_FIRST 1024u
#define CHUNK_MAX   65536u

struct arena_chunk {
	struct arena_chunk *older;
	size_t size; /* bytes behind the header */
	alignas(max_align_t) char bytes[];
};

void
arena_init(struct arena *a)
{
	*a = (struct arena){ 0 };
}

void
arena_done(struct arena *a)
{
	struct arena_chunk *c = a->chunks;

	while (c != NULL) {
		struct arena_chunk *older = c->older;
		free(c);
		c = older;
	}
	arena_init(a);
}

void
arena_clear(struct arena *a)
{
	struct arena_chunk *c = a->chunks;

	if (c == NULL)
		return;
	while (c->older != NULL) {
		struct arena_chunk *older = c->older;
		free(c);
		c = older;
	}
	*a = (struct arena){
		.chunks = c, .at = c->bytes, .end = c->bytes + c->size, .total = c->size
	};
}

static void
add_chunk(struct arena *a, size_t n)
{
	size_t size = a->chunks == NULL ? CHUNK_FIRST : a->chunks->size * 2;

	if (size > CHUNK_MAX)
		size = CHUNK_MAX;
	if (size < n)
		size = n;
	ASSERT(size < SIZE_MAX - sizeof(struct arena_chunk));
	struct arena_chunk *c = mem_realloc(NULL, sizeof(*c) + size);
	c->older = a->chunks;
	c->size = size;
	a->chunks = c;
	a->at = c->bytes;
	a->end = c->bytes + size;
	a->total += size;
}

static void *
carve(struct arena *a, size_t n, size_t align)
{
	ASSERT(n < SIZE_MAX / 2);
	size_t pad = (size_t)(-(uintptr_t)a->at & (align - 1));
	if (a->at == NULL || (size_t)(a->end - a->at) < n + pad) {
		add_chunk(a, n + align);
		pad = (size_t)(-(uintptr_t)a->at & (align - 1));
	}
	void *p = a->at + pad;
	a->at += pad + n;
	return p;
}

void *
arena_zalloc(struct arena *a, size_t n)
{
	return memset(carve(a, n, alignof(max_align_t)), 0, n);
}

void *
arena_zalloc_array(struct arena *a, size_t count, size_t size)
{
	size_t n;

	ASSERT(!__builtin_mul_overflow(count, size, &n));
	return arena_zalloc(a, n);
}

struct str
arena_str(struct arena *a, struct str s)
{
	char *p = carve(a, s.n + 1, 1);

	if (s.n != 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (struct str){ p, s.n };
}

struct str
arena_strv(struct arena *a, const char *fmt, va_list ap)
{
	va_list again;

	ASSERT(fmt != NULL);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	ASSERT(n >= 0);
	char *p = carve(a, (size_t)n + 1, 1);
	vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return (struct str){ p, (size_t)n };
}

struct str
arena_strf(struct arena *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	struct str s = arena_strv(a, fmt, ap);
	va_end(ap);
	return s;
}

struct str
arena_lower(struct arena *a, struct str s)
{
	char *p = carve(a, s.n + 1, 1);

	for (size_t i = 0; i < s.n; i++)
		p[i] = ascii_lower(s.p[i]);
	p[s.n] = '\0';
	return (struct str){ p, s.n };
}

/* Memory that is freed all at once.
 *
 * Each level of the lifetime tree (connection, transaction, call) owns an arena: what it needs is
 * carved off and never freed singly; the level's end frees everything. Allocation does not fail
 * (base/mem.h); callers bound what a peer can make them ask for. One owner, no locks. */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/str.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* newest first */
	char *at;                   /* free bytes of the newest chunk: [at, end) */
	char *end;
	size_t total; /* bytes taken from the heap */
};

/* An empty arena; allocates nothing yet. `{ 0 }` is the same. */
void arena_init(struct arena *a);
/* Frees everything. Serves with AUTO; the arena may be used again. */
void arena_done(struct arena *a);
/* Forgets everything but keeps the first chunk, for reuse in a loop of transactions. */
void arena_clear(struct arena *a);

/* `n` bytes, zeroed, aligned for any type. */
void *arena_zalloc(struct arena *a, size_t n);
#define ARENA_NEW(a, type)          ((type *)arena_zalloc((a), sizeof(type)))
#define ARENA_NEW_ARRAY(a, type, n) ((type *)arena_zalloc_array((a), (n), sizeof(type)))
void *arena_zalloc_array(struct arena *a, size_t count, size_t size);

/* A copy of `s` with a NUL behind it (not counted in n). */
struct str arena_str(struct arena *a, struct str s);
struct str arena_strf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
struct str arena_strv(struct arena *a, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
/* A copy with ASCII letters in lower case. */
struct str arena_lower(struct arena *a, struct str s);

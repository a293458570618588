/* A growing run of bytes with a ceiling.
 *
 * A buffer is born with the largest size it may ever have. What would pass it is not added and sets
 * a sticky mark: build a whole thing, then ask `buf_is_ok` once. Bytes are added at the end and
 * dropped from the front, so a buffer also serves as the queue of a socket. One owner, no locks. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/str.h"

struct buf {
	char *p;      /* heap, or NULL while nothing was ever added */
	size_t start; /* first byte not yet dropped */
	size_t end;   /* one past the last byte; start <= end <= cap */
	size_t cap;
	size_t limit; /* end - start never passes it */
	bool over;    /* something did not fit; stays until buf_clear */
};

/* An empty buffer of at most `limit` bytes (> 0); allocates nothing yet. */
void buf_init(struct buf *b, size_t limit);
/* Frees the bytes; the buffer may be used again as just initialised. Serves with AUTO. */
void buf_done(struct buf *b);
/* Like buf_done, and wipes every byte first; for buffers that held a secret. */
void buf_wipe(struct buf *b);
/* Forgets bytes and the sticky mark, keeps the memory. */
void buf_clear(struct buf *b);

static inline bool
buf_is_ok(const struct buf *b)
{
	return !b->over;
}
static inline size_t
buf_len(const struct buf *b)
{
	return b->end - b->start;
}
/* What is in it now; valid until the next call that adds. */
static inline struct str
buf_str(const struct buf *b)
{
	if (b->p == NULL)
		return (struct str){ NULL, 0 };
	return (struct str){ b->p + b->start, b->end - b->start };
}

void buf_add(struct buf *b, struct str s);
void buf_add_byte(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_addv(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

/* Room for `n` more bytes in one piece, or NULL (and the sticky mark) past the ceiling; fill it,
 * then buf_commit what was really written. */
char *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);

/* Drops `n` bytes (at most buf_len) from the front. */
void buf_drop(struct buf *b, size_t n);
/* Cuts the end back to `len` bytes. */
void buf_truncate(struct buf *b, size_t len);

/* Terminates with NUL (not counted) and returns the bytes as a C string; valid like buf_str. */
const char *buf_cstr(struct buf *b);
/* The bytes as a heap string with a NUL behind them, for free(); the buffer is empty afterwards. */
char *buf_steal(struct buf *b);

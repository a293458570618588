/* Growing bytes.
 *
 * Invariants: start <= end <= cap; end - start <= limit; p == NULL only while cap == 0. Memory
 * doubles, and moves to the front instead of growing when at least half of it is dropped bytes, so
 * a socket queue that is filled and drained for ever stays as large as its largest moment. One byte
 * past the limit is kept for the NUL of buf_cstr. */
#include "base/buf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

void
buf_init(struct buf *b, size_t limit)
{
	ASSERT(limit > 0 && limit < SIZE_MAX / 4);
	*b = (struct buf){ .limit = limit };
}

void
buf_done(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ .limit = b->limit };
}

void
buf_wipe(struct buf *b)
{
	if (b->p != NULL)
		mem_wipe(b->p, b->cap);
	buf_done(b);
}

void
buf_clear(struct buf *b)
{
	b->start = b->end = 0;
	b->over = false;
}

static void
move_to_front(struct buf *b)
{
	size_t len = buf_len(b);

	ASSERT(b->p != NULL);
	memmove(b->p, b->p + b->start, len);
	b->start = 0;
	b->end = len;
}

/* Makes room for n bytes and a NUL behind the end; false past the ceiling. */
static bool
make_room(struct buf *b, size_t n)
{
	size_t len = buf_len(b);

	if (n > b->limit - len) {
		b->over = true;
		return false;
	}
	if (n < b->cap - b->end)
		return true;
	if (b->start >= b->cap / 2 && n < b->cap - len) {
		move_to_front(b);
		return true;
	}
	size_t cap = b->cap < 256 ? 256 : b->cap * 2;
	while (cap < len + n + 1)
		cap *= 2;
	if (cap > b->limit + 1)
		cap = b->limit + 1;
	if (b->start != 0)
		move_to_front(b);
	b->p = mem_realloc(b->p, cap);
	b->cap = cap;
	return true;
}

void
buf_add(struct buf *b, struct str s)
{
	if (s.n == 0 || !make_room(b, s.n))
		return;
	memcpy(b->p + b->end, s.p, s.n);
	b->end += s.n;
}

void
buf_add_byte(struct buf *b, char c)
{
	if (make_room(b, 1))
		b->p[b->end++] = c;
}

void
buf_addv(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;

	va_copy(again, ap);
	size_t room = b->cap - b->end;
	int n = vsnprintf(b->p != NULL ? b->p + b->end : NULL, b->p != NULL ? room : 0, fmt, ap);
	ASSERT(n >= 0);
	size_t need = (size_t)n;
	if (make_room(b, need)) {
		if (need >= room)
			vsnprintf(b->p + b->end, need + 1, fmt, again);
		b->end += need;
	}
	va_end(again);
}

void
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_addv(b, fmt, ap);
	va_end(ap);
}

char *
buf_reserve(struct buf *b, size_t n)
{
	return make_room(b, n) ? b->p + b->end : NULL;
}

void
buf_commit(struct buf *b, size_t n)
{
	ASSERT(n <= b->cap - b->end && buf_len(b) + n <= b->limit);
	b->end += n;
}

void
buf_drop(struct buf *b, size_t n)
{
	ASSERT(n <= buf_len(b));
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
}

void
buf_truncate(struct buf *b, size_t len)
{
	ASSERT(len <= buf_len(b));
	b->end = b->start + len;
}

const char *
buf_cstr(struct buf *b)
{
	if (b->p == NULL)
		make_room(b, 1);
	ASSERT(b->p != NULL);
	b->p[b->end] = '\0';
	return b->p + b->start;
}

char *
buf_steal(struct buf *b)
{
	buf_cstr(b);
	if (b->start != 0)
		memmove(b->p, b->p + b->start, buf_len(b) + 1);
	char *p = b->p;
	b->p = NULL;
	buf_done(b);
	return p;
}

/* Content on the wire.
 *
 * Both directions ask the same question of almost every byte: is there anything to do here?
 * `run_clean` answers it for 64 bytes at a time with a few shifts of bit masks (codec/block64.h),
 * and stops at what needs a decision: a bare CR, a bare LF, a dot at the start of a line. Ordinary
 * text has hardly any, so it is copied, or viewed, in long runs; only the few bytes around a stop
 * go through the state machine one by one.
 *
 *            CR            LF                        '.'
 *   TEXT  ---------> CR ---------> START ---------------> DOT ---------> DOT_CR ---LF--> END
 *     ^               |              |                     |      CR        |
 *     +---- any ------+----- any ----+--------- any -------+---- any -------+
 *
 * What each state holds back (neither written nor counted): TEXT and START nothing; CR one CR; DOT
 * one dot; DOT_CR a dot and a CR. The writer uses TEXT, CR and START with the same meaning. START
 * is 0, so that a zeroed machine stands where content does: at the start of a line.
 *
 * In chunk mode dots mean nothing and START is like TEXT, except that `line` begins at 0 there. */
#include "codec/smtp_data.h"

#include "base/check.h"
#include "codec/block64.h"

enum { STATE_START = 0, STATE_TEXT, STATE_CR, STATE_DOT, STATE_DOT_CR, STATE_END };

static const char crlf_dot_crlf[] = "\r\n.\r\n";

/* What a clean run says about its bytes. */
struct run {
	size_t n;          /* bytes that need no decision */
	uint64_t seen_nul; /* non-zero if any */
	uint64_t seen_high;
	uint64_t line;    /* octets since the last CRLF, carried in and out */
	uint64_t longest; /* carried likewise */
	bool start;       /* the next byte begins a line, carried likewise */
};

/* Accounts for the first `n` bytes of a block that are clean; `ends` are their LFs. */
static inline void
run_take(struct run *run, const struct block64 *b, unsigned n)
{
	uint64_t mask = n == BLOCK64_SIZE ? UINT64_MAX : ((uint64_t)1 << n) - 1;
	uint64_t ends = b->lf & mask;
	unsigned at = 0;

	run->seen_nul |= b->nul & mask;
	run->seen_high |= b->high & mask;
	while (ends != 0) {
		unsigned lf = (unsigned)__builtin_ctzll(ends);
		uint64_t len = run->line + (lf - at) - 1; /* the CR is counted in */
		if (len > run->longest)
			run->longest = len;
		run->line = 0;
		at = lf + 1;
		ends &= ends - 1;
	}
	run->line += n - at;
	if (n != 0)
		run->start = at == n;
	run->n += n;
}

/* Goes as far into `s` as nothing needs a decision: up to a bare CR or LF, a CR whose successor is
 * not in `s`, or, where `dots` matter, a dot at the start of a line. The byte before `s` is no CR.
 */
static inline void
run_clean(struct run *run, struct str s, bool dots)
{
	while (run->n < s.n) {
		size_t left = s.n - run->n;
		unsigned n = left < BLOCK64_SIZE ? (unsigned)left : BLOCK64_SIZE;
		struct block64 b;

		if (left >= BLOCK64_SIZE) {
			b = block64_load(s.p + run->n);
		} else {
			char tail[BLOCK64_SIZE] = { 0 };
			memcpy(tail, s.p + run->n, left);
			b = block64_load(tail);
		}
		uint64_t behind_cr = b.cr << 1;
		uint64_t stops = (b.lf & ~behind_cr) | (b.cr & ~(b.lf >> 1));
		if (dots)
			stops |= b.dot & ((b.lf & behind_cr) << 1 | run->start);
		unsigned clean = stops != 0 ? (unsigned)__builtin_ctzll(stops) : BLOCK64_SIZE;
		run_take(run, &b, clean < n ? clean : n);
		/* The CR of a good CRLF stops here too when it is the last of 64: the next block
		 * begins with it. */
		if (clean < n && !(clean == BLOCK64_SIZE - 1 && left > BLOCK64_SIZE &&
				     memcmp(s.p + run->n, "\r\n", 2) == 0))
			return;
	}
}

void
smtp_data_reader_init(struct smtp_data_reader *r, enum smtp_data_mode mode, bool normalize)
{
	*r = (struct smtp_data_reader){ .mode = mode, .normalize = normalize };
}

static void
put(struct smtp_data_reader *r, struct buf *out, struct str s)
{
	r->size += s.n;
	if (out != NULL && buf_is_ok(out))
		buf_add(out, s);
}

static void
end_line(struct smtp_data_reader *r)
{
	if (r->line > r->longest_line)
		r->longest_line = r->line;
	r->line = 0;
	r->state = STATE_START;
}

/* A CR that no LF followed, or an LF that no CR preceded. It begins no line as far as dots go,
 * whatever comes out for it: the peer's idea of a line must not decide where the message ends. */
static void
put_bare(struct smtp_data_reader *r, char c, struct buf *out)
{
	if (c == '\r')
		r->bare_cr = true;
	else
		r->bare_lf = true;
	if (r->normalize) {
		put(r, out, STR("\r\n"));
		end_line(r);
	} else {
		put(r, out, str_make(&c, 1));
		r->line++;
	}
	r->state = STATE_TEXT;
}

/* One byte through the machine; STATE_END when it was the last of the message. */
static void
step(struct smtp_data_reader *r, char c, struct buf *out)
{
	if (r->state == STATE_DOT_CR) {
		if (c == '\n') {
			r->state = STATE_END;
			return;
		}
		/* The dot was a stuffed one, and the CR behind it is bare. */
		put_bare(r, '\r', out);
	} else if (r->state == STATE_DOT) {
		r->state = c == '\r' ? STATE_DOT_CR : STATE_TEXT;
		if (c == '\r')
			return;
	} else if (r->state == STATE_CR) {
		if (c == '\n') {
			put(r, out, STR("\r\n"));
			end_line(r);
			return;
		}
		put_bare(r, '\r', out);
	} else if (r->state == STATE_START && c == '.' && r->mode == SMTP_DATA_DOTS) {
		r->state = STATE_DOT;
		return;
	}
	if (c == '\r') {
		r->state = STATE_CR;
	} else if (c == '\n') {
		put_bare(r, '\n', out);
	} else {
		r->nul |= c == '\0';
		r->eight_bit |= ((unsigned char)c & 0x80) != 0;
		put(r, out, str_make(&c, 1));
		r->line++;
		r->state = STATE_TEXT;
	}
}

enum parse
smtp_data_reader_feed(struct smtp_data_reader *r, struct str in, struct buf *out, size_t *used_out)
{
	size_t at = 0;

	ASSERT(r->state != STATE_END);
	while (at < in.n) {
		if (r->state == STATE_START || r->state == STATE_TEXT) {
			struct run run = {
				.line = r->line,
				.longest = r->longest_line,
				.start = r->state == STATE_START,
			};
			run_clean(&run, str_skip(in, at), r->mode == SMTP_DATA_DOTS);
			put(r, out, str_sub(in, at, run.n));
			r->nul |= run.seen_nul != 0;
			r->eight_bit |= run.seen_high != 0;
			r->line = run.line;
			r->longest_line = run.longest;
			r->state = run.start ? STATE_START : STATE_TEXT;
			at += run.n;
			if (at == in.n)
				break;
		}
		step(r, in.p[at++], out);
		if (r->state == STATE_END) {
			*used_out = at;
			return PARSE_ONE;
		}
	}
	/* A last line without an end counts too. */
	if (r->line > r->longest_line)
		r->longest_line = r->line;
	*used_out = at;
	return PARSE_MORE;
}

void
smtp_data_reader_finish(struct smtp_data_reader *r, struct buf *out)
{
	ASSERT(r->mode == SMTP_DATA_CHUNK && r->state != STATE_END);
	if (r->state == STATE_CR)
		put_bare(r, '\r', out);
	if (r->line > r->longest_line)
		r->longest_line = r->line;
	r->state = STATE_END;
}

/* Decides what stands at the front of `content`; returns how many views that filled, 0 or 1. Only a
 * stuffed dot and a line end are ever made up here, everything else is part of some run. */
static size_t
writer_step(struct smtp_data_writer *w, struct str *content, struct str *view)
{
	char c = content->p[0];

	if (w->state == STATE_CR || c == '\n') {
		if (c == '\n')
			*content = str_skip(*content, 1);
		*view = STR("\r\n");
		w->state = STATE_START;
		return 1;
	}
	if (c == '\r') {
		*content = str_skip(*content, 1);
		w->state = STATE_CR;
		return 0;
	}
	ASSERT(c == '.' && w->state == STATE_START);
	*view = STR(".");
	w->state = STATE_TEXT; /* the content's own dot begins the next run */
	return 1;
}

size_t
smtp_data_writer_next(
    struct smtp_data_writer *w, struct str *content, struct str *views, size_t max)
{
	size_t n = 0;

	ASSERT(max > 0 && w->state != STATE_END);
	while (content->n != 0 && n < max) {
		struct run run = { .start = w->state == STATE_START };
		if (w->state != STATE_CR)
			run_clean(&run, *content, true);
		if (run.n == 0) {
			n += writer_step(w, content, &views[n]);
			continue;
		}
		views[n++] = str_sub(*content, 0, run.n);
		*content = str_skip(*content, run.n);
		w->state = run.start ? STATE_START : STATE_TEXT;
	}
	return n;
}

struct str
smtp_data_writer_end(struct smtp_data_writer *w)
{
	bool open = w->state != STATE_START;

	ASSERT(w->state != STATE_END);
	w->state = STATE_END;
	return open ? str_make(crlf_dot_crlf, 5) : str_make(crlf_dot_crlf + 2, 3);
}

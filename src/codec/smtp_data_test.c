#include "codec/smtp_data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"

#define CHECK_STR(s, want)                                                                         \
	do {                                                                                       \
		struct str check_ = (s), want_ = (want);                                           \
		assert_int_equal(check_.n, want_.n);                                               \
		assert_memory_equal(check_.n != 0 ? check_.p : "", want_.p, want_.n);              \
	} while (0)

enum { CR = 1, LF = 2, NUL = 4, HIGH = 8 };

/* The definition, byte by byte on whole input: what the fast reader must agree with. Returns the
 * bytes used, or 0 if there is no end. */
static size_t
slow_read(struct str in, bool normalize, struct buf *out, unsigned *flags)
{
	size_t i = 0;

	*flags = 0;
	while (i < in.n) {
		struct str rest = str_skip(in, i);
		bool start = i == 0 || (i >= 2 && in.p[i - 1] == '\n' && in.p[i - 2] == '\r');
		if (start && str_starts(rest, STR(".\r\n")))
			return i + 3;
		if (start && rest.p[0] == '.') {
			i++;
			if (i == in.n)
				break;
			rest = str_skip(rest, 1);
		}
		if (str_starts(rest, STR("\r\n"))) {
			buf_add(out, STR("\r\n"));
			i += 2;
			continue;
		}
		char c = rest.p[0];
		*flags |= (c == '\r' ? CR : 0) | (c == '\n' ? LF : 0) | (c == '\0' ? NUL : 0) |
			  ((unsigned char)c >= 128 ? HIGH : 0);
		if (normalize && (c == '\r' || c == '\n'))
			buf_add(out, STR("\r\n"));
		else
			buf_add_byte(out, c);
		i++;
	}
	return 0;
}

static unsigned
flags_of(const struct smtp_data_reader *r)
{
	return (r->bare_cr ? CR : 0) | (r->bare_lf ? LF : 0) | (r->nul ? NUL : 0) |
	       (r->eight_bit ? HIGH : 0);
}

/* Feeds `in` in pieces of `piece` bytes. Returns the bytes used up to the end, 0 if none came. */
static size_t
read_pieces(struct smtp_data_reader *r, struct str in, size_t piece, struct buf *out)
{
	size_t used;

	for (size_t at = 0; at < in.n; at += piece) {
		struct str part = str_sub(in, at, piece);
		if (smtp_data_reader_feed(r, part, out, &used) == PARSE_ONE)
			return at + used;
		assert_int_equal(used, part.n);
	}
	return 0;
}

static const struct {
	struct str in, plain, normal;
	size_t left; /* behind the end */
	unsigned flags;
	uint64_t longest; /* without normalize */
} cases[] = {
	{ STR_INIT(".\r\n"), STR_INIT(""), STR_INIT(""), 0, 0, 0 },
	{ STR_INIT("\r\n.\r\n"), STR_INIT("\r\n"), STR_INIT("\r\n"), 0, 0, 0 },
	{ STR_INIT("abc\r\n.\r\nQUIT\r\n"), STR_INIT("abc\r\n"), STR_INIT("abc\r\n"), 6, 0, 3 },
	{ STR_INIT("..\r\n..x\r\n.y\r\n.\r\n"), STR_INIT(".\r\n.x\r\ny\r\n"),
	    STR_INIT(".\r\n.x\r\ny\r\n"), 0, 0, 2 },
	{ STR_INIT("a.\r\n.\r\n"), STR_INIT("a.\r\n"), STR_INIT("a.\r\n"), 0, 0, 2 },
	{ STR_INIT("a\n.\nb\r\n.\r\n"), STR_INIT("a\n.\nb\r\n"), STR_INIT("a\r\n.\r\nb\r\n"), 0, LF,
	    5 },
	{ STR_INIT("a\n.\r\nb\r\n.\r\n"), STR_INIT("a\n.\r\nb\r\n"), STR_INIT("a\r\n.\r\nb\r\n"), 0,
	    LF, 3 },
	{ STR_INIT("a\r\n.\nb\r\n.\r\n"), STR_INIT("a\r\n\nb\r\n"), STR_INIT("a\r\n\r\nb\r\n"), 0,
	    LF, 2 },
	{ STR_INIT("a\r.\r\nb\r\n.\r\n"), STR_INIT("a\r.\r\nb\r\n"), STR_INIT("a\r\n.\r\nb\r\n"), 0,
	    CR, 3 },
	{ STR_INIT("a\r\n.\rb\r\n.\r\n"), STR_INIT("a\r\n\rb\r\n"), STR_INIT("a\r\n\r\nb\r\n"), 0,
	    CR, 2 },
	{ STR_INIT("a\r\n.\r\r\n.\r\n"), STR_INIT("a\r\n\r\r\n"), STR_INIT("a\r\n\r\n\r\n"), 0, CR,
	    1 },
	{ STR_INIT("a\r\r\n.\r\n"), STR_INIT("a\r\r\n"), STR_INIT("a\r\n\r\n"), 0, CR, 2 },
	{ STR_INIT("a\0\xe9\r\n.\r\n\0\xff"), STR_INIT("a\0\xe9\r\n"), STR_INIT("a\0\xe9\r\n"), 2,
	    NUL | HIGH, 3 },
};

static void
only_crlf_dot_crlf_ends_content_in_whatever_pieces_it_comes(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf out = { 0 };

	buf_init(&out, 1 << 20);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		for (size_t piece = 1; piece <= cases[i].in.n; piece++) {
			for (int normalize = 0; normalize < 2; normalize++) {
				struct smtp_data_reader r;
				smtp_data_reader_init(&r, SMTP_DATA_DOTS, normalize != 0);
				buf_clear(&out);
				size_t used = read_pieces(&r, cases[i].in, piece, &out);
				assert_int_equal(used, cases[i].in.n - cases[i].left);
				CHECK_STR(buf_str(&out),
				    normalize != 0 ? cases[i].normal : cases[i].plain);
				assert_int_equal(flags_of(&r), cases[i].flags);
				assert_int_equal(r.size, buf_len(&out));
				if (normalize == 0)
					assert_int_equal(r.longest_line, cases[i].longest);
			}
		}
	}
}

/* Bytes that are mostly text but rich in what matters. */
static void
random_content(struct prng *rng, struct buf *b, size_t n)
{
	static const char odd[] = "\r\n.\r\n..\r\n.\r\0\n\xff";

	while (buf_len(b) < n) {
		uint64_t x = prng_next(rng);
		if (x % 8 == 0)
			buf_add_byte(b, odd[(x >> 8) % (sizeof(odd) - 1)]);
		else if (x % 8 == 1)
			buf_add(b, STR("\r\n"));
		else
			buf_add(b,
			    str_sub(
				STR("The quick brown fox jumps over the lazy dog, and then some more."),
				0, (x >> 8) % 65));
	}
}

static void
the_fast_reader_agrees_with_the_definition(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf in = { 0 }, want = { 0 }, out = { 0 };
	struct prng rng;

	rng = prng_make(20);
	buf_init(&in, 1 << 16);
	buf_init(&want, 1 << 16);
	buf_init(&out, 1 << 16);
	for (unsigned round = 0; round < 4000; round++) {
		struct smtp_data_reader r;
		unsigned flags;
		bool normalize = round % 2 != 0;
		buf_clear(&in);
		buf_clear(&want);
		buf_clear(&out);
		random_content(&rng, &in, round % 700);
		buf_add(&in, STR("\r\n.\r\n"));
		size_t end = slow_read(buf_str(&in), normalize, &want, &flags);
		smtp_data_reader_init(&r, SMTP_DATA_DOTS, normalize);
		size_t used = read_pieces(&r, buf_str(&in), 1 + prng_next(&rng) % 200, &out);
		assert_int_not_equal(end, 0);
		assert_int_equal(used, end);
		CHECK_STR(buf_str(&out), buf_str(&want));
		assert_int_equal(flags_of(&r), flags);
		assert_int_equal(r.size, buf_len(&want));
	}
}

static void
chunks_pass_unchanged_and_are_judged_across_their_borders(void **state)
{
	(void)state;
	static const struct str parts[] = { STR_INIT("a\r"), STR_INIT("\n.\r\n..b"), STR_INIT("\r"),
		STR_INIT("") };
	AUTO(buf_done) struct buf out = { 0 };
	struct smtp_data_reader r;
	size_t used;

	buf_init(&out, 1000);
	smtp_data_reader_init(&r, SMTP_DATA_CHUNK, false);
	for (size_t i = 0; i < COUNT_OF(parts); i++)
		assert_int_equal(smtp_data_reader_feed(&r, parts[i], &out, &used), PARSE_MORE);
	assert_false(r.bare_cr || r.bare_lf);
	smtp_data_reader_finish(&r, &out);
	assert_true(r.bare_cr);
	CHECK_STR(buf_str(&out), STR("a\r\n.\r\n..b\r"));
	assert_int_equal(r.longest_line, 4);
	assert_int_equal(r.size, 10);
}

static void
content_beyond_the_limit_is_counted_and_thrown_away(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf out = { 0 };
	struct smtp_data_reader r;
	size_t used;

	buf_init(&out, 10);
	smtp_data_reader_init(&r, SMTP_DATA_DOTS, false);
	assert_int_equal(
	    smtp_data_reader_feed(&r, STR("0123456789abcdef\r\nx\r\n.\r\n"), &out, &used),
	    PARSE_ONE);
	assert_int_equal(used, 24);
	assert_false(buf_is_ok(&out));
	assert_int_equal(r.size, 21);
	smtp_data_reader_init(&r, SMTP_DATA_DOTS, false);
	assert_int_equal(smtp_data_reader_feed(&r, STR("abc\r\n.\r\n"), NULL, &used), PARSE_ONE);
	assert_int_equal(r.size, 5);
}

/* Sends `content` in pieces through few views at a time, as a connection would. */
static void
write_pieces(struct str content, size_t piece, size_t max, struct buf *out)
{
	struct smtp_data_writer w = { 0 };
	struct str views[8];

	for (size_t at = 0; at < content.n; at += piece) {
		struct str part = str_sub(content, at, piece);
		while (part.n != 0) {
			size_t n = smtp_data_writer_next(&w, &part, views, max);
			assert_true(n <= max);
			for (size_t i = 0; i < n; i++)
				buf_add(out, views[i]);
		}
	}
	buf_add(out, smtp_data_writer_end(&w));
}

static const struct {
	struct str content, wire;
} sent[] = {
	{ STR_INIT(""), STR_INIT(".\r\n") },
	{ STR_INIT("a\r\n"), STR_INIT("a\r\n.\r\n") },
	{ STR_INIT("a"), STR_INIT("a\r\n.\r\n") },
	{ STR_INIT("a\r"), STR_INIT("a\r\n.\r\n") },
	{ STR_INIT("."), STR_INIT("..\r\n.\r\n") },
	{ STR_INIT(".\r\n"), STR_INIT("..\r\n.\r\n") },
	{ STR_INIT("a\r\n.\r\n.b\r\n..\r\n"), STR_INIT("a\r\n..\r\n..b\r\n...\r\n.\r\n") },
	{ STR_INIT("a\n.\nQUIT"), STR_INIT("a\r\n..\r\nQUIT\r\n.\r\n") },
	{ STR_INIT("a\r.\rQUIT"), STR_INIT("a\r\n..\r\nQUIT\r\n.\r\n") },
	{ STR_INIT("a\r\r\n.\r\n"), STR_INIT("a\r\n\r\n..\r\n.\r\n") },
};

static void
sent_content_has_its_dots_doubled_and_ends_once(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf out = { 0 };

	buf_init(&out, 1000);
	for (size_t i = 0; i < COUNT_OF(sent); i++) {
		for (size_t piece = 1; piece <= sent[i].content.n + 1; piece++) {
			for (size_t max = 1; max <= 8; max++) {
				buf_clear(&out);
				write_pieces(sent[i].content, piece, max, &out);
				CHECK_STR(buf_str(&out), sent[i].wire);
			}
		}
	}
}

static void
content_without_dots_is_one_view_into_itself(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };
	struct smtp_data_writer w = { 0 };
	struct str views[4];

	buf_init(&b, 1 << 16);
	for (unsigned i = 0; i < 500; i++)
		buf_addf(&b, "line %u\r\n", i);
	struct str content = buf_str(&b);
	assert_int_equal(smtp_data_writer_next(&w, &content, views, 4), 1);
	assert_ptr_equal(views[0].p, buf_str(&b).p);
	assert_int_equal(views[0].n, buf_len(&b));
	assert_int_equal(content.n, 0);
}

static void
what_is_written_is_read_back(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf in = { 0 }, wire = { 0 }, out = { 0 }, again = { 0 };
	struct prng rng;

	rng = prng_make(21);
	buf_init(&in, 1 << 16);
	buf_init(&wire, 1 << 16);
	buf_init(&out, 1 << 16);
	buf_init(&again, 1 << 16);
	for (unsigned round = 0; round < 4000; round++) {
		struct smtp_data_reader r;
		buf_clear(&in);
		buf_clear(&wire);
		buf_clear(&out);
		buf_clear(&again);
		random_content(&rng, &in, round % 700);
		write_pieces(buf_str(&in), 1 + prng_next(&rng) % 200, 3, &wire);
		smtp_data_reader_init(&r, SMTP_DATA_DOTS, false);
		assert_int_equal(read_pieces(&r, buf_str(&wire), 1 + prng_next(&rng) % 200, &out),
		    buf_len(&wire));
		assert_false(r.bare_cr || r.bare_lf);
		/* Chunk mode with normalize is what the writer does to content. */
		smtp_data_reader_init(&r, SMTP_DATA_CHUNK, true);
		read_pieces(&r, buf_str(&in), 97, &again);
		smtp_data_reader_finish(&r, &again);
		if (buf_len(&again) != 0 && !str_ends(buf_str(&again), STR("\r\n")))
			buf_add(&again, STR("\r\n"));
		CHECK_STR(buf_str(&out), buf_str(&again));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_crlf_dot_crlf_ends_content_in_whatever_pieces_it_comes),
		cmocka_unit_test(the_fast_reader_agrees_with_the_definition),
		cmocka_unit_test(chunks_pass_unchanged_and_are_judged_across_their_borders),
		cmocka_unit_test(content_beyond_the_limit_is_counted_and_thrown_away),
		cmocka_unit_test(sent_content_has_its_dots_doubled_and_ends_once),
		cmocka_unit_test(content_without_dots_is_one_view_into_itself),
		cmocka_unit_test(what_is_written_is_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

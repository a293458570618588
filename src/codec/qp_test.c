#include "codec/qp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"

static const struct {
	struct str plain;
	bool text;
	struct str coded;
} rows[] = {
	{ STR_INIT(""), true, STR_INIT("") },
	{ STR_INIT("plain\r\ntext\r\n"), true, STR_INIT("plain\r\ntext\r\n") },
	{ STR_INIT("a\r\nb"), false, STR_INIT("a=0D=0Ab") },
	{ STR_INIT("a\nb\rc"), true, STR_INIT("a=0Ab=0Dc") },
	{ STR_INIT("1=2"), true, STR_INIT("1=3D2") },
	{ STR_INIT("\xe9\x82\xae"), true, STR_INIT("=E9=82=AE") },
	{ STR_INIT("end \r\ntab\t\r\nlast "), true, STR_INIT("end=20\r\ntab=09\r\nlast=20") },
	{ STR_INIT("a b\tc"), true, STR_INIT("a b\tc") },
	{ STR_INIT("From me\r\nFrom\r\nnot From me"), true,
	    STR_INIT("=46rom me\r\nFrom\r\nnot From me") },
	{ STR_INIT(".\r\n..\r\na."), true, STR_INIT("=2E\r\n=2E.\r\na.") },
	{ STR_INIT("\0\x7f"), false, STR_INIT("=00=7F") },
	{ STR_INIT("0123456789012345678901234567890123456789012345678901234567890123456789012345"),
	    true,
	    STR_INIT(
		"0123456789012345678901234567890123456789012345678901234567890123456789012345") },
	{ STR_INIT("01234567890123456789012345678901234567890123456789012345678901234567890123456"),
	    true,
	    STR_INIT(
		"012345678901234567890123456789012345678901234567890123456789012345678901234=\r\n56") },
};

static void
text_and_bytes_become_printable(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 1000);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		buf_clear(&b);
		qp_encode(&b, rows[i].plain, rows[i].text);
		if (!str_eq(buf_str(&b), rows[i].coded))
			fail_msg("%zu: %.*s", i, STR_ARG(buf_str(&b)));
		buf_clear(&b);
		assert_true(qp_decode(&b, rows[i].coded));
		assert_true(str_eq(buf_str(&b), rows[i].plain));
	}
}

static void
sloppy_input_is_read_as_well_as_it_can_be(void **state)
{
	(void)state;
	static const struct {
		struct str in, out;
		bool sound;
	} cases[] = {
		{ STR_INIT("=e9=82=ae"), STR_INIT("\xe9\x82\xae"), true },
		{ STR_INIT("a=\nb=  \r\nc"), STR_INIT("abc"), true },
		{ STR_INIT("a  \r\nb\t\n"), STR_INIT("a\r\nb\n"), true },
		{ STR_INIT("a="), STR_INIT("a"), true },
		{ STR_INIT("1=2"), STR_INIT("1=2"), false },
		{ STR_INIT("=GG=4"), STR_INIT("=GG=4"), false },
		{ STR_INIT("=\r\n"), STR_INIT(""), true },
	};
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 1000);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		buf_clear(&b);
		assert_int_equal(qp_decode(&b, cases[i].in), cases[i].sound);
		assert_true(str_eq(buf_str(&b), cases[i].out));
	}
}

static void
any_bytes_survive_in_lines_of_at_most_76(void **state)
{
	(void)state;
	static const char some[] = "aaaaaaaa  \t=.F\r\n\xff";
	AUTO(buf_done) struct buf in = { 0 }, b = { 0 }, out = { 0 };
	struct prng rng = prng_make(7);

	buf_init(&in, 10000);
	buf_init(&b, 40000);
	buf_init(&out, 40000);
	for (unsigned round = 0; round < 2000; round++) {
		struct str rest, line;
		buf_clear(&in);
		buf_clear(&b);
		buf_clear(&out);
		while (buf_len(&in) < round / 4) {
			uint64_t x = prng_below(&rng, sizeof(some) + 4);
			buf_add(&in, x < sizeof(some) ? str_make(some + x, 1) : STR("\r\nFrom "));
		}
		qp_encode(&b, buf_str(&in), round % 2 != 0);
		rest = buf_str(&b);
		while (rest.n != 0 && str_cut(&rest, '\n', &line))
			assert_true(line.n <= (str_ends(line, STR("\r")) ? 77u : 76u));
		assert_true(qp_decode(&out, buf_str(&b)));
		assert_int_equal(buf_len(&out), buf_len(&in));
		assert_memory_equal(buf_cstr(&out), buf_cstr(&in), buf_len(&in));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_and_bytes_become_printable),
		cmocka_unit_test(sloppy_input_is_read_as_well_as_it_can_be),
		cmocka_unit_test(any_bytes_survive_in_lines_of_at_most_76),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

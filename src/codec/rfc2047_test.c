#include "codec/rfc2047.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef void encoder(struct buf *, struct str);

static void
check(encoder *fn, struct str in, const char *want)
{
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 100000);
	fn(&b, in);
	assert_string_equal(buf_cstr(&b), want);
}

static void
running_text_is_encoded_only_where_it_must_be(void **state)
{
	(void)state;
	static const struct {
		struct str in;
		const char *want;
	} rows[] = {
		{ STR_INIT(""), "" },
		{ STR_INIT("Your code is 123456"), "Your code is 123456" },
		{ STR_INIT("Gr\xc3\xbc\xc3\x9f"
			   "e"),
		    "=?UTF-8?Q?Gr=C3=BC=C3=9Fe?=" },
		{ STR_INIT("Re: caf\xc3\xa9 today"), "Re: =?UTF-8?Q?caf=C3=A9?= today" },
		{ STR_INIT("caf\xc3\xa9  cr\xc3\xa8me"), "=?UTF-8?Q?caf=C3=A9__cr=C3=A8me?=" },
		{ STR_INIT("\xe9\xaa\x8c\xe8\xaf\x81\xe7\xa0\x81"), "=?UTF-8?B?6aqM6K+B56CB?=" },
		{ STR_INIT("=?UTF-8?Q?fake?="), "=?UTF-8?Q?=3D=3FUTF-8=3FQ=3Ffake=3F=3D?=" },
		{ STR_INIT("a\r\nBcc: b@c"), "a  Bcc: b@c" },
		{ STR_INIT("a\0b\x7f"), "a b " },
		{ STR_INIT(" \xc3\xa9 "), " =?UTF-8?Q?=C3=A9?= " },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		check(rfc2047_encode_text, rows[i].in, rows[i].want);
}

static void
a_phrase_is_atoms_or_quoted_or_encoded(void **state)
{
	(void)state;
	static const struct {
		struct str in;
		const char *want;
	} rows[] = {
		{ STR_INIT(""), "" },
		{ STR_INIT("Post House"), "Post House" },
		{ STR_INIT("J. \"Q\" \\Doe"), "\"J. \\\"Q\\\" \\\\Doe\"" },
		{ STR_INIT("Doe, J"), "\"Doe, J\"" },
		{ STR_INIT(" padded"), "\" padded\"" },
		{ STR_INIT("a  b"), "\"a  b\"" },
		{ STR_INIT("a\r\nb"), "\"a  b\"" },
		{ STR_INIT("Zo\xc3\xab, x"), "=?UTF-8?Q?Zo=C3=AB=2C_x?=" },
		{ STR_INIT("=?x"), "=?UTF-8?B?PT94?=" },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		check(rfc2047_encode_phrase, rows[i].in, rows[i].want);
}

static void
long_text_is_cut_into_whole_words_of_at_most_75(void **state)
{
	(void)state;
	static const char *const units[] = { "\xe9\x82\xae", "\xc3\xa9", "a\xf0\x9f\x93\xae",
		"x x \xc3\xa9", "x" };

	for (size_t i = 0; i < COUNT_OF(units); i++) {
		AUTO(buf_done) struct buf in = { 0 }, b = { 0 }, out = { 0 };
		struct str rest, word;
		buf_init(&in, 10000);
		buf_init(&b, 100000);
		buf_init(&out, 100000);
		while (buf_len(&in) < 3000)
			buf_add(&in, str_from(units[i]));
		rfc2047_encode_words(&b, buf_str(&in));
		rest = buf_str(&b);
		while (str_cut(&rest, ' ', &word)) {
			AUTO(buf_done) struct buf one = { 0 };
			assert_true(word.n <= 75 && str_starts(word, STR("=?UTF-8?")) &&
				    str_ends(word, STR("?=")));
			buf_init(&one, 1000);
			rfc2047_decode(&one, word);
			assert_int_equal(
			    str_find_str(buf_str(&one), STR("\xef\xbf\xbd")), buf_len(&one));
		}
		rfc2047_decode(&out, buf_str(&b));
		assert_true(str_eq(buf_str(&out), buf_str(&in)));
	}
}

static void
encoded_words_are_shown_as_text(void **state)
{
	(void)state;
	static const struct {
		const char *in, *want;
	} rows[] = {
		{ "plain", "plain" },
		/* RFC 2047 §8 */
		{ "(=?ISO-8859-1?Q?a?=)", "(a)" },
		{ "(=?ISO-8859-1?Q?a?= b)", "(a b)" },
		{ "(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)" },
		{ "(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)" },
		{ "(=?ISO-8859-1?Q?a?=\r\n   =?ISO-8859-1?Q?b?=)", "(ab)" },
		{ "(=?ISO-8859-1?Q?a_b?=)", "(a b)" },
		{ "(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)" },
		{ "=?US-ASCII?Q?Keith_Moore?= <m@cs>", "Keith Moore <m@cs>" },
		{ "=?ISO-8859-1?Q?Andr=E9?= Pirard", "Andr\xc3\xa9 Pirard" },
		{ "=?gb2312?B?08q8/g==?=", "\xe9\x82\xae\xe4\xbb\xb6" },
		{ "=?utf-8*en?q?caf=c3=a9?=", "caf\xc3\xa9" },
		/* a character cut in two */
		{ "=?UTF-8?B?6YI=?= =?UTF-8?B?rg==?=", "\xe9\x82\xae" },
		{ "=?UTF-8?Q?=FF?=", "\xef\xbf\xbd" },
		{ "=?UTF-8?Q?a=0D=0AB?=", "a  B" },
		{ "=?X-UNKNOWN?Q?a?= x", "=?X-UNKNOWN?Q?a?= x" },
		{ "=?UTF-8?X?a?=", "=?UTF-8?X?a?=" },
		{ "=?UTF-8?Q?a b?=", "=?UTF-8?Q?a b?=" },
		{ "=?UTF-8?Q?a", "=?UTF-8?Q?a" },
		{ "=?UTF-8?B?A?=", "=?UTF-8?B?A?=" },
		{ "=?=?UTF-8?Q?a?=", "=?a" },
		{ "a\xff"
		  "b\x01",
		    "a\xef\xbf\xbd"
		    "b " },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		check(rfc2047_decode, str_from(rows[i].in), rows[i].want);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(running_text_is_encoded_only_where_it_must_be),
		cmocka_unit_test(a_phrase_is_atoms_or_quoted_or_encoded),
		cmocka_unit_test(long_text_is_cut_into_whole_words_of_at_most_75),
		cmocka_unit_test(encoded_words_are_shown_as_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#define assert_str(got, lit) assert_true(str_eq((got), STR(lit)))

static int
sign(int x)
{
	return (x > 0) - (x < 0);
}

static void
equality_is_of_bytes_and_length(void **state)
{
	(void)state;
	assert_true(str_eq(STR("abc"), STR("abc")));
	assert_false(str_eq(STR("abc"), STR("abd")));
	assert_false(str_eq(STR("abc"), STR("ab")));
	assert_false(str_eq(STR("a\0b"), STR("a\0c")));
	assert_true(str_eq(STR(""), str_from(NULL)));
	assert_true(str_eq(str_from("abc"), STR("abc")));
}

static void
case_is_folded_for_ascii_letters_only(void **state)
{
	(void)state;
	assert_true(str_eq_nocase(STR("Mail FROM"), STR("mAIL from")));
	assert_false(str_eq_nocase(STR("["
				       "@"),
	    STR("{"
		"`")));
	assert_false(str_eq_nocase(STR("\xc3\x84"), STR("\xc3\xa4")));
	assert_false(str_eq_nocase(STR("abc"), STR("ABCD")));
	assert_true(str_eq_nocase(str_from(NULL), STR("")));
}

static void
heads_and_tails_are_recognised(void **state)
{
	(void)state;
	assert_true(str_starts(STR("abc"), STR("ab")));
	assert_true(str_starts(STR("abc"), STR("")));
	assert_true(str_starts(STR("abc"), STR("abc")));
	assert_false(str_starts(STR("abc"), STR("abcd")));
	assert_false(str_starts(STR("abc"), STR("AB")));
	assert_true(str_starts_nocase(STR("abc"), STR("AB")));
	assert_true(str_ends(STR("abc"), STR("bc")));
	assert_true(str_ends(STR("abc"), STR("")));
	assert_false(str_ends(STR("bc"), STR("abc")));
	assert_false(str_ends(STR("abc"), STR("BC")));
	assert_true(str_ends_nocase(STR("abc"), STR("BC")));
	assert_true(str_starts(str_from(NULL), STR("")));
	assert_true(str_ends(str_from(NULL), STR("")));
}

/* Each entry is smaller than the next. */
static void
order_is_of_unsigned_bytes_with_the_shorter_first(void **state)
{
	(void)state;
	static const struct str up[] = { STR_INIT(""), STR_INIT("\0"), STR_INIT("A"), STR_INIT("a"),
		STR_INIT("a\0"), STR_INIT("aa"), STR_INIT("b"), STR_INIT("\x80") };

	for (size_t i = 0; i < COUNT_OF(up); i++) {
		for (size_t j = 0; j < COUNT_OF(up); j++)
			assert_int_equal(sign(str_cmp(up[i], up[j])), (i > j) - (i < j));
	}
}

static void
a_byte_is_found_from_either_side(void **state)
{
	(void)state;
	assert_int_equal(str_find(STR("a@b@c"), '@'), 1);
	assert_int_equal(str_find_last(STR("a@b@c"), '@'), 3);
	assert_int_equal(str_find(STR("abc"), '@'), 3);
	assert_int_equal(str_find_last(STR("abc"), '@'), 3);
	assert_int_equal(str_find(STR("a\0@"), '\0'), 1);
	assert_int_equal(str_find(str_from(NULL), 'x'), 0);
	assert_int_equal(str_find_last(str_from(NULL), 'x'), 0);
	assert_true(str_has_byte(STR("abc"), 'c'));
	assert_false(str_has_byte(str_make("abc", 2), 'c'));
}

static void
a_needle_is_found_where_it_first_begins(void **state)
{
	(void)state;
	static const struct {
		struct str hay, needle;
		size_t exact, nocase;
	} rows[] = {
		{ STR_INIT("one two two"), STR_INIT("two"), 4, 4 },
		{ STR_INIT("one TWO two"), STR_INIT("two"), 8, 4 },
		{ STR_INIT("aab"), STR_INIT("ab"), 1, 1 },
		{ STR_INIT("ab"), STR_INIT("abc"), 2, 2 },
		{ STR_INIT("ab"), STR_INIT("c"), 2, 2 },
		{ STR_INIT("ab"), STR_INIT(""), 0, 0 },
		{ STR_INIT(""), STR_INIT(""), 0, 0 },
		{ STR_INIT(""), STR_INIT("a"), 0, 0 },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_int_equal(str_find_str(rows[i].hay, rows[i].needle), rows[i].exact);
		assert_int_equal(str_find_nocase(rows[i].hay, rows[i].needle), rows[i].nocase);
	}
}

static void
parts_are_clipped_to_what_is_there(void **state)
{
	(void)state;
	assert_str(str_sub(STR("abcdef"), 1, 3), "bcd");
	assert_str(str_sub(STR("abcdef"), 4, SIZE_MAX), "ef");
	assert_str(str_sub(STR("abcdef"), 7, 1), "");
	assert_str(str_sub(STR("abcdef"), SIZE_MAX, SIZE_MAX), "");
	assert_str(str_skip(STR("abcdef"), 2), "cdef");
	assert_str(str_skip(STR("abcdef"), 6), "");
	assert_null(str_sub(str_from(NULL), 3, 3).p);
}

static void
trimming_takes_blanks_from_both_ends_only(void **state)
{
	(void)state;
	assert_str(str_trim(STR(" \t\r\na b\n\r\t ")), "a b");
	assert_str(str_trim(STR("ab")), "ab");
	assert_str(str_trim(STR(" \r\n ")), "");
	assert_str(str_trim(STR("\v\fa")), "\v\fa");
	assert_str(str_trim(str_from(NULL)), "");
}

static void
cutting_delivers_every_field_empty_ones_too(void **state)
{
	(void)state;
	static const char *const want[] = { "", "a", "", "b c", "" };
	struct str rest = STR(",a,,b c,");
	struct str field;
	size_t n = 0;

	while (str_cut(&rest, ',', &field)) {
		assert_in_range(n, 0, COUNT_OF(want) - 1);
		assert_true(str_eq(field, str_from(want[n])));
		n++;
	}
	assert_int_equal(n, COUNT_OF(want));
	assert_false(str_cut(&rest, ',', &field));
	rest = STR("");
	assert_true(str_cut(&rest, ',', &field));
	assert_int_equal(field.n, 0);
	assert_false(str_cut(&rest, ',', &field));
}

static void
numbers_up_to_the_largest_are_read(void **state)
{
	(void)state;
	uint64_t v;

	assert_int_equal(str_to_u64(STR("0"), &v), RC_OK);
	assert_int_equal(v, 0);
	assert_int_equal(str_to_u64(STR("0042"), &v), RC_OK);
	assert_int_equal(v, 42);
	assert_int_equal(str_to_u64(STR("18446744073709551615"), &v), RC_OK);
	assert_int_equal(v, UINT64_MAX);
	assert_int_equal(str_to_u64(str_make("123", 2), &v), RC_OK);
	assert_int_equal(v, 12);
}

static void
what_is_no_number_is_refused_and_the_result_left_alone(void **state)
{
	(void)state;
	static const struct str bad[] = { STR_INIT(""), STR_INIT(" 1"), STR_INIT("1 "),
		STR_INIT("+1"), STR_INIT("-1"), STR_INIT("1.5"), STR_INIT("0x1"), STR_INIT("1\0"),
		STR_INIT("18446744073709551616"), STR_INIT("18446744073709551620"),
		STR_INIT("99999999999999999999999") };
	uint64_t v = 7;

	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(str_to_u64(bad[i], &v), RC_INVALID);
		assert_int_equal(v, 7);
	}
}

static void
a_hash_depends_on_every_byte_the_length_and_the_seed(void **state)
{
	(void)state;
	char bytes[40] = { 0 };

	for (size_t n = 0; n < sizeof(bytes); n++) {
		struct str s = str_make(bytes, n);
		uint64_t plain = str_hash(s, 1);
		assert_true(plain == str_hash(s, 1));
		assert_true(plain != str_hash(s, 2));
		assert_true(plain != str_hash(str_make(bytes, n + 1), 1));
		for (size_t i = 0; i < n; i++) {
			bytes[i] = 1;
			assert_true(str_hash(s, 1) != plain);
			bytes[i] = 0;
		}
	}
	assert_true(
	    str_hash_nocase(STR("Example.ORG"), 1) == str_hash_nocase(STR("eXAMPLE.org"), 1));
	assert_true(
	    str_hash_nocase(STR("Example.ORG"), 1) != str_hash_nocase(STR("example.com"), 1));
	assert_true(str_hash_nocase(STR("a"), 1) != str_hash_nocase(STR("a"), 2));
}

/* A thousand names that differ in a digit or two, thrown into 1024 places. */
static void
hashes_of_similar_names_spread(void **state)
{
	(void)state;
	char name[] = "relay-0000";
	bool seen[1024] = { false };
	size_t places = 0;

	for (unsigned i = 0; i < 1000; i++) {
		name[7] = (char)('0' + i / 100);
		name[8] = (char)('0' + i / 10 % 10);
		name[9] = (char)('0' + i % 10);
		size_t place = str_hash(str_from(name), 0) % COUNT_OF(seen);
		places += !seen[place];
		seen[place] = true;
	}
	assert_in_range(places, 580, 700); /* 638 are expected of a perfect hash */
}

static void
a_copy_ends_in_nul_and_lives_on_its_own(void **state)
{
	(void)state;
	char bytes[] = "abcdef";
	char *copy = str_dup0(str_make(bytes, 3));

	bytes[0] = 'x';
	assert_string_equal(copy, "abc");
	free(copy);
	copy = str_dup0(str_from(NULL));
	assert_string_equal(copy, "");
	free(copy);
}

static void
letters_and_digits_are_those_of_ascii(void **state)
{
	(void)state;
	for (int i = 0; i < 256; i++) {
		char c = (char)i;
		bool digit = i >= '0' && i <= '9';
		bool upper = i >= 'A' && i <= 'Z';
		bool lower = i >= 'a' && i <= 'z';
		assert_int_equal(ascii_is_digit(c), digit);
		assert_int_equal(ascii_is_alpha(c), upper || lower);
		assert_int_equal(ascii_is_alnum(c), digit || upper || lower);
		assert_int_equal(ascii_lower(c), upper ? (char)(c | 0x20) : c);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equality_is_of_bytes_and_length),
		cmocka_unit_test(case_is_folded_for_ascii_letters_only),
		cmocka_unit_test(heads_and_tails_are_recognised),
		cmocka_unit_test(order_is_of_unsigned_bytes_with_the_shorter_first),
		cmocka_unit_test(a_byte_is_found_from_either_side),
		cmocka_unit_test(a_needle_is_found_where_it_first_begins),
		cmocka_unit_test(parts_are_clipped_to_what_is_there),
		cmocka_unit_test(trimming_takes_blanks_from_both_ends_only),
		cmocka_unit_test(cutting_delivers_every_field_empty_ones_too),
		cmocka_unit_test(numbers_up_to_the_largest_are_read),
		cmocka_unit_test(what_is_no_number_is_refused_and_the_result_left_alone),
		cmocka_unit_test(a_hash_depends_on_every_byte_the_length_and_the_seed),
		cmocka_unit_test(hashes_of_similar_names_spread),
		cmocka_unit_test(a_copy_ends_in_nul_and_lives_on_its_own),
		cmocka_unit_test(letters_and_digits_are_those_of_ascii),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdalign.h>
#include <string.h>

#define assert_str(got, lit) assert_true(str_eq((got), STR(lit)))

static bool
is_zero(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] != 0)
			return false;
	}
	return true;
}

static void
memory_is_zeroed_aligned_and_apart(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = { 0 };
	char *blocks[200];

	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		blocks[i] = arena_zalloc(&a, i);
		assert_int_equal((uintptr_t)blocks[i] % alignof(max_align_t), 0);
		assert_true(is_zero(blocks[i], i));
		memset(blocks[i], (int)i, i);
	}
	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		for (size_t at = 0; at < i; at++)
			assert_int_equal((unsigned char)blocks[i][at], i);
	}
}

static void
an_unused_arena_costs_nothing(void **state)
{
	(void)state;
	struct arena a;

	arena_init(&a);
	assert_int_equal(a.total, 0);
	arena_clear(&a);
	arena_done(&a);
	arena_done(&a);
}

static void
a_request_of_any_size_is_served(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = { 0 };
	char *small = arena_zalloc(&a, 10);
	char *large = arena_zalloc(&a, 1000000);

	memset(large, 1, 1000000);
	assert_true(is_zero(small, 10));
	assert_true(a.total >= 1000010);
	assert_true(is_zero(arena_zalloc(&a, 100), 100));
}

static void
arrays_are_as_large_as_count_times_size(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = { 0 };
	uint64_t *numbers = ARENA_NEW_ARRAY(&a, uint64_t, 300);

	assert_true(is_zero((const char *)numbers, 300 * sizeof(*numbers)));
	numbers[299] = 1;
	struct arena *one = ARENA_NEW(&a, struct arena);
	assert_null(one->chunks);
	assert_int_equal(numbers[299], 1);
}

static void
clearing_keeps_the_first_chunk_for_reuse(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = { 0 };
	char *first = arena_zalloc(&a, 100);
	size_t start = a.total;

	for (int round = 0; round < 3; round++) {
		memset(arena_zalloc(&a, 900), 0xff, 900);
		memset(arena_zalloc(&a, 50000), 0xff, 50000);
		assert_true(a.total > start + 50000);
		arena_clear(&a);
		assert_int_equal(a.total, start);
		char *again = arena_zalloc(&a, 100);
		assert_ptr_equal(again, first);
		assert_true(is_zero(again, 100));
	}
	assert_int_equal(a.total, start);
}

static void
strings_are_copied_with_a_nul_behind_them(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = { 0 };
	char bytes[] = "Abc-DEF";
	struct str whole = arena_str(&a, str_from(bytes));
	struct str part = arena_str(&a, str_make(bytes, 2));
	struct str low = arena_lower(&a, str_make(bytes, 6));
	struct str none = arena_str(&a, str_from(NULL));

	memset(bytes, 'x', sizeof(bytes) - 1);
	assert_string_equal(whole.p, "Abc-DEF");
	assert_int_equal(whole.n, 7);
	assert_string_equal(part.p, "Ab");
	assert_string_equal(low.p, "abc-de");
	assert_string_equal(none.p, "");
	assert_int_equal(none.n, 0);
	assert_str(arena_lower(&a, STR("\xc3\x84[Z]\0Q")), "\xc3\x84[z]\0q");
}

static void
formatted_strings_are_whole_at_every_length(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = { 0 };

	assert_str(arena_strf(&a, "%s:%d", "relay", 25), "relay:25");
	assert_str(arena_strf(&a, "%s", ""), "");
	for (int width = 1; width < 3000; width += 37) {
		struct str s = arena_strf(&a, "%*d", width, 7);
		assert_int_equal(s.n, width);
		assert_int_equal(s.p[width - 1], '7');
		assert_int_equal(s.p[width], '\0');
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed_aligned_and_apart),
		cmocka_unit_test(an_unused_arena_costs_nothing),
		cmocka_unit_test(a_request_of_any_size_is_served),
		cmocka_unit_test(arrays_are_as_large_as_count_times_size),
		cmocka_unit_test(clearing_keeps_the_first_chunk_for_reuse),
		cmocka_unit_test(strings_are_copied_with_a_nul_behind_them),
		cmocka_unit_test(formatted_strings_are_whole_at_every_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

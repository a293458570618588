#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/prng.h"

#define assert_holds(b, lit) assert_true(str_eq(buf_str(b), STR(lit)))

static void
bytes_come_out_as_they_went_in(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 100);
	assert_int_equal(buf_len(&b), 0);
	assert_int_equal(buf_str(&b).n, 0);
	buf_add(&b, STR("a\0b"));
	buf_add(&b, str_from(NULL));
	buf_add_byte(&b, '\n');
	buf_addf(&b, "%d-%s", 42, "x");
	assert_holds(&b, "a\0b\n42-x");
	assert_true(buf_is_ok(&b));
}

static void
what_would_pass_the_ceiling_is_left_out_whole_and_marked(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 4);
	buf_add(&b, STR("abc"));
	buf_add(&b, STR("de"));
	assert_false(buf_is_ok(&b));
	assert_holds(&b, "abc");
	buf_add_byte(&b, 'd');
	assert_holds(&b, "abcd");
	assert_false(buf_is_ok(&b));
	buf_add_byte(&b, 'e');
	buf_addf(&b, "%d", 1);
	assert_null(buf_reserve(&b, 1));
	assert_holds(&b, "abcd");
	buf_clear(&b);
	assert_true(buf_is_ok(&b));
	assert_holds(&b, "");
	buf_addf(&b, "%s", "12345");
	assert_holds(&b, "");
	assert_false(buf_is_ok(&b));
}

static void
a_full_buffer_still_has_room_for_the_nul(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 3);
	assert_string_equal(buf_cstr(&b), "");
	buf_addf(&b, "%s", "abc");
	assert_true(buf_is_ok(&b));
	assert_string_equal(buf_cstr(&b), "abc");
	buf_drop(&b, 1);
	buf_add_byte(&b, 'd');
	assert_string_equal(buf_cstr(&b), "bcd");
}

static void
formatted_text_of_any_length_is_whole(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 5000);
	for (int width = 1; width < 5000; width += width < 600 ? 1 : 97) {
		buf_clear(&b);
		buf_addf(&b, "%*d", width, 7);
		assert_int_equal(buf_len(&b), width);
		assert_int_equal(buf_str(&b).p[width - 1], '7');
		buf_done(&b);
	}
}

static void
dropping_takes_from_the_front_and_truncating_from_the_end(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 100);
	buf_add(&b, STR("0123456789"));
	buf_drop(&b, 3);
	assert_holds(&b, "3456789");
	buf_truncate(&b, 2);
	assert_holds(&b, "34");
	buf_add(&b, STR("x"));
	assert_holds(&b, "34x");
	buf_drop(&b, 3);
	assert_holds(&b, "");
	buf_drop(&b, 0);
	assert_holds(&b, "");
}

static void
a_queue_that_is_filled_and_drained_does_not_grow(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };
	char bytes[100] = { 0 };

	buf_init(&b, 1000000);
	buf_add(&b, str_make(bytes, 50));
	size_t cap = b.cap;
	for (int i = 0; i < 10000; i++) {
		buf_add(&b, str_make(bytes, sizeof(bytes)));
		buf_drop(&b, sizeof(bytes));
	}
	assert_int_equal(buf_len(&b), 50);
	assert_int_equal(b.cap, cap);
}

static void
only_what_is_committed_of_a_reservation_counts(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 1000);
	buf_add(&b, STR("a"));
	char *p = buf_reserve(&b, 999);
	assert_non_null(p);
	memcpy(p, "bcd", 3);
	assert_holds(&b, "a");
	buf_commit(&b, 2);
	assert_holds(&b, "abc");
	assert_null(buf_reserve(&b, 998));
	assert_false(buf_is_ok(&b));
}

static void
a_stolen_string_is_the_callers_and_the_buffer_serves_again(void **state)
{
	(void)state;
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 10);
	buf_add(&b, STR("xxabc"));
	buf_drop(&b, 2);
	char *s = buf_steal(&b);
	assert_holds(&b, "");
	buf_add(&b, STR("0123456789"));
	assert_true(buf_is_ok(&b));
	assert_string_equal(s, "abc");
	free(s);
	buf_done(&b);
	s = buf_steal(&b);
	assert_string_equal(s, "");
	free(s);
}

static void
a_wiped_buffer_serves_again(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 10);
	buf_wipe(&b);
	buf_add(&b, STR("secret"));
	buf_wipe(&b);
	assert_null(b.p);
	buf_add(&b, STR("next"));
	assert_holds(&b, "next");
	buf_done(&b);
}

/* The same bytes kept by the plainest means. */
struct model {
	char p[700];
	size_t n;
	bool over;
};

static void
model_add(struct model *m, struct str s, size_t limit)
{
	if (s.n > limit - m->n) {
		m->over = true;
		return;
	}
	memcpy(m->p + m->n, s.p, s.n);
	m->n += s.n;
}

static void
random_step(struct prng *r, struct buf *b, struct model *m)
{
	char bytes[300];
	size_t n = prng_below(r, prng_below(r, sizeof(bytes)) + 1);

	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)('a' + prng_below(r, 26));
	struct str s = str_make(bytes, n);
	switch (prng_below(r, 8)) {
	case 0:
	case 1:
		buf_add(b, s);
		model_add(m, s, b->limit);
		break;
	case 2:
		buf_addf(b, "%.*s", STR_ARG(s));
		model_add(m, s, b->limit);
		break;
	case 3:
		buf_add_byte(b, '!');
		model_add(m, STR("!"), b->limit);
		break;
	case 4: {
		char *p = buf_reserve(b, n);
		model_add(m, s, b->limit);
		assert_int_equal(p == NULL, n > b->limit - buf_len(b));
		if (p != NULL) {
			memcpy(p, bytes, n);
			buf_commit(b, n);
		}
		break;
	}
	case 5:
	case 6:
		n = prng_below(r, m->n + 1);
		buf_drop(b, n);
		memmove(m->p, m->p + n, m->n - n);
		m->n -= n;
		break;
	default: m->n = prng_below(r, m->n + 1); buf_truncate(b, m->n);
	}
}

static void
random_use_matches_a_plain_array(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 60; seed++) {
		struct prng r = prng_make(seed);
		struct model m = { .n = 0 };
		AUTO(buf_done) struct buf b = { 0 };
		buf_init(&b, 1 + prng_below(&r, sizeof(m.p) - 1));
		for (int step = 0; step < 500; step++) {
			random_step(&r, &b, &m);
			assert_true(str_eq(buf_str(&b), str_make(m.p, m.n)));
			assert_int_equal(buf_is_ok(&b), !m.over);
			assert_true(b.start <= b.end && b.end <= b.cap && b.cap <= b.limit + 1);
			if (prng_below(&r, 10) == 0)
				assert_int_equal(strlen(buf_cstr(&b)), m.n);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_come_out_as_they_went_in),
		cmocka_unit_test(what_would_pass_the_ceiling_is_left_out_whole_and_marked),
		cmocka_unit_test(a_full_buffer_still_has_room_for_the_nul),
		cmocka_unit_test(formatted_text_of_any_length_is_whole),
		cmocka_unit_test(dropping_takes_from_the_front_and_truncating_from_the_end),
		cmocka_unit_test(a_queue_that_is_filled_and_drained_does_not_grow),
		cmocka_unit_test(only_what_is_committed_of_a_reservation_counts),
		cmocka_unit_test(a_stolen_string_is_the_callers_and_the_buffer_serves_again),
		cmocka_unit_test(a_wiped_buffer_serves_again),
		cmocka_unit_test(random_use_matches_a_plain_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

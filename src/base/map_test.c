#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>

#include "base/prng.h"

static void
an_empty_map_has_nothing(void **state)
{
	(void)state;
	AUTO(map_done) struct map m = { 0 };
	size_t at = 0;

	assert_null(map_get(&m, 0));
	assert_null(map_remove(&m, 0));
	assert_null(map_next(&m, &at, NULL));
}

static void
putting_twice_replaces_and_returns_the_former(void **state)
{
	(void)state;
	AUTO(map_done) struct map m = { 0 };
	int a;
	int b;

	assert_null(map_put(&m, 7, &a));
	assert_ptr_equal(map_get(&m, 7), &a);
	assert_ptr_equal(map_put(&m, 7, &b), &a);
	assert_ptr_equal(map_get(&m, 7), &b);
	assert_int_equal(m.count, 1);
	assert_ptr_equal(map_remove(&m, 7), &b);
	assert_null(map_remove(&m, 7));
	assert_null(map_get(&m, 7));
	assert_int_equal(m.count, 0);
}

static void
every_key_may_be_used(void **state)
{
	(void)state;
	AUTO(map_done) struct map m = { 0 };
	static const uint64_t keys[] = { 0, 1, UINT64_MAX, (uint64_t)1 << 63, (uint64_t)1 << 32 };
	int values[COUNT_OF(keys)];

	for (size_t i = 0; i < COUNT_OF(keys); i++)
		assert_null(map_put(&m, keys[i], &values[i]));
	for (size_t i = 0; i < COUNT_OF(keys); i++)
		assert_ptr_equal(map_get(&m, keys[i]), &values[i]);
}

static void
numbers_may_stand_in_for_pointers(void **state)
{
	(void)state;
	AUTO(map_done) struct map m = { 0 };

	assert_int_equal(map_get_number(&m, 1), 0);
	map_put_number(&m, 1, 7);
	map_put_number(&m, 2, SIZE_MAX);
	map_put_number(&m, 1, 8);
	assert_int_equal(map_get_number(&m, 1), 8);
	assert_true(map_get_number(&m, 2) == SIZE_MAX);
	assert_int_equal(map_get_number(&m, 3), 0);
}

static void
a_map_done_with_is_empty_and_serves_again(void **state)
{
	(void)state;
	struct map m;
	int a;

	map_init(&m);
	map_put(&m, 1, &a);
	map_done(&m);
	assert_null(map_get(&m, 1));
	map_put(&m, 2, &a);
	assert_ptr_equal(map_get(&m, 2), &a);
	map_done(&m);
}

/* Without tombstones a table that is always nearly empty stays as small as it was. */
static void
a_table_filled_and_emptied_for_long_does_not_grow(void **state)
{
	(void)state;
	AUTO(map_done) struct map m = { 0 };
	int a;

	for (uint64_t key = 0; key < 10; key++)
		map_put(&m, key, &a);
	size_t cap = m.cap;
	for (uint64_t key = 10; key < 20000; key++) {
		map_put(&m, key, &a);
		assert_ptr_equal(map_remove(&m, key - 10), &a);
	}
	assert_int_equal(m.cap, cap);
	assert_int_equal(m.count, 10);
}

#define KEYS 300

/* The same entries kept by the plainest means: a place for each key there can be. */
struct model {
	uint64_t keys[KEYS];
	void *values[KEYS];
	size_t count;
};

static void
compare(const struct map *m, const struct model *model)
{
	size_t at = 0;
	size_t walked = 0;
	uint64_t key;
	bool seen[KEYS] = { false };

	assert_int_equal(m->count, model->count);
	for (size_t i = 0; i < KEYS; i++)
		assert_ptr_equal(map_get(m, model->keys[i]), model->values[i]);
	for (void *v; (v = map_next(m, &at, &key)) != NULL; walked++) {
		size_t i = 0;
		while (i < KEYS && model->keys[i] != key)
			i++;
		assert_true(i < KEYS && !seen[i]);
		assert_ptr_equal(v, model->values[i]);
		seen[i] = true;
	}
	assert_int_equal(walked, model->count);
}

static void
random_use_matches_a_plain_table(void **state)
{
	(void)state;
	static char values[64];

	for (uint64_t seed = 0; seed < 40; seed++) {
		struct prng r = prng_make(seed);
		struct model model = { .count = 0 };
		AUTO(map_done) struct map m = { 0 };
		/* Odd seeds use ids that count up, even ones hashes. */
		for (size_t i = 0; i < KEYS; i++)
			model.keys[i] = seed % 2 != 0 ? i : prng_next(&r);
		for (int step = 0; step < 3000; step++) {
			size_t i = prng_below(&r, KEYS);
			void *before = model.values[i];
			/* Drifts between nearly full and nearly empty. */
			if (prng_percent(&r, step / 1000 % 2 == 0 ? 70 : 20)) {
				model.values[i] = &values[prng_below(&r, sizeof(values))];
				model.count += before == NULL;
				assert_ptr_equal(
				    map_put(&m, model.keys[i], model.values[i]), before);
			} else {
				model.values[i] = NULL;
				model.count -= before != NULL;
				assert_ptr_equal(map_remove(&m, model.keys[i]), before);
			}
			if (step % 50 == 0)
				compare(&m, &model);
		}
		compare(&m, &model);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_map_has_nothing),
		cmocka_unit_test(putting_twice_replaces_and_returns_the_former),
		cmocka_unit_test(every_key_may_be_used),
		cmocka_unit_test(numbers_may_stand_in_for_pointers),
		cmocka_unit_test(a_map_done_with_is_empty_and_serves_again),
		cmocka_unit_test(a_table_filled_and_emptied_for_long_does_not_grow),
		cmocka_unit_test(random_use_matches_a_plain_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "store/test_store.h"

#include "base/prng.h"
#include "store/private.h"

static void
the_floor_is_the_lowest_open_id(void **state)
{
	struct store_floor f;
	uint64_t low[4];

	(void)state;
	store_floor_init(&f, "k", 10);
	store_floor_open(&f, 10, 3);
	store_floor_open(&f, 500, 1);
	assert_int_equal(f.floor, 10);
	assert_int_equal(f.next, 10); /* nothing before the commit */
	store_floor_commit(&f);
	store_floor_close(&f, 10);
	store_floor_close(&f, 12);
	store_floor_commit(&f);
	assert_int_equal(f.floor, 11);
	assert_int_equal(store_floor_lowest(&f, low, 4), 2);
	assert_int_equal(low[0], 11);
	assert_int_equal(low[1], 500);
	store_floor_close(&f, 11);
	store_floor_rollback(&f);
	store_floor_commit(&f);
	assert_int_equal(f.floor, 11);
	store_floor_close(&f, 11);
	store_floor_commit(&f);
	assert_int_equal(f.floor, 500);
	store_floor_close(&f, 500);
	store_floor_commit(&f);
	assert_int_equal(f.floor, 501);
	store_floor_done(&f);
}

static void
it_agrees_with_a_plain_list_over_a_long_run(void **state)
{
	enum { IDS = 60000 };
	struct store_floor f;
	static bool open[IDS];
	struct prng r = prng_make(42);
	uint64_t next = 1, lowest = 1;

	(void)state;
	store_floor_init(&f, "k", next);
	while (next < IDS - 300) {
		uint64_t n = 1 + prng_below(&r, 5);
		next += prng_percent(&r, 5) ? prng_below(&r, 200) : 0; /* ids born closed */
		store_floor_open(&f, next, n);
		for (uint64_t i = 0; i < n; i++)
			open[next++] = true;
		for (int i = 0; i < 4; i++) {
			uint64_t id = prng_percent(&r, 60) ? lowest : 1 + prng_below(&r, next - 1);
			store_floor_close(&f, id);
			open[id] = false;
			while (lowest < next && !open[lowest])
				lowest++;
		}
		store_floor_commit(&f);
		assert_int_equal(f.floor, lowest);
	}
	store_floor_done(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_floor_is_the_lowest_open_id),
		cmocka_unit_test(it_agrees_with_a_plain_list_over_a_long_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

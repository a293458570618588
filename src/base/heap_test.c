#include "base/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"

static void
the_smallest_key_comes_first(void **state)
{
	(void)state;
	static const int64_t keys[] = { 5, -3, 9, INT64_MAX, 0, INT64_MIN, 5 };
	static const int64_t sorted[] = { INT64_MIN, -3, 0, 5, 5, 9, INT64_MAX };
	AUTO(heap_done) struct heap h = { 0 };
	struct heap_node nodes[COUNT_OF(keys)] = { { 0 } };

	assert_null(heap_first(&h));
	for (size_t i = 0; i < COUNT_OF(keys); i++)
		heap_set(&h, &nodes[i], keys[i]);
	for (size_t i = 0; i < COUNT_OF(sorted); i++) {
		struct heap_node *first = heap_first(&h);
		assert_non_null(first);
		assert_int_equal(first->key, sorted[i]);
		heap_remove(&h, first);
		assert_false(heap_has(first));
	}
	assert_null(heap_first(&h));
}

static void
setting_a_new_key_moves_the_node(void **state)
{
	(void)state;
	AUTO(heap_done) struct heap h = { 0 };
	struct heap_node a = { 0 };
	struct heap_node b = { 0 };

	heap_set(&h, &a, 10);
	heap_set(&h, &b, 20);
	assert_ptr_equal(heap_first(&h), &a);
	heap_set(&h, &a, 30);
	assert_ptr_equal(heap_first(&h), &b);
	heap_set(&h, &a, 10);
	assert_ptr_equal(heap_first(&h), &a);
	assert_int_equal(h.count, 2);
}

static void
removing_what_is_on_no_heap_is_harmless(void **state)
{
	(void)state;
	AUTO(heap_done) struct heap h = { 0 };
	struct heap_node a = { 0 };

	heap_remove(&h, &a);
	heap_set(&h, &a, 1);
	assert_true(heap_has(&a));
	heap_remove(&h, &a);
	heap_remove(&h, &a);
	assert_false(heap_has(&a));
	assert_int_equal(h.count, 0);
}

static void
a_heap_done_with_lets_its_nodes_go(void **state)
{
	(void)state;
	struct heap h;
	struct heap_node nodes[3] = { { 0 } };

	heap_init(&h);
	for (size_t i = 0; i < COUNT_OF(nodes); i++)
		heap_set(&h, &nodes[i], (int64_t)i);
	heap_done(&h);
	for (size_t i = 0; i < COUNT_OF(nodes); i++)
		assert_false(heap_has(&nodes[i]));
	heap_set(&h, &nodes[2], 1);
	assert_ptr_equal(heap_first(&h), &nodes[2]);
	heap_done(&h);
}

static void
assert_is_heap(const struct heap *h)
{
	for (size_t i = 1; i <= h->count; i++) {
		assert_int_equal(h->nodes[i]->slot, i);
		if (i > 1)
			assert_true(h->nodes[i / 2]->key <= h->nodes[i]->key);
	}
}

/* Sets, moves and removes at random; the first must be the smallest of all that are on it. */
static void
random_use_keeps_the_order(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 30; seed++) {
		struct prng r = prng_make(seed);
		AUTO(heap_done) struct heap h = { 0 };
		struct heap_node nodes[200] = { { 0 } };
		for (int step = 0; step < 1000; step++) {
			struct heap_node *n = &nodes[prng_below(&r, COUNT_OF(nodes))];
			if (prng_percent(&r, 30))
				heap_remove(&h, n);
			else
				heap_set(&h, n, (int64_t)prng_below(&r, 100) - 50);
			int64_t least = INT64_MAX;
			size_t count = 0;
			for (size_t i = 0; i < COUNT_OF(nodes); i++) {
				if (!heap_has(&nodes[i]))
					continue;
				count++;
				least = nodes[i].key < least ? nodes[i].key : least;
			}
			assert_int_equal(h.count, count);
			if (count != 0)
				assert_int_equal(heap_first(&h)->key, least);
			assert_is_heap(&h);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_smallest_key_comes_first),
		cmocka_unit_test(setting_a_new_key_moves_the_node),
		cmocka_unit_test(removing_what_is_on_no_heap_is_harmless),
		cmocka_unit_test(a_heap_done_with_lets_its_nodes_go),
		cmocka_unit_test(random_use_keeps_the_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

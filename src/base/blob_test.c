#include "base/blob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

static void
a_blob_holds_a_copy_of_its_bytes(void **state)
{
	(void)state;
	char bytes[] = "content";
	AUTO(blob_unref) struct blob *b = blob_from(str_from(bytes));

	bytes[0] = 'x';
	assert_true(str_eq(blob_str(b), STR("content")));
	AUTO(blob_unref) struct blob *none = blob_from(str_from(NULL));
	assert_int_equal(blob_str(none).n, 0);
}

static void
the_last_reference_frees(void **state)
{
	(void)state;
	size_t before = blob_total_bytes();
	struct blob *b = blob_new(1000);
	struct blob *other = blob_ref(b);

	assert_ptr_equal(other, b);
	assert_int_equal(blob_total_bytes(), before + 1000);
	blob_unref(&b);
	assert_null(b);
	assert_int_equal(blob_total_bytes(), before + 1000);
	blob_unref(&other);
	assert_int_equal(blob_total_bytes(), before);
	blob_unref(&other);
	assert_int_equal(blob_total_bytes(), before);
}

static void
resizing_keeps_the_bytes_and_the_count(void **state)
{
	(void)state;
	size_t before = blob_total_bytes();
	struct blob *b = blob_from(STR("abcdef"));

	b = blob_resize(b, 100000);
	assert_int_equal(b->n, 100000);
	assert_memory_equal(b->p, "abcdef", 6);
	assert_int_equal(blob_total_bytes(), before + 100000);
	b = blob_resize(b, 3);
	assert_true(str_eq(blob_str(b), STR("abc")));
	assert_int_equal(blob_total_bytes(), before + 3);
	blob_unref(&b);
	assert_int_equal(blob_total_bytes(), before);
}

static void
the_budget_counts_what_lives(void **state)
{
	(void)state;
	assert_int_equal(blob_total_bytes(), 0);
	blob_budget_set(1000);
	struct blob *b = blob_new(600);
	assert_true(blob_budget_has(400));
	assert_false(blob_budget_has(401));
	assert_false(blob_budget_has(SIZE_MAX));
	/* Advice only: what was admitted before the ceiling sank stays. */
	blob_budget_set(500);
	assert_false(blob_budget_has(0));
	blob_unref(&b);
	assert_true(blob_budget_has(500));
	blob_budget_set((size_t)256 << 20);
}

static void *
refs_and_unrefs(void *arg)
{
	struct blob *b = arg;

	for (int i = 0; i < 20000; i++) {
		struct blob *mine = blob_ref(b);
		blob_unref(&mine);
	}
	blob_unref(&b);
	return NULL;
}

static void
threads_may_share_and_drop_references(void **state)
{
	(void)state;
	size_t before = blob_total_bytes();
	struct blob *b = blob_from(STR("shared"));
	pthread_t threads[4];

	for (size_t i = 0; i < COUNT_OF(threads); i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, refs_and_unrefs, blob_ref(b)), 0);
	blob_unref(&b);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(blob_total_bytes(), before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_blob_holds_a_copy_of_its_bytes),
		cmocka_unit_test(the_last_reference_frees),
		cmocka_unit_test(resizing_keeps_the_bytes_and_the_count),
		cmocka_unit_test(the_budget_counts_what_lives),
		cmocka_unit_test(threads_may_share_and_drop_references),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

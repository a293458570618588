#include "store/test_store.h"

#include "base/prng.h"

static void
a_public_id_leads_back_to_its_row(void **state)
{
	struct bed b;
	struct prng r = prng_make(1);
	char text[STORE_PUBLIC_ID_SIZE];

	(void)state;
	bed_init(&b);
	bed_open(&b);
	for (int i = 0; i < 1000; i++) {
		struct msg_id id = { 1 + prng_below(&r, (uint64_t)1 << (1 + i % 61)) },
			      back = { 0 };
		store_public_id(b.store, id, clock_wall_us(), text);
		assert_int_equal(text[14], '7');
		assert_int_equal(store_public_parse(b.store, str_from(text), &back), RC_OK);
		assert_int_equal(back.v, id.v);
	}
	bed_down(&b);
}

static void
it_is_the_same_after_a_restart_and_foreign_to_another_store(void **state)
{
	struct bed b, other;
	struct msg_id id = { 12345 }, back = { 0 };
	char text[STORE_PUBLIC_ID_SIZE];
	int known = 0;

	(void)state;
	bed_init(&b);
	bed_open(&b);
	bed_init(&other);
	bed_open(&other);
	for (uint64_t i = 1; i <= 50; i++) {
		store_public_id(other.store, (struct msg_id){ i }, 5000000, text);
		known += store_public_parse(b.store, str_from(text), &back) == RC_OK;
	}
	assert_true(known < 5);
	store_public_id(b.store, id, 5000000, text);
	bed_again(&b);
	assert_int_equal(store_public_parse(b.store, str_from(text), &back), RC_OK);
	assert_int_equal(back.v, id.v);
	bed_down(&b);
	bed_down(&other);
}

static void
what_is_no_id_is_not_found(void **state)
{
	static const char *const bad[] = { "", "x", "0190c2d0-0000-7000-8000-00000000000",
		"0190c2d0-0000-4000-8000-000000000000", "0190c2d0-0000-7000-0000-000000000000",
		"0190c2d0+0000-7000-8000-000000000000", "0190c2d0-0000-7000-8000-00000000000g" };
	struct bed b;
	struct msg_id id = { 9 };

	(void)state;
	bed_init(&b);
	bed_open(&b);
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(store_public_parse(b.store, str_from(bad[i]), &id), RC_NOT_FOUND);
	assert_int_equal(id.v, 9);
	bed_down(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_public_id_leads_back_to_its_row),
		cmocka_unit_test(it_is_the_same_after_a_restart_and_foreign_to_another_store),
		cmocka_unit_test(what_is_no_id_is_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/state.h"

static void
names_lead_back_to_their_states(void **state)
{
	(void)state;
	for (unsigned i = 0; i < STORE_STATE_COUNT; i++) {
		enum store_state s = (enum store_state)((i + 1) % STORE_STATE_COUNT);
		assert_true(store_state_parse(str_from(store_state_name((enum store_state)i)), &s));
		assert_int_equal(s, i);
	}
}

static void
a_hyphen_stands_for_the_underscore_and_other_words_are_refused(void **state)
{
	enum store_state s = STORE_SENT;

	(void)state;
	assert_true(store_state_parse(STR("in-doubt"), &s));
	assert_int_equal(s, STORE_IN_DOUBT);
	assert_false(store_state_parse(STR("in-doubts"), &s));
	assert_false(store_state_parse(STR("in"), &s));
	assert_false(store_state_parse(STR(""), &s));
}

static void
only_ends_are_final(void **state)
{
	(void)state;
	assert_false(store_state_is_final(STORE_QUEUED));
	assert_false(store_state_is_final(STORE_IN_DOUBT));
	assert_false(store_state_is_final(STORE_HELD));
	assert_false(store_state_is_final(STORE_CAPTURED));
	assert_true(store_state_is_final(STORE_SENT));
	assert_true(store_state_is_final(STORE_UNKNOWN));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_lead_back_to_their_states),
		cmocka_unit_test(a_hyphen_stands_for_the_underscore_and_other_words_are_refused),
		cmocka_unit_test(only_ends_are_final),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

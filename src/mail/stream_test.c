#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mail/ids.h"
#include "mail/stream.h"

static void
names_lead_back_to_their_lanes(void **state)
{
	(void)state;
	for (size_t i = 0; i < STREAM_COUNT; i++) {
		enum stream s = (enum stream)((i + 1) % STREAM_COUNT);
		assert_true(mail_stream_parse(str_from(mail_stream_name((enum stream)i)), &s));
		assert_int_equal(s, i);
	}
}

static void
any_case_is_understood_and_other_words_are_not(void **state)
{
	enum stream s = STREAM_TRANSACTIONAL;

	(void)state;
	assert_true(mail_stream_parse(STR("BULK"), &s));
	assert_int_equal(s, STREAM_BULK);
	assert_false(mail_stream_parse(STR("bulky"), &s));
	assert_false(mail_stream_parse(STR(""), &s));
	assert_int_equal(s, STREAM_BULK);
}

static void
ids_of_one_kind_compare_by_number(void **state)
{
	struct msg_id a = { 7 }, b = { 7 }, c = { 0 };

	(void)state;
	assert_true(ID_EQ(a, b));
	assert_false(ID_EQ(a, c));
	assert_true(ID_IS_NONE(c));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_lead_back_to_their_lanes),
		cmocka_unit_test(any_case_is_understood_and_other_words_are_not),
		cmocka_unit_test(ids_of_one_kind_compare_by_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "relay/rgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void
large_receivers_are_told_by_domain(void **state)
{
	(void)state;
	assert_int_equal(relay_rgroup_of(STR("gmail.com")), RELAY_RGROUP_GMAIL);
	assert_int_equal(relay_rgroup_of(STR("GoogleMail.com")), RELAY_RGROUP_GMAIL);
	assert_int_equal(relay_rgroup_of(STR("hotmail.co.uk")), RELAY_RGROUP_MICROSOFT);
	assert_int_equal(relay_rgroup_of(STR("foxmail.com")), RELAY_RGROUP_QQ);
	assert_int_equal(relay_rgroup_of(STR("yeah.net")), RELAY_RGROUP_NETEASE);
	assert_int_equal(relay_rgroup_of(STR("yahoo.co.jp")), RELAY_RGROUP_YAHOO);
	assert_int_equal(relay_rgroup_of(STR("me.com")), RELAY_RGROUP_APPLE);
	assert_int_equal(relay_rgroup_of(STR("example.org")), RELAY_RGROUP_OTHER);
	assert_int_equal(relay_rgroup_of(STR("notgmail.com")), RELAY_RGROUP_OTHER);
	assert_int_equal(relay_rgroup_of(STR("outlook")), RELAY_RGROUP_OTHER);
	assert_int_equal(relay_rgroup_of(STR("")), RELAY_RGROUP_OTHER);
}

static void
names_are_read_back(void **state)
{
	(void)state;
	for (int g = 0; g < RELAY_RGROUP_COUNT; g++) {
		enum relay_rgroup back;
		assert_true(
		    relay_rgroup_parse(str_from(relay_rgroup_name((enum relay_rgroup)g)), &back));
		assert_int_equal(back, g);
	}
	enum relay_rgroup untouched = RELAY_RGROUP_QQ;
	assert_false(relay_rgroup_parse(STR("aol"), &untouched));
	assert_int_equal(untouched, RELAY_RGROUP_QQ);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(large_receivers_are_told_by_domain),
		cmocka_unit_test(names_are_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

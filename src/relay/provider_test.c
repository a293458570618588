#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay/provider.h"

static void
a_provider_is_found_by_name_and_alias_in_any_case(void **state)
{
	(void)state;
	assert_string_equal(relay_provider_named(STR("NetEase"))->name, "netease");
	assert_string_equal(relay_provider_named(STR("163"))->name, "netease");
	assert_string_equal(relay_provider_named(STR("Office365"))->name, "m365");
	assert_null(relay_provider_named(STR("")));
	assert_null(relay_provider_named(STR("16")));
}

static void
a_provider_is_told_from_the_host(void **state)
{
	(void)state;
	assert_string_equal(relay_provider_of_host(STR("smtp.163.com"))->name, "netease");
	assert_string_equal(relay_provider_of_host(STR("SMTP.QQ.COM"))->name, "qq");
	assert_string_equal(relay_provider_of_host(STR("smtp.office365.com"))->name, "m365");
	assert_string_equal(
	    relay_provider_of_host(STR("x.mail.protection.outlook.com"))->name, "m365");
	assert_string_equal(relay_provider_of_host(STR("smtp-mail.outlook.com"))->name, "outlook");
	assert_null(relay_provider_of_host(STR("not163.com")));
	assert_null(relay_provider_of_host(STR("smtp.163.com.example.org")));
}

static void
every_provider_is_its_own_and_allows_something(void **state)
{
	static const char *const names[] = { "netease", "qq", "aliyun", "gmail", "m365", "outlook",
		"yahoo", "apple", "ses", "sendgrid", "yandex", "zoho" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const struct relay_provider *p = relay_provider_named(str_from(names[i]));
		assert_non_null(p);
		assert_string_equal(p->name, names[i]);
		assert_true(p->max_connections >= 1 && p->max_recipients >= 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_provider_is_found_by_name_and_alias_in_any_case),
		cmocka_unit_test(a_provider_is_told_from_the_host),
		cmocka_unit_test(every_provider_is_its_own_and_allows_something),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

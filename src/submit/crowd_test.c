#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "submit/crowd.h"

static struct ip
address(uint8_t last)
{
	struct ip ip = { .b = { [10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, last } };

	return ip;
}

static void
an_address_is_counted_up_and_down(void **state)
{
	struct ip a = address(1);

	(void)state;
	for (size_t i = 1; i <= 100; i++)
		assert_int_equal(submit_crowd_add(&a), i);
	for (size_t i = 0; i < 99; i++)
		submit_crowd_remove(&a);
	assert_int_equal(submit_crowd_add(&a), 2);
	submit_crowd_remove(&a);
	submit_crowd_remove(&a);
}

static void
addresses_are_counted_apart(void **state)
{
	size_t alone = 0;

	(void)state;
	for (int i = 0; i < 200; i++) {
		struct ip ip = address((uint8_t)i);
		alone += submit_crowd_add(&ip) == 1;
	}
	assert_in_range(alone, 190, 200);
	for (int i = 0; i < 200; i++) {
		struct ip ip = address((uint8_t)i);
		submit_crowd_remove(&ip);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_counted_up_and_down),
		cmocka_unit_test(addresses_are_counted_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

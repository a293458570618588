#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void
a_failure_is_told_in_one_step(void **state)
{
	(void)state;
	struct fault f = { 0 };

	assert_int_equal(fault_set(&f, RC_INVALID, "line %d has no colon", 7), RC_INVALID);
	assert_int_equal(f.rc, RC_INVALID);
	assert_int_equal(f.sys_errno, 0);
	assert_string_equal(f.text, "line 7 has no colon");
}

static void
a_failed_system_call_is_told_with_its_reason(void **state)
{
	(void)state;
	struct fault f = { 0 };

	errno = ENOENT;
	assert_int_equal(fault_sys(&f, RC_IO, "open %s", "spool"), RC_IO);
	assert_int_equal(f.sys_errno, ENOENT);
	assert_string_equal(f.text, "open spool: No such file or directory");
}

static void
the_first_reason_stays(void **state)
{
	(void)state;
	struct fault f = { 0 };

	assert_int_equal(fault_set(&f, RC_DNS, "first"), RC_DNS);
	assert_int_equal(fault_set(&f, RC_IO, "second"), RC_IO);
	assert_int_equal(f.rc, RC_DNS);
	assert_string_equal(f.text, "first");
}

static void
a_caller_that_does_not_care_passes_null(void **state)
{
	(void)state;
	assert_int_equal(fault_set(NULL, RC_LIMIT, "x"), RC_LIMIT);
	assert_int_equal(fault_sys(NULL, RC_IO, "x"), RC_IO);
}

static void
the_text_is_one_line_and_never_too_long(void **state)
{
	(void)state;
	struct fault f = { 0 };
	char long_text[400];

	assert_int_equal(fault_set(&f, RC_TLS, "a\r\nb\tc"), RC_TLS);
	assert_string_equal(f.text, "a  b c");
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	for (size_t n = 200; n < sizeof(long_text); n++) {
		f = (struct fault){ 0 };
		errno = EADDRNOTAVAIL;
		assert_int_equal(fault_sys(&f, RC_IO, "%.*s", (int)n, long_text), RC_IO);
		assert_in_range(strlen(f.text), n < 255 ? n : 255, sizeof(f.text) - 1);
	}
}

static void
every_kind_of_failure_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int a = RC_OK; a <= RC_CANCELLED; a++) {
		assert_true(*rc_name((enum rc)a) != '\0');
		for (int b = RC_OK; b < a; b++)
			assert_string_not_equal(rc_name((enum rc)a), rc_name((enum rc)b));
	}
	assert_string_equal(rc_name(RC_NOT_FOUND), "not_found");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failure_is_told_in_one_step),
		cmocka_unit_test(a_failed_system_call_is_told_with_its_reason),
		cmocka_unit_test(the_first_reason_stays),
		cmocka_unit_test(a_caller_that_does_not_care_passes_null),
		cmocka_unit_test(the_text_is_one_line_and_never_too_long),
		cmocka_unit_test(every_kind_of_failure_has_a_name_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

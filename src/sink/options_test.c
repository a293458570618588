#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sink/options.h"
#include "smtp/server.h"

#define ARGV_MAX 16

static enum rc
parse(struct sink_options *o, struct fault *f, const char *const *words)
{
	static char copy[ARGV_MAX][128]; /* options look into argv */
	char *argv[ARGV_MAX + 1] = { 0 };
	int argc = 1;

	argv[0] = copy[0];
	for (; words[argc - 1] != NULL; argc++) {
		snprintf(copy[argc], sizeof(copy[argc]), "%s", words[argc - 1]);
		argv[argc] = copy[argc];
	}
	return sink_options_parse(argc, argv, o, f);
}
#define PARSE(o, f, ...) parse((o), (f), (const char *const[]){ __VA_ARGS__, NULL })

static void
a_sink_needs_only_an_address(void **state)
{
	struct sink_options o = { 0 };

	(void)state;
	assert_int_equal(PARSE(&o, NULL, "--listen", "127.0.0.1:0"), RC_OK);
	assert_int_equal(o.n_listen, 1);
	assert_int_equal(o.seed, 1);
	assert_true(o.loops >= 1);
	assert_int_equal(o.rules[SINK_DOT].code, 0);
}

static void
a_reply_is_read_with_its_enhanced_code(void **state)
{
	struct sink_options o = { 0 };

	(void)state;
	assert_int_equal(PARSE(&o, NULL, "--listen=127.0.0.1:0", "--reply",
			     "rcpt=550 5.1.1 No such user", "--reply=mail=451 Later"),
	    RC_OK);
	assert_int_equal(o.rules[SINK_RCPT].code, 550);
	assert_int_equal(o.rules[SINK_RCPT].enhanced.subject, 1);
	assert_true(str_eq(o.rules[SINK_RCPT].text, STR("No such user")));
	assert_int_equal(o.rules[SINK_MAIL].code, 451);
	assert_int_equal(o.rules[SINK_MAIL].enhanced.cls, 0);
	assert_true(str_eq(o.rules[SINK_MAIL].text, STR("Later")));
}

static void
misbehaviour_is_read_by_stage(void **state)
{
	struct sink_options o = { 0 };

	(void)state;
	assert_int_equal(
	    PARSE(&o, NULL, "--listen", "[::1]:0", "--fail", "dot=2.5", "--drop", "data",
		"--drop=tls=10", "--delay", "ehlo=30", "--drop-after-accept", "1"),
	    RC_OK);
	assert_true(o.rules[SINK_DOT].fail_percent == 2.5);
	assert_true(o.rules[SINK_DATA].drop_percent == 100);
	assert_true(o.rules[SINK_TLS].drop_percent == 10);
	assert_int_equal(o.rules[SINK_EHLO].delay_us, MS(30));
	assert_true(o.drop_after_accept_percent == 1);
}

static void
extensions_are_left_out_by_name(void **state)
{
	struct sink_options o = { 0 };

	(void)state;
	assert_int_equal(
	    PARSE(&o, NULL, "--listen", "127.0.0.1:0", "--without", "SIZE,chunking"), RC_OK);
	assert_int_equal(o.without, SMTP_SERVER_SIZE | SMTP_SERVER_CHUNKING);
}

static void
a_login_is_split_at_the_first_colon(void **state)
{
	struct sink_options o = { 0 };

	(void)state;
	assert_int_equal(PARSE(&o, NULL, "--listen", "127.0.0.1:0", "--auth", "joe:a:b"), RC_OK);
	assert_true(str_eq(o.users[0].name, STR("joe")));
	assert_true(str_eq(o.users[0].password, STR("a:b")));
}

static void
wrong_options_are_named(void **state)
{
	static const struct {
		const char *option, *value, *named;
	} cases[] = {
		{ "--lisen", "127.0.0.1:0", "--lisen" },
		{ "--fail", "dot=101", "101" },
		{ "--fail", "dot=nan", "nan" },
		{ "--fail", "dots=1", "dots" },
		{ "--reply", "dot=abc", "--reply" },
		{ "--reply", "dot=354 go", "--reply" },
		{ "--delay", "dot=-1", "--delay" },
		{ "--auth", "joe", "USER:PASSWORD" },
		{ "--without", "everything", "everything" },
		{ "--loops", "0", "--loops" },
		{ "--tls", "maybe", "maybe" },
		{ "--cert", "file", "--key" },
		{ "--json=1", "", "--json" },
		{ "stray", "", "stray" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct sink_options o = { 0 };
		struct fault f = { 0 };
		enum rc rc =
		    PARSE(&o, &f, "--listen", "127.0.0.1:0", cases[i].option, cases[i].value);
		if (rc == RC_OK || strstr(f.text, cases[i].named) == NULL)
			fail_msg("%s %s: %s", cases[i].option, cases[i].value, f.text);
	}
}

static void
an_address_is_demanded(void **state)
{
	struct sink_options o = { 0 };
	struct fault f = { 0 };

	(void)state;
	assert_int_not_equal(PARSE(&o, &f, "--json"), RC_OK);
	assert_non_null(strstr(f.text, "--listen"));
	assert_int_equal(PARSE(&o, NULL, "--help"), RC_OK);
	assert_true(o.help);
	assert_non_null(strstr(sink_options_help(), "Example"));
	assert_string_equal(sink_options_stage_name(SINK_DOT), "dot");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sink_needs_only_an_address),
		cmocka_unit_test(a_reply_is_read_with_its_enhanced_code),
		cmocka_unit_test(misbehaviour_is_read_by_stage),
		cmocka_unit_test(extensions_are_left_out_by_name),
		cmocka_unit_test(a_login_is_split_at_the_first_colon),
		cmocka_unit_test(wrong_options_are_named),
		cmocka_unit_test(an_address_is_demanded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

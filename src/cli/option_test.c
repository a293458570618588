/* The parser of options. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "cli/option.h"

static const struct cli_option own[] = {
	{ "host", "HOST", "", false },
	{ "from", "ADDRESS", "", true },
	{ "watch", NULL, "", false },
	{ NULL, NULL, NULL, false },
};

static struct arena arena;
static struct cli_parsed parsed;
static struct fault fault;

#define PARSE(...) parse((const char *[]){ __VA_ARGS__, NULL })

static enum rc
parse(const char **words)
{
	const struct cli_option *const lists[] = { own, cli_option_general, NULL };
	char *argv[32];
	int n = 0;

	for (; words[n] != NULL; n++) {
		argv[n] = arena_zalloc(&arena, strlen(words[n]) + 1);
		memcpy(argv[n], words[n], strlen(words[n]));
	}
	fault = (struct fault){ 0 };
	return cli_option_parse(n, argv, lists, &arena, &parsed, &fault);
}

static void
takes_a_value_behind_a_blank_or_an_equals_sign(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--host", "a", "--data=b=c"), RC_OK);
	assert_string_equal(cli_option_get(&parsed, "host"), "a");
	assert_string_equal(cli_option_get(&parsed, "data"), "b=c");
	assert_int_equal(PARSE("--host="), RC_OK);
	assert_string_equal(cli_option_get(&parsed, "host"), "");
}

static void
finds_words_before_between_and_behind_options(void **state)
{
	(void)state;
	assert_int_equal(PARSE("one", "--watch", "two", "--host", "a", "three"), RC_OK);
	assert_int_equal(parsed.n_words, 3);
	assert_string_equal(parsed.words[1], "two");
	assert_true(cli_option_is_given(&parsed, "watch"));
	assert_false(cli_option_is_given(&parsed, "json"));
}

static void
gives_the_values_of_a_repeated_option_in_order(void **state)
{
	size_t at = 0;

	(void)state;
	assert_int_equal(PARSE("--from", "a", "--host", "h", "--from=b"), RC_OK);
	assert_string_equal(cli_option_each(&parsed, "from", &at), "a");
	assert_string_equal(cli_option_each(&parsed, "from", &at), "b");
	assert_null(cli_option_each(&parsed, "from", &at));
	assert_int_equal(cli_option_count(&parsed, own), 3);
}

static void
takes_everything_for_words_behind_two_dashes(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--", "--host", "-x"), RC_OK);
	assert_int_equal(parsed.n_words, 2);
	assert_string_equal(parsed.words[0], "--host");
}

static void
takes_a_lone_dash_for_a_word_and_for_a_value(void **state)
{
	(void)state;
	assert_int_equal(PARSE("-", "--host", "-"), RC_OK);
	assert_string_equal(parsed.words[0], "-");
	assert_string_equal(cli_option_get(&parsed, "host"), "-");
}

static void
names_the_nearest_option_for_an_unknown_one(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--hsot", "a"), RC_INVALID);
	assert_string_equal(fault.text, "there is no option --hsot; did you mean --host?");
	assert_int_equal(PARSE("--quite-different"), RC_INVALID);
	assert_string_equal(fault.text, "there is no option --quite-different");
}

static void
refuses_a_missing_and_a_superfluous_value(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--host"), RC_INVALID);
	assert_string_equal(fault.text, "--host wants a value: --host HOST");
	assert_int_equal(PARSE("--host", "--watch"), RC_INVALID);
	assert_int_equal(PARSE("--watch=yes"), RC_INVALID);
	assert_string_equal(fault.text, "--watch takes no value");
}

static void
refuses_an_option_given_twice_unless_it_may_be(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--host", "a", "--host", "b"), RC_INVALID);
	assert_string_equal(fault.text, "--host is given twice");
	assert_int_equal(PARSE("--watch", "--watch"), RC_INVALID);
}

static int
done(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(takes_a_value_behind_a_blank_or_an_equals_sign, done),
		cmocka_unit_test_teardown(finds_words_before_between_and_behind_options, done),
		cmocka_unit_test_teardown(gives_the_values_of_a_repeated_option_in_order, done),
		cmocka_unit_test_teardown(takes_everything_for_words_behind_two_dashes, done),
		cmocka_unit_test_teardown(takes_a_lone_dash_for_a_word_and_for_a_value, done),
		cmocka_unit_test_teardown(names_the_nearest_option_for_an_unknown_one, done),
		cmocka_unit_test_teardown(refuses_a_missing_and_a_superfluous_value, done),
		cmocka_unit_test_teardown(refuses_an_option_given_twice_unless_it_may_be, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

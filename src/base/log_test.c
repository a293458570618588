#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"

#define STAMP_LEN 24 /* "2026-11-23T07:48:33.123Z" */

/* What was logged since the last call. */
static char said[16384];
static int fd;

static const char *
take_said(void)
{
	ssize_t n = pread(fd, said, sizeof(said) - 1, 0);

	assert_true(n >= 0);
	said[n] = '\0';
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return said;
}

static int
setup(void **state)
{
	(void)state;
	fd = memfd_create("log", MFD_CLOEXEC);
	log_set_fd(fd);
	log_set_level(LOG_INFO);
	log_set_format(LOG_TEXT);
	return fd < 0;
}

static int
teardown(void **state)
{
	(void)state;
	log_set_fd(STDERR_FILENO);
	return close(fd);
}

static void
a_line_has_time_level_event_context_and_sentence(void **state)
{
	(void)state;
	struct log_ctx conn = LOG_NUM(NULL, "conn", 12);
	struct log_ctx rcpt = LOG_STR(&conn, "to", STR("a@example.org"));
	char before[CLOCK_TEXT_SIZE];
	char after[CLOCK_TEXT_SIZE];

	clock_format(clock_wall_us(), before);
	log_event(LOG_WARN, &rcpt, "smtp.refused", "no %s", "room");
	clock_format(clock_wall_us(), after);
	take_said();
	assert_true(memcmp(before, said, STAMP_LEN) <= 0 && memcmp(said, after, STAMP_LEN) <= 0);
	assert_string_equal(
	    said + STAMP_LEN, " warn smtp.refused conn=12 to=a@example.org: no room\n");
}

static void
a_json_line_has_the_same_as_an_object(void **state)
{
	(void)state;
	struct log_ctx conn = LOG_NUM(NULL, "conn", UINT64_MAX);
	struct log_ctx rcpt = LOG_STR(&conn, "to", STR("\"a b\"@x"));

	log_set_format(LOG_JSON);
	log_event(LOG_ERROR, &rcpt, "smtp.refused", "said \"%s\"", "no\r\n");
	take_said();
	assert_memory_equal(said, "{\"time\":\"", 9);
	assert_string_equal(said + 9 + STAMP_LEN,
	    "\",\"level\":\"error\",\"event\":\"smtp.refused\",\"text\":\"said "
	    "\\\"no\\u000d\\u000a\\\"\",\"conn\":18446744073709551615,"
	    "\"to\":\"\\\"a b\\\"@x\"}\n");
}

static void
what_a_peer_says_cannot_begin_a_line_or_a_field(void **state)
{
	(void)state;
	struct log_ctx ctx = LOG_STR(NULL, "reply", STR("250 ok\r\nto=forged"));
	struct log_ctx inner = LOG_STR(&ctx, "name", STR("a=b\"c"));
	struct log_ctx none = LOG_STR(&inner, "empty", STR(""));

	log_event(LOG_INFO, &none, "x", "a\n\x7f\033[1m");
	take_said();
	assert_string_equal(said + STAMP_LEN,
	    " info x reply=\"250 ok\\u000d\\u000ato=forged\" name=\"a=b\\\"c\" empty=\"\": "
	    "a\\u000a\\u007f\\u001b[1m\n");
}

static void
levels_above_the_set_one_are_silent(void **state)
{
	(void)state;
	static const enum log_level levels[] = { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

	for (size_t set = 0; set < COUNT_OF(levels); set++) {
		log_set_level(levels[set]);
		for (size_t i = 0; i < COUNT_OF(levels); i++) {
			assert_int_equal(log_is_on(levels[i]), i <= set);
			log_event(levels[i], NULL, "x", "y");
			assert_int_equal(*take_said() != '\0', i <= set);
		}
	}
}

static void
level_names_are_read_in_any_case(void **state)
{
	(void)state;
	enum log_level level = LOG_WARN;

	assert_true(log_level_parse(STR("DEBUG"), &level));
	assert_int_equal(level, LOG_DEBUG);
	assert_true(log_level_parse(STR("error"), &level));
	assert_int_equal(level, LOG_ERROR);
	assert_false(log_level_parse(STR("loud"), &level));
	assert_false(log_level_parse(STR(""), &level));
	assert_int_equal(level, LOG_ERROR);
}

/* Whether `s` is one line that is one object: quotes paired, the brace closed last. */
static bool
is_object_line(const char *s)
{
	size_t n = strlen(s);
	bool quoted = false;

	if (n < 3 || s[0] != '{' || s[n - 2] != '}' || s[n - 1] != '\n')
		return false;
	for (size_t i = 1; i < n - 2; i++) {
		if (quoted && s[i] == '\\')
			i++;
		else if (s[i] == '"')
			quoted = !quoted;
		else if (s[i] == '\n' || (!quoted && s[i] == '}'))
			return false;
	}
	return !quoted;
}

static void
a_line_too_long_is_cut_and_still_a_line_and_an_object(void **state)
{
	(void)state;
	static const char fills[] = { 'a', '\n', '"' };
	static char bytes[8000];

	for (size_t f = 0; f < COUNT_OF(fills); f++) {
		memset(bytes, fills[f], sizeof(bytes) - 1);
		for (size_t n = 0; n < sizeof(bytes); n += n < 3800 || n > 4200 ? 131 : 1) {
			struct log_ctx id = LOG_NUM(NULL, "id", 7);
			struct log_ctx ctx = LOG_STR(&id, "long", str_make(bytes, n));
			log_set_format(LOG_TEXT);
			log_event(LOG_INFO, &ctx, "x", "%.*s", (int)n, bytes);
			take_said();
			assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
			assert_non_null(strstr(said, " id=7 "));
			assert_in_range(strlen(said), 30, 4096);
			log_set_format(LOG_JSON);
			log_event(
			    LOG_INFO, &ctx, "x", "%.*s%.*s", (int)(n % 7), "aaaaaa", (int)n, bytes);
			assert_true(is_object_line(take_said()));
			assert_in_range(strlen(said), 30, 4096);
		}
	}
}

static void
a_log_that_cannot_be_written_does_no_harm(void **state)
{
	(void)state;
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	assert_true(full >= 0);
	log_set_fd(full);
	log_event(LOG_ERROR, NULL, "x", "y");
	log_set_fd(fd);
	close(full);
	log_event(LOG_ERROR, NULL, "x", "z");
	assert_non_null(strstr(take_said(), " error x: z\n"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    a_line_has_time_level_event_context_and_sentence, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_json_line_has_the_same_as_an_object, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    what_a_peer_says_cannot_begin_a_line_or_a_field, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    levels_above_the_set_one_are_silent, setup, teardown),
		cmocka_unit_test(level_names_are_read_in_any_case),
		cmocka_unit_test_setup_teardown(
		    a_line_too_long_is_cut_and_still_a_line_and_an_object, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_log_that_cannot_be_written_does_no_harm, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

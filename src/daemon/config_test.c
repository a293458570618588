#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "daemon/config.h"

static char path[] = "/tmp/posthouse-conf-XXXXXX";

static void
write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int
make_file(void **state)
{
	(void)state;
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	return close(fd);
}

static int
remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static enum rc
load(struct daemon_config *c, struct fault *f, const char *extra, const char *value)
{
	char *argv[] = { (char[]){ "--config" }, path, (char *)(uintptr_t)extra,
		(char *)(uintptr_t)value };

	return daemon_config_load(extra == NULL ? 2 : 4, argv, c, f);
}

static void
an_empty_file_gives_the_defaults(void **state)
{
	struct daemon_config c;
	struct fault f = { 0 };

	(void)state;
	write_file("# nothing\n\n");
	assert_int_equal(load(&c, &f, NULL, NULL), RC_OK);
	assert_string_equal(c.data, "./posthouse-data");
	assert_int_equal(c.smtp.n, 1);
	assert_int_equal(c.smtp.v[0].port, 2525);
	assert_int_equal(c.max_message_size, 25 << 20);
	assert_int_equal(c.expire_after_us, DAYS(5));
	assert_int_equal(c.n_trusted, 2);
	assert_true(c.auth_requires_tls);
	assert_true(c.loops >= 1);
	daemon_config_done(&c);
}

static void
the_command_line_wins_over_the_environment_over_the_file(void **state)
{
	struct daemon_config c;
	struct fault f = { 0 };

	(void)state;
	write_file("max-recipients = 10\nloops = 1\nretain-history = 7d # a week\n");
	assert_int_equal(setenv("POSTHOUSE_MAX_RECIPIENTS", "20", 1), 0);
	assert_int_equal(setenv("POSTHOUSE_LOOPS", "2", 1), 0);
	assert_int_equal(load(&c, &f, "--loops", "3"), RC_OK);
	assert_int_equal(c.max_recipients, 20);
	assert_int_equal(c.loops, 3);
	assert_int_equal(c.retain_history_us, DAYS(7));
	unsetenv("POSTHOUSE_MAX_RECIPIENTS");
	unsetenv("POSTHOUSE_LOOPS");
	daemon_config_done(&c);
}

static void
mistakes_are_named_with_line_and_remedy(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "\nmax-recipiens = 5\n",
		    "line 2: there is no setting 'max-recipiens'; did you mean 'max-recipients'?" },
		{ "smtp = 2525\n", "line 1: smtp = 2525" },
		{ "auth-requires-tls = perhaps\n", "write yes or no" },
		{ "just words\n", "write 'key = value'" },
		{ "http = 0.0.0.0:80\n", "http-beyond-loopback" },
		{ "tls-cert = /x.pem\n", "set both" },
		{ "retry-schedule = 5m 2m\n", "retry-schedule" },
		{ "max-message-size = 0\n", "max-message-size = 0 is too small" },
		{ "max-recipients = 0\n", "no message could be sent" },
		{ "expire-after = 0\n", "given up before" },
		{ "hostname = my mail host\n", "no name of a host" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct daemon_config c;
		struct fault f = { 0 };
		write_file(cases[i].text);
		assert_int_equal(load(&c, &f, NULL, NULL), RC_INVALID);
		if (strstr(f.text, cases[i].says) == NULL)
			fail_msg("'%s' does not say '%s'", f.text, cases[i].says);
	}
}

static void
a_file_that_cannot_be_read_whole_is_no_empty_file(void **state)
{
	struct daemon_config c;
	struct fault f = { 0 };

	(void)state;
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	for (int i = 0; i < 300000; i++)
		assert_true(fputs("# no\n", file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(load(&c, &f, NULL, NULL), RC_INVALID);
	assert_non_null(strstr(f.text, "1 MB"));
	f = (struct fault){ 0 };
	assert_int_equal(load(&c, &f, "--config", "/tmp"), RC_INVALID);
	assert_non_null(strstr(f.text, "cannot be read"));
	write_file("");
}

static void
the_printed_configuration_loads_and_changes_nothing(void **state)
{
	struct daemon_config c;
	struct fault f = { 0 };
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 16);
	daemon_config_print(&b);
	char *text = buf_steal(&b);
	write_file(text);
	assert_int_equal(load(&c, &f, NULL, NULL), RC_OK);
	daemon_config_done(&c);
	for (char *p = text; (p = strstr(p, "\n#")) != NULL; p++) {
		if (p[2] != ' ')
			p[1] = ' ';
	}
	write_file(text);
	assert_int_equal(load(&c, &f, NULL, NULL), RC_OK);
	assert_int_equal(c.max_recipients, 1000);
	daemon_config_done(&c);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_gives_the_defaults),
		cmocka_unit_test(the_command_line_wins_over_the_environment_over_the_file),
		cmocka_unit_test(mistakes_are_named_with_line_and_remedy),
		cmocka_unit_test(a_file_that_cannot_be_read_whole_is_no_empty_file),
		cmocka_unit_test(the_printed_configuration_loads_and_changes_nothing),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}

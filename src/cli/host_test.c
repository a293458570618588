/* The server that a person means. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "cli/host.h"

static struct cli_host h;
static struct fault fault;

static enum rc
parse(const char *host, const char *port, const char *tls)
{
	fault = (struct fault){ 0 };
	enum rc rc = cli_host_parse(host, port, tls, &h, &fault);

	return rc == RC_OK ? cli_host_complete(&h, &fault) : rc;
}

static void
fills_in_the_port_by_the_protection(void **state)
{
	(void)state;
	assert_int_equal(parse("smtp.example.com", NULL, "implicit"), RC_OK);
	assert_int_equal(h.port, 465);
	assert_int_equal(parse("smtp.example.com", NULL, "SSL"), RC_OK);
	assert_string_equal(h.tls, "implicit");
	assert_int_equal(parse("smtp.example.com", NULL, "starttls"), RC_OK);
	assert_int_equal(h.port, 587);
	assert_int_equal(parse("127.0.0.1", NULL, "none"), RC_OK);
	assert_int_equal(h.port, 25);
}

static void
fills_in_the_protection_by_the_port(void **state)
{
	(void)state;
	assert_int_equal(parse("smtp.example.com", NULL, NULL), RC_OK);
	assert_string_equal(h.tls, "implicit");
	assert_int_equal(h.port, 465);
	assert_int_equal(parse("smtp.example.com", "587", NULL), RC_OK);
	assert_string_equal(h.tls, "starttls");
	assert_int_equal(parse("smtp.example.com", "465", NULL), RC_OK);
	assert_string_equal(h.tls, "implicit");
	assert_int_equal(parse("smtp.example.com", "1234", NULL), RC_INVALID);
	assert_int_equal(parse("smtp.example.com", "1234", "none"), RC_OK);
}

static void
explains_a_scheme_in_the_host(void **state)
{
	(void)state;
	assert_int_equal(parse("smtps://smtp.example.com:465/", NULL, NULL), RC_INVALID);
	assert_string_equal(fault.text,
	    "--host wants the name alone; write: --host smtp.example.com --port 465 "
	    "--tls implicit");
	assert_int_equal(parse("smtp://smtp.example.com", NULL, NULL), RC_INVALID);
	assert_non_null(strstr(fault.text, "--port 587 --tls starttls"));
	assert_int_equal(parse("https://mail.example.com", NULL, NULL), RC_INVALID);
	assert_non_null(strstr(fault.text, "\"https://\" is not how one is reached"));
}

static void
explains_a_port_in_the_host(void **state)
{
	(void)state;
	assert_int_equal(parse("smtp.example.com:587", NULL, NULL), RC_INVALID);
	assert_non_null(strstr(fault.text, "--host smtp.example.com --port 587 --tls starttls"));
	assert_int_equal(parse("smtp.example.com 465", NULL, NULL), RC_INVALID);
	assert_non_null(strstr(fault.text, "--port 465 --tls implicit"));
}

static void
takes_ipv6_addresses_for_what_they_are(void **state)
{
	(void)state;
	assert_int_equal(parse("2001:db8::1", "25", "none"), RC_OK);
	assert_int_equal(parse("[2001:db8::1]", "25", "none"), RC_INVALID);
	assert_string_equal(fault.text, "--host wants an address without brackets: 2001:db8::1");
}

static void
explains_a_mail_address_in_the_host(void **state)
{
	(void)state;
	assert_int_equal(parse("me@example.com", NULL, NULL), RC_INVALID);
	assert_non_null(strstr(fault.text, "smtp.example.com"));
}

static void
refuses_ports_and_protections_that_do_not_go_together(void **state)
{
	(void)state;
	assert_int_equal(parse("a.example", "465", "starttls"), RC_INVALID);
	assert_int_equal(parse("a.example", "587", "implicit"), RC_INVALID);
	assert_int_equal(parse("a.example", "0", NULL), RC_INVALID);
	assert_int_equal(parse("a.example", "65536", NULL), RC_INVALID);
	assert_int_equal(parse("a.example", NULL, "tls"), RC_INVALID);
	assert_non_null(strstr(fault.text, "implicit"));
	assert_int_equal(parse("", NULL, NULL), RC_INVALID);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_in_the_port_by_the_protection),
		cmocka_unit_test(fills_in_the_protection_by_the_port),
		cmocka_unit_test(explains_a_scheme_in_the_host),
		cmocka_unit_test(explains_a_port_in_the_host),
		cmocka_unit_test(takes_ipv6_addresses_for_what_they_are),
		cmocka_unit_test(explains_a_mail_address_in_the_host),
		cmocka_unit_test(refuses_ports_and_protections_that_do_not_go_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "codec/ip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct ip
addr(const char *text)
{
	struct ip ip;

	if (!ip_parse(str_from(text), &ip))
		fail_msg("%s", text);
	return ip;
}

static void
addresses_come_out_in_their_shortest_form(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "192.0.2.1", "192.0.2.1" },
		{ "0.0.0.0", "0.0.0.0" },
		{ "255.255.255.255", "255.255.255.255" },
		{ "::", "::" },
		{ "::1", "::1" },
		{ "1::", "1::" },
		{ "2001:DB8:0:0:0:0:0:1", "2001:db8::1" },
		{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
		{ "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" },
		{ "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
		{ "::ffff:192.0.2.1", "192.0.2.1" },
		{ "::ffff:c000:201", "192.0.2.1" },
		{ "64:ff9b::192.0.2.1", "64:ff9b::c000:201" },
		{ "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304" },
		{ "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0" },
		{ "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8" },
		{ "fe80::a", "fe80::a" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char text[IP_TEXT_MAX];
		struct ip ip = addr(rows[i].in);
		assert_int_equal(ip_format(&ip, text).n, strlen(rows[i].out));
		assert_string_equal(text, rows[i].out);
		struct ip again = addr(text);
		assert_true(ip_eq(&ip, &again));
		ip_format_literal(&ip, text);
		assert_true(ip_parse_literal(str_from(text), &again));
		assert_true(ip_eq(&ip, &again));
	}
}

static void
what_is_no_address_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = { "", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4",
		"1.2.3.4 ", "1..2.3", ".1.2.3", "1.2.3.", "a.b.c.d", "1.2.3.-4", ":", ":::", "1:2",
		"1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", ":1:2:3:4:5:6:7",
		"1:2:3:4:5:6:7:", "12345::", "::g", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8",
		"1::%eth0", "::1.2.3", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "::ffff:1.2.3.4.5",
		"1:::2" };
	static const char *const bad_literals[] = { "", "[]", "1.2.3.4", "[1.2.3.4", "[::1]",
		"[IPv6:1.2.3.4]", "[IPv6:]", "[ipv4:1.2.3.4]", "[x]" };
	struct ip ip;

	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		if (ip_parse(str_from(bad[i]), &ip))
			fail_msg("%s", bad[i]);
	}
	for (size_t i = 0; i < COUNT_OF(bad_literals); i++)
		assert_false(ip_parse_literal(str_from(bad_literals[i]), &ip));
}

static void
networks_hold_their_addresses_and_no_others(void **state)
{
	(void)state;
	static const struct {
		const char *net, *in, *out;
	} rows[] = {
		{ "10.0.0.0/8", "10.255.0.1", "11.0.0.0" },
		{ "192.168.4.0/22", "192.168.7.255", "192.168.8.0" },
		{ "127.0.0.1", "127.0.0.1", "127.0.0.2" },
		{ "0.0.0.0/0", "8.8.8.8", "::1" },
		{ "::1", "::1", "::2" },
		{ "2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::" },
		{ "::/0", "1.2.3.4", NULL },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *why;
		struct cidr net;
		assert_true(ip_parse_cidr(str_from(rows[i].net), &net, &why));
		struct ip in = addr(rows[i].in);
		assert_true(ip_in_cidr(&in, &net));
		if (rows[i].out != NULL) {
			struct ip out = addr(rows[i].out);
			assert_false(ip_in_cidr(&out, &net));
		}
	}
}

static void
a_network_with_a_slip_is_refused_with_the_reason(void **state)
{
	(void)state;
	static const struct {
		const char *net, *why;
	} rows[] = {
		{ "", "not an IP address" },
		{ "mail.example/24", "not an IP address" },
		{ "10.0.0.0/33", "prefix length out of range" },
		{ "10.0.0.0/", "prefix length out of range" },
		{ "10.0.0.0/0008", "prefix length out of range" },
		{ "10.0.0.0/-1", "prefix length out of range" },
		{ "::/129", "prefix length out of range" },
		{ "10.0.0.1/8", "address has bits set behind its prefix" },
		{ "2001:db8::1/64", "address has bits set behind its prefix" },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *why = NULL;
		struct cidr net;
		assert_false(ip_parse_cidr(str_from(rows[i].net), &net, &why));
		assert_string_equal(why, rows[i].why);
	}
}

static void
only_addresses_anybody_can_reach_are_public(void **state)
{
	(void)state;
	static const char *const open[] = { "8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.0.1",
		"192.0.1.1", "198.20.0.1", "2606:4700::1", "64:ff9b::808:808", "2002:808:808::1" };
	static const char *const closed[] = { "127.0.0.1", "::1", "10.1.2.3", "172.16.0.1",
		"172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
		"224.0.0.1", "255.255.255.255", "198.51.100.1", "::", "fe80::1", "fc00::1",
		"fd00::1", "ff02::1", "2001:db8::1", "::ffff:10.0.0.1", "64:ff9b::a00:1",
		"2002:a00:1::1", "::127.0.0.1", "2001::1", "3fff::1", "4000::1" };

	for (size_t i = 0; i < COUNT_OF(open); i++) {
		struct ip ip = addr(open[i]);
		if (!ip_is_public(&ip))
			fail_msg("%s", open[i]);
		assert_false(ip_is_loopback(&ip));
	}
	for (size_t i = 0; i < COUNT_OF(closed); i++) {
		struct ip ip = addr(closed[i]);
		if (ip_is_public(&ip))
			fail_msg("%s", closed[i]);
		assert_int_equal(ip_is_loopback(&ip), i < 2);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_come_out_in_their_shortest_form),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(networks_hold_their_addresses_and_no_others),
		cmocka_unit_test(a_network_with_a_slip_is_refused_with_the_reason),
		cmocka_unit_test(only_addresses_anybody_can_reach_are_public),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

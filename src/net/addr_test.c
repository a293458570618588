#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "net/addr.h"

static void
addresses_survive_the_way_to_text_and_back(void **state)
{
	static const char *const texts[] = { "127.0.0.1:25", "0.0.0.0:0", "255.255.255.255:65535",
		"[::1]:2525", "[2001:db8::1]:465", "/run/posthouse/control.sock" };
	static const enum net_family families[] = { NET_IP4, NET_IP4, NET_IP4, NET_IP6, NET_IP6,
		NET_UNIX };
	char out[NET_ADDR_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		struct net_addr a, b;
		assert_int_equal(net_addr_parse(str_from(texts[i]), &a, NULL), RC_OK);
		assert_int_equal(a.family, families[i]);
		net_addr_format(&a, out);
		assert_string_equal(out, texts[i]);
		assert_int_equal(net_addr_parse(str_from(out), &b, NULL), RC_OK);
		assert_true(net_addr_eq(&a, &b));
	}
}

static void
what_is_no_address_is_refused_with_a_reason(void **state)
{
	static const struct {
		struct str text;
		const char *reason;
	} rows[] = {
		{ STR_INIT(""), "has no port" },
		{ STR_INIT("127.0.0.1"), "has no port" },
		{ STR_INIT("127.0.0.1:"), "port from 0 to 65535" },
		{ STR_INIT("127.0.0.1:65536"), "port from 0 to 65535" },
		{ STR_INIT("127.0.0.1:2x"), "port from 0 to 65535" },
		{ STR_INIT("::1:25"), "brackets" },
		{ STR_INIT("[::1:25"), "brackets" },
		{ STR_INIT("[::g]:25"), "not an IP address" },
		{ STR_INIT("127.1:25"), "not an IP address" },
		{ STR_INIT("127.0.0.1\0:25"), "not an IP address" },
		{ STR_INIT("mail.example.com:25"), "not an IP address" },
		{ STR_INIT("/run/\0x"), "NUL" },
	};
	char long_path[NET_PATH_SIZE + 1];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct net_addr a = { .port = 7 };
		struct fault f = { 0 };
		assert_int_equal(net_addr_parse(rows[i].text, &a, &f), RC_INVALID);
		assert_non_null(strstr(f.text, rows[i].reason));
		assert_int_equal(a.port, 7);
	}
	struct net_addr a;
	memset(long_path, '/', sizeof(long_path));
	assert_int_equal(net_addr_parse(str_make(long_path, NET_PATH_SIZE), &a, NULL), RC_INVALID);
	assert_int_equal(net_addr_parse(str_make(long_path, NET_PATH_SIZE - 1), &a, NULL), RC_OK);
}

static void
an_ipv4_address_in_ipv6_clothes_is_ipv4(void **state)
{
	struct net_addr a, b;
	char out[NET_ADDR_TEXT_SIZE];

	(void)state;
	assert_true(net_addr_from_ip(STR("::ffff:192.0.2.1"), 25, &a));
	assert_true(net_addr_from_ip(STR("192.0.2.1"), 25, &b));
	assert_true(net_addr_eq(&a, &b));
	net_addr_format_ip(&a, out);
	assert_string_equal(out, "192.0.2.1");
	b.port = 26;
	assert_false(net_addr_eq(&a, &b));
}

static void
loopback_is_recognised(void **state)
{
	struct net_addr a;

	(void)state;
	assert_true(net_addr_from_ip(STR("127.255.0.1"), 0, &a));
	assert_true(net_addr_is_loopback(&a));
	assert_true(net_addr_from_ip(STR("::1"), 0, &a));
	assert_true(net_addr_is_loopback(&a));
	assert_true(net_addr_from_ip(STR("128.0.0.1"), 0, &a));
	assert_false(net_addr_is_loopback(&a));
	assert_true(net_addr_from_ip(STR("::2"), 0, &a));
	assert_false(net_addr_is_loopback(&a));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_survive_the_way_to_text_and_back),
		cmocka_unit_test(what_is_no_address_is_refused_with_a_reason),
		cmocka_unit_test(an_ipv4_address_in_ipv6_clothes_is_ipv4),
		cmocka_unit_test(loopback_is_recognised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

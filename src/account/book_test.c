
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "account/book.h"
#include "account/guard.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "crypto/crypto.h"
#include "mail/address.h"

static char verifier[PASSWORD_TEXT_MAX + 1];

static int
make_verifier(void **state)
{
	struct password_verifier v;
	struct buf b;

	(void)state;
	assert_int_equal(crypto_start(NULL), RC_OK);
	assert_int_equal(password_make(STR("s3cret-s3cret"), PASSWORD_GENERATED, false, &v), RC_OK);
	buf_init(&b, PASSWORD_TEXT_MAX);
	password_format(&v, &b);
	snprintf(verifier, sizeof(verifier), "%s", buf_cstr(&b));
	buf_done(&b);
	return 0;
}

static struct account_book *
book_with(struct account_credential_row row)
{
	struct account_row account = { .id = ACCOUNT_LOCAL, .name = STR_INIT("local") };
	struct account_book *b = NULL;
	struct fault f = { 0 };

	row.account = ACCOUNT_LOCAL;
	row.verifier = str_from(verifier);
	assert_int_equal(account_book_new(&account, 1, &row, 1, &b, &f), RC_OK);
	return b;
}

static struct mail_addr
addr(struct arena *a, const char *text)
{
	struct mail_addr m;
	const char *why;

	assert_int_equal(mail_addr_parse(str_from(text), MAIL_ADDR_UTF8, a, &m, &why), RC_OK);
	return m;
}

static void
a_credential_is_found_in_any_case_and_sends_as_its_senders_only(void **state)
{
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(account_book_unref)
	struct account_book *b = book_with((struct account_credential_row){ .id = { 7 },
	    .user = STR_INIT("App"),
	    .senders = STR_INIT("News@a.example, @b.example") });
	const struct account_credential *c = account_book_find(b, STR("aPP"));

	(void)state;
	assert_non_null(c);
	assert_null(account_book_find(b, STR("other")));
	struct mail_addr yes[] = { addr(&a, "news@A.example"), addr(&a, "any@b.example"),
		addr(&a, "") };
	struct mail_addr no[] = { addr(&a, "other@a.example"), addr(&a, "x@sub.b.example") };
	for (size_t i = 0; i < COUNT_OF(yes); i++)
		assert_true(account_credential_may_send_as(c, &yes[i]));
	for (size_t i = 0; i < COUNT_OF(no); i++)
		assert_false(account_credential_may_send_as(c, &no[i]));
}

static void
networks_bind_a_credential(void **state)
{
	AUTO(account_book_unref)
	struct account_book *b = book_with((struct account_credential_row){
	    .id = { 7 }, .user = STR_INIT("app"), .networks = STR_INIT("192.0.2.0/24") });
	const struct account_credential *c = account_book_find(b, STR("app"));
	struct ip in, out;

	(void)state;
	assert_true(ip_parse(STR("192.0.2.9"), &in) && ip_parse(STR("198.51.100.1"), &out));
	assert_true(account_credential_may_come_from(c, &in));
	assert_false(account_credential_may_come_from(c, &out));
}

static void
a_malformed_list_is_refused_with_the_entry(void **state)
{
	struct fault f = { 0 };

	(void)state;
	assert_int_equal(account_senders_check(STR("ok@a.example nonsense"), &f), RC_INVALID);
	assert_non_null(strstr(f.text, "nonsense"));
	f = (struct fault){ 0 };
	assert_int_equal(account_networks_check(STR("10.0.0.0/8, 300.1.1.1"), &f), RC_INVALID);
	assert_non_null(strstr(f.text, "300.1.1.1"));
}

static void
an_address_that_guesses_is_blocked_longer_each_time(void **state)
{
	struct account_guard *g = account_guard_new();
	struct ip bad, good;
	int64_t until = 0;
	int64_t now = SECONDS(1000);

	(void)state;
	assert_true(ip_parse(STR("192.0.2.9"), &bad) && ip_parse(STR("192.0.2.10"), &good));
	for (int i = 0; i < 11; i++) {
		assert_false(account_guard_is_blocked(g, &bad, STR("u"), now, &until));
		account_guard_note(g, &bad, STR("u"), false, now);
	}
	assert_true(account_guard_is_blocked(g, &bad, STR("u"), now, &until));
	assert_int_equal(until - now, MINUTES(1));
	assert_false(account_guard_is_blocked(g, &good, STR("other"), now, &until));
	now = until + 1;
	for (int i = 0; i < 11; i++)
		account_guard_note(g, &bad, STR("v"), false, now);
	assert_true(account_guard_is_blocked(g, &bad, STR("w"), now, &until));
	assert_int_equal(until - now, MINUTES(2));
	account_guard_free(&g);
}

static void
a_credential_is_blocked_when_many_addresses_guess_it(void **state)
{
	struct account_guard *g = account_guard_new();
	struct ip peer;
	int64_t until;
	char text[32];

	(void)state;
	for (int i = 0; i < 21; i++) {
		snprintf(text, sizeof(text), "198.51.100.%d", i + 1);
		assert_true(ip_parse(str_from(text), &peer));
		account_guard_note(g, &peer, STR("boss"), false, SECONDS(5));
	}
	assert_true(ip_parse(STR("203.0.113.5"), &peer));
	assert_true(account_guard_is_blocked(g, &peer, STR("BOSS"), SECONDS(6), &until));
	assert_false(account_guard_is_blocked(g, &peer, STR("clerk"), SECONDS(6), &until));
	account_guard_free(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_credential_is_found_in_any_case_and_sends_as_its_senders_only),
		cmocka_unit_test(networks_bind_a_credential),
		cmocka_unit_test(a_malformed_list_is_refused_with_the_entry),
		cmocka_unit_test(an_address_that_guesses_is_blocked_longer_each_time),
		cmocka_unit_test(a_credential_is_blocked_when_many_addresses_guess_it),
	};

	return cmocka_run_group_tests(tests, make_verifier, NULL);
}

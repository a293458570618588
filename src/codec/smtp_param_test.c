#include "codec/smtp_param.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ALL UINT32_MAX

static void
check_mail(struct arena *a, struct str args, struct smtp_mail_params *out)
{
	struct smtp_refusal refusal;

	if (!smtp_param_parse_mail(args, ALL, a, out, &refusal))
		fail_msg("%.*s: %s", STR_ARG(args), refusal.why);
}

static void
mail_parameters_become_typed_fields(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = { 0 };
	struct smtp_mail_params p;

	check_mail(&a, STR(""), &p);
	assert_int_equal(p.seen, 0);
	check_mail(&a, STR("  SIZE=1000 body=8bitmime \t SMTPUTF8 "), &p);
	assert_int_equal(
	    p.seen, SMTP_PARAM_BIT(SIZE) | SMTP_PARAM_BIT(BODY) | SMTP_PARAM_BIT(SMTPUTF8));
	assert_int_equal(p.size, 1000);
	assert_int_equal(p.body, SMTP_BODY_8BITMIME);
	check_mail(&a, STR("BODY=BINARYMIME RET=HDRS ENVID=a+2Bb"), &p);
	assert_int_equal(p.body, SMTP_BODY_BINARYMIME);
	assert_int_equal(p.ret, SMTP_RET_HDRS);
	assert_true(str_eq(p.envid, STR("a+b")));
	check_mail(&a, STR("AUTH=<>"), &p);
	assert_true(p.seen == SMTP_PARAM_BIT(AUTH) && p.auth.n == 0);
	check_mail(&a, STR("AUTH=a+3Db@c"), &p);
	assert_true(str_eq(p.auth, STR("a=b@c")));
	check_mail(&a, STR("HOLDFOR=86400"), &p);
	assert_int_equal(p.hold_for_s, 86400);
}

static void
a_date_to_hold_until_is_read_in_any_zone(void **state)
{
	(void)state;
	static const struct {
		struct str args;
		int64_t t;
	} rows[] = {
		{ STR_INIT("HOLDUNTIL=1970-01-01T00:00:00Z"), 0 },
		{ STR_INIT("HOLDUNTIL=2000-02-29T12:00:00Z"), 951825600 },
		{ STR_INIT("HOLDUNTIL=2026-11-23T08:00:00z"), 1795420800 },
		{ STR_INIT("HOLDUNTIL=2026-11-23T16:00:00.25+08:00"), 1795420800 },
		{ STR_INIT("HOLDUNTIL=2026-11-23T02:30:00-05:30"), 1795420800 },
		{ STR_INIT("HOLDUNTIL=9999-12-31T23:59:59Z"), 253402300799 },
	};
	AUTO(arena_done) struct arena a = { 0 };
	struct smtp_mail_params p;

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		check_mail(&a, rows[i].args, &p);
		assert_int_equal(p.hold_until_s, rows[i].t);
	}
	/* Every day for a thousand years goes out and comes back. */
	AUTO(buf_done) struct buf b = { 0 };
	buf_init(&b, 100);
	for (int64_t day = 0; day < 365250; day += 13) {
		struct smtp_mail_params q;
		p = (struct smtp_mail_params){ .seen = SMTP_PARAM_BIT(HOLDUNTIL),
			.hold_until_s = day * 86400 + 86399 };
		buf_clear(&b);
		smtp_param_add_mail(&b, &p);
		check_mail(&a, buf_str(&b), &q);
		assert_int_equal(q.hold_until_s, p.hold_until_s);
	}
}

static void
rcpt_parameters_become_typed_fields(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = { 0 };
	struct smtp_refusal refusal;
	struct smtp_rcpt_params p;

	assert_true(smtp_param_parse_rcpt(
	    STR("NOTIFY=success,Failure ORCPT=rfc822;a+2Bb@c"), ALL, &a, &p, &refusal));
	assert_int_equal(p.notify, SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE);
	assert_true(str_eq(p.orcpt_type, STR("rfc822")));
	assert_true(str_eq(p.orcpt, STR("a+b@c")));
	assert_true(smtp_param_parse_rcpt(STR("NOTIFY=NEVER"), ALL, &a, &p, &refusal));
	assert_int_equal(p.notify, SMTP_NOTIFY_NEVER);
	assert_true(smtp_param_parse_rcpt(STR("ORCPT=UTF-8;\\x{90AE}@c"), ALL, &a, &p, &refusal));
	assert_true(str_eq(p.orcpt, STR("\xe9\x82\xae@c")));
}

static const struct {
	bool rcpt;
	struct str args;
	enum smtp_refusal_kind kind;
	struct str what;
} refused[] = {
	{ false, STR_INIT("SIZE"), SMTP_REFUSAL_BAD_VALUE, STR_INIT("SIZE") },
	{ false, STR_INIT("SIZE="), SMTP_REFUSAL_BAD_VALUE, STR_INIT("SIZE") },
	{ false, STR_INIT("size=1k"), SMTP_REFUSAL_BAD_VALUE, STR_INIT("size") },
	{ false, STR_INIT("SIZE=18446744073709551616"), SMTP_REFUSAL_BAD_VALUE, STR_INIT("SIZE") },
	{ false, STR_INIT("SIZE=000000000000000000001"), SMTP_REFUSAL_BAD_VALUE, STR_INIT("SIZE") },
	{ false, STR_INIT("SIZE=1 SIZE=1"), SMTP_REFUSAL_DUPLICATE, STR_INIT("SIZE") },
	{ false, STR_INIT("BODY=9BIT"), SMTP_REFUSAL_BAD_VALUE, STR_INIT("BODY") },
	{ false, STR_INIT("SMTPUTF8=1"), SMTP_REFUSAL_BAD_VALUE, STR_INIT("SMTPUTF8") },
	{ false, STR_INIT("RET=HALF"), SMTP_REFUSAL_BAD_VALUE, STR_INIT("RET") },
	{ false, STR_INIT("ENVID=a=b"), SMTP_REFUSAL_BAD_VALUE, STR_INIT("ENVID") },
	{ false, STR_INIT("ENVID=a+0D+0Ab"), SMTP_REFUSAL_BAD_VALUE, STR_INIT("ENVID") },
	{ false, STR_INIT("AUTH=a+00"), SMTP_REFUSAL_BAD_VALUE, STR_INIT("AUTH") },
	{ false, STR_INIT("AUTH=a+E9"), SMTP_REFUSAL_BAD_VALUE, STR_INIT("AUTH") },
	{ false, STR_INIT("HOLDFOR=1234567890"), SMTP_REFUSAL_BAD_VALUE, STR_INIT("HOLDFOR") },
	{ false, STR_INIT("HOLDUNTIL=2026-02-29T00:00:00Z"), SMTP_REFUSAL_BAD_VALUE,
	    STR_INIT("HOLDUNTIL") },
	{ false, STR_INIT("HOLDUNTIL=2026-13-01T00:00:00Z"), SMTP_REFUSAL_BAD_VALUE,
	    STR_INIT("HOLDUNTIL") },
	{ false, STR_INIT("HOLDUNTIL=2026-12-01T24:00:00Z"), SMTP_REFUSAL_BAD_VALUE,
	    STR_INIT("HOLDUNTIL") },
	{ false, STR_INIT("HOLDUNTIL=2026-12-01T00:00:00"), SMTP_REFUSAL_BAD_VALUE,
	    STR_INIT("HOLDUNTIL") },
	{ false, STR_INIT("HOLDUNTIL=2026-12-01T00:00:00+0800"), SMTP_REFUSAL_BAD_VALUE,
	    STR_INIT("HOLDUNTIL") },
	{ false, STR_INIT("HOLDUNTIL=9999-12-31T23:59:59-01:00"), SMTP_REFUSAL_BAD_VALUE,
	    STR_INIT("HOLDUNTIL") },
	{ false, STR_INIT("HOLDUNTIL=1970-01-01T00:00:00+01:00"), SMTP_REFUSAL_BAD_VALUE,
	    STR_INIT("HOLDUNTIL") },
	{ false, STR_INIT("HOLDFOR=1 HOLDUNTIL=2026-12-01T00:00:00Z"), SMTP_REFUSAL_BAD_VALUE,
	    STR_INIT("HOLDFOR") },
	{ false, STR_INIT("NOTIFY=NEVER"), SMTP_REFUSAL_NOT_ALLOWED, STR_INIT("NOTIFY") },
	{ true, STR_INIT("SIZE=1"), SMTP_REFUSAL_NOT_ALLOWED, STR_INIT("SIZE") },
	{ false, STR_INIT("X-FOO=1"), SMTP_REFUSAL_UNKNOWN, STR_INIT("X-FOO") },
	{ false, STR_INIT("=1"), SMTP_REFUSAL_SYNTAX, STR_INIT("=1") },
	{ false, STR_INIT("-A=1"), SMTP_REFUSAL_SYNTAX, STR_INIT("-A=1") },
	{ true, STR_INIT("NOTIFY=NEVER,DELAY"), SMTP_REFUSAL_BAD_VALUE, STR_INIT("NOTIFY") },
	{ true, STR_INIT("NOTIFY=DELAY,"), SMTP_REFUSAL_BAD_VALUE, STR_INIT("NOTIFY") },
	{ true, STR_INIT("ORCPT=a@b"), SMTP_REFUSAL_BAD_VALUE, STR_INIT("ORCPT") },
	{ true, STR_INIT("ORCPT=rfc822;"), SMTP_REFUSAL_BAD_VALUE, STR_INIT("ORCPT") },
	{ true, STR_INIT("ORCPT=;a@b"), SMTP_REFUSAL_BAD_VALUE, STR_INIT("ORCPT") },
	{ true, STR_INIT("ORCPT=rfc822;a+0A"), SMTP_REFUSAL_BAD_VALUE, STR_INIT("ORCPT") },
};

static void
what_cannot_be_taken_is_refused_by_kind_and_name(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = { 0 };

	for (size_t i = 0; i < COUNT_OF(refused); i++) {
		struct smtp_mail_params m = { .size = 77 };
		struct smtp_rcpt_params r;
		struct smtp_refusal refusal;
		bool ok = refused[i].rcpt
			      ? smtp_param_parse_rcpt(refused[i].args, ALL, &a, &r, &refusal)
			      : smtp_param_parse_mail(refused[i].args, ALL, &a, &m, &refusal);
		if (ok || refusal.kind != refused[i].kind || !str_eq(refusal.what, refused[i].what))
			fail_msg("%.*s", STR_ARG(refused[i].args));
		assert_int_equal(m.size, 77);
	}
}

static void
what_was_not_announced_is_not_taken(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct smtp_mail_params p;
	struct smtp_refusal refusal;

	buf_init(&b, 1000);
	assert_false(
	    smtp_param_parse_mail(STR("SIZE=1 BODY=7BIT"), SMTP_PARAM_BIT(SIZE), &a, &p, &refusal));
	assert_int_equal(refusal.kind, SMTP_REFUSAL_NOT_ALLOWED);
	smtp_param_format_refusal(&b, &refusal);
	assert_string_equal(buf_cstr(&b), "555 5.5.4 BODY: parameter not offered here\r\n");
}

static void
an_envelope_id_has_at_most_100_characters(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = { 0 };
	AUTO(buf_done) struct buf b = { 0 };
	struct smtp_mail_params p;
	struct smtp_refusal refusal;

	buf_init(&b, 1000);
	buf_add(&b, STR("ENVID="));
	for (int i = 0; i < 100; i++)
		buf_add_byte(&b, 'x');
	check_mail(&a, buf_str(&b), &p);
	buf_add_byte(&b, 'x');
	assert_false(smtp_param_parse_mail(buf_str(&b), ALL, &a, &p, &refusal));
	assert_int_equal(refusal.kind, SMTP_REFUSAL_BAD_VALUE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mail_parameters_become_typed_fields),
		cmocka_unit_test(a_date_to_hold_until_is_read_in_any_zone),
		cmocka_unit_test(rcpt_parameters_become_typed_fields),
		cmocka_unit_test(what_cannot_be_taken_is_refused_by_kind_and_name),
		cmocka_unit_test(what_was_not_announced_is_not_taken),
		cmocka_unit_test(an_envelope_id_has_at_most_100_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

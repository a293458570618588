#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "codec/json_writer.h"
#include "relay/explain.h"

static struct relay_explanation
explain(const char *reply, const char *provider, const char *stage, const char *lang)
{
	struct relay_explanation e;
	struct fault f = { 0 };

	if (relay_explain(str_from(reply), str_from(provider), str_from(stage), str_from(lang), &e,
		&f) != RC_OK)
		fail_msg("%s", f.text);
	return e;
}

static void
a_reply_is_explained_in_either_language(void **state)
{
	struct relay_explanation e = explain("554 MI:STC 163 smtp1,x", "", "", "");

	(void)state;
	assert_string_equal(e.verdict.provider, "netease");
	assert_string_equal(e.verdict.tag, "MI:STC");
	assert_non_null(strstr(e.cause, "allowance"));
	e = explain("554 MI:STC 163 smtp1,x", "163", "", "zh_CN.UTF-8");
	assert_non_null(strstr(e.cause, "额度"));
	assert_non_null(strstr(e.remedy, "--rate"));
	assert_int_equal(e.lang, RELAY_LANG_ZH);
}

static void
a_host_serves_as_provider_and_the_stage_decides_between_meanings(void **state)
{
	struct relay_explanation e = explain("550 User suspended", "smtp.163.com", "auth", "en");

	(void)state;
	assert_int_equal(e.verdict.action, RELAY_ACTION_PAUSE_LOGIN);
	e = explain("550 User suspended", "smtp.qiye.163.com", "rcpt", "en");
	assert_int_equal(e.verdict.action, RELAY_ACTION_BOUNCE);
	assert_string_equal(e.verdict.provider, "netease");
}

static void
a_client_that_is_not_let_in_is_not_the_recipients_fault(void **state)
{
	static const char *const ours[] = {
		"554 5.7.1 <a@example.com>: Recipient address rejected: Access denied",
		"554 <a@example.com>: Recipient address rejected: Access denied",
	};
	struct relay_explanation e;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		e = explain(ours[i], "", i == 0 ? "rcpt" : "", "");
		assert_int_equal(e.verdict.blame, RELAY_BLAME_RELAY);
		assert_int_equal(e.verdict.action, RELAY_ACTION_DEFER);
	}
	e = explain(
	    "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)", "", "rcpt", "");
	assert_int_equal(e.verdict.blame, RELAY_BLAME_RECIPIENT);
}

static void
what_is_not_known_is_refused_with_what_to_write(void **state)
{
	struct relay_explanation e;
	struct fault f = { 0 };
	char long_reply[RELAY_EXPLAIN_MAX + 1];
	struct str none = { 0 }, reply = STR("550 no");

	(void)state;
	memset(long_reply, 'x', sizeof(long_reply));
	assert_int_equal(relay_explain(STR(" \n"), none, none, none, &e, &f), RC_INVALID);
	assert_non_null(strstr(f.text, "reply is missing"));
	assert_int_equal(
	    relay_explain(str_make(long_reply, sizeof(long_reply)), none, none, none, &e, NULL),
	    RC_INVALID);
	assert_int_equal(relay_explain(reply, STR("pigeons"), none, none, &e, NULL), RC_INVALID);
	assert_int_equal(relay_explain(reply, none, STR("lunch"), none, &e, NULL), RC_INVALID);
	assert_int_equal(relay_explain(reply, none, none, STR("zhuang"), &e, NULL), RC_INVALID);
}

static void
the_json_has_the_promised_keys(void **state)
{
	struct relay_explanation e =
	    explain("451 4.7.1 MI:SFQ try again in 120 seconds", "163", "", "");
	AUTO(buf_done) struct buf b = { 0 };
	struct json_writer w;

	(void)state;
	buf_init(&b, 4096);
	json_writer_init(&w, &b);
	relay_explain_write(&e, &w);
	json_writer_done(&w);
	assert_non_null(strstr(buf_cstr(&b),
	    "\"provider\":\"netease\",\"code\":451,\"enhanced\":\"4.7.1\",\"tag\":\"MI:SFQ\""));
	assert_non_null(strstr(buf_cstr(&b),
	    "\"attribution\":\"capacity\",\"action\":\"slow\",\"retry_after_s\":120,\"certainty\":\"certain\""));
	e = explain("mailbox full", "", "", "");
	buf_clear(&b);
	json_writer_init(&w, &b);
	relay_explain_write(&e, &w);
	assert_non_null(
	    strstr(buf_cstr(&b), "\"provider\":null,\"code\":null,\"enhanced\":null,\"tag\":null"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reply_is_explained_in_either_language),
		cmocka_unit_test(a_host_serves_as_provider_and_the_stage_decides_between_meanings),
		cmocka_unit_test(a_client_that_is_not_let_in_is_not_the_recipients_fault),
		cmocka_unit_test(what_is_not_known_is_refused_with_what_to_write),
		cmocka_unit_test(the_json_has_the_promised_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

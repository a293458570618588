#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/prng.h"
#include "relay/attribute.h"

static struct relay_verdict
judge(enum relay_stage stage, const char *reply, const char *provider)
{
	struct relay_facts facts;
	struct relay_verdict v;

	relay_facts_read(str_from(reply), str_from(provider), &facts);
	facts.stage = stage;
	relay_attribute(&facts, &v);
	return v;
}

static void
an_unknown_5xx_is_the_relays_at_mail_the_recipients_at_rcpt_the_contents_at_the_dot(void **state)
{
	struct relay_verdict v;

	(void)state;
	v = judge(RELAY_STAGE_MAIL, "550 Nein", "");
	assert_int_equal(v.blame, RELAY_BLAME_RELAY);
	assert_int_equal(v.action, RELAY_ACTION_DEFER);
	v = judge(RELAY_STAGE_RCPT, "550 Nein", "");
	assert_int_equal(v.blame, RELAY_BLAME_RECIPIENT);
	assert_int_equal(v.action, RELAY_ACTION_BOUNCE);
	v = judge(RELAY_STAGE_DOT, "550 Nein", "");
	assert_int_equal(v.blame, RELAY_BLAME_CONTENT);
	assert_int_equal(v.action, RELAY_ACTION_BOUNCE);
	assert_int_equal(v.certainty, RELAY_GUESS);
}

static void
nothing_bounces_on_a_4xx(void **state)
{
	static const char *const replies[] = { "450 4.1.1 User unknown", "450 no", "452 4.2.2 full",
		"451 4.7.1 spam", "499 what", "450 4.6.0 content" };

	(void)state;
	for (unsigned stage = 0; stage < RELAY_STAGE_COUNT; stage++) {
		for (size_t i = 0; i < COUNT_OF(replies); i++) {
			struct relay_verdict v = judge((enum relay_stage)stage, replies[i], "");
			assert_int_not_equal(v.action, RELAY_ACTION_BOUNCE);
			assert_false(v.unknown_user);
		}
	}
}

static void
a_refused_login_pauses_the_login(void **state)
{
	static const char *const replies[] = { "535 5.7.8 Error: authentication failed", "535 no",
		"534 5.7.9 Application-specific password required", "550 no" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(replies); i++) {
		struct relay_verdict v = judge(RELAY_STAGE_AUTH, replies[i], "");
		assert_int_equal(v.blame, RELAY_BLAME_RELAY);
		assert_int_equal(v.action, RELAY_ACTION_PAUSE_LOGIN);
		assert_int_equal(v.wait_us, 0);
	}
}

static void
a_secret_that_worked_today_is_tried_once_more_after_a_minute(void **state)
{
	struct relay_facts facts = { .stage = RELAY_STAGE_AUTH,
		.code = 535,
		.text = STR("Error: authentication failed"),
		.worked_today = true };
	struct relay_verdict v;

	(void)state;
	relay_attribute(&facts, &v);
	assert_int_equal(v.action, RELAY_ACTION_PAUSE_LOGIN);
	assert_int_equal(v.wait_us, SECONDS(60));
}

static void
relaying_denied_is_the_relays_fault_at_every_stage(void **state)
{
	(void)state;
	for (unsigned stage = RELAY_STAGE_MAIL; stage <= RELAY_STAGE_DOT; stage++) {
		struct relay_verdict v = judge(
		    (enum relay_stage)stage, "554 5.7.1 <a@example.com>: Relay access denied", "");
		assert_int_equal(v.blame, RELAY_BLAME_RELAY);
		assert_int_equal(v.action, RELAY_ACTION_PAUSE_RELAY);
	}
}

static void
a_capacity_reply_slows_whatever_its_first_digit_says(void **state)
{
	static const struct {
		enum relay_stage stage;
		const char *reply;
	} cases[] = {
		{ RELAY_STAGE_MAIL, "421 goodbye" },
		{ RELAY_STAGE_RCPT, "450 4.2.1 later" },
		{ RELAY_STAGE_MAIL, "451 MI:SFQ 163 smtp7,x" },
		{ RELAY_STAGE_MAIL, "554 MI:STC 163 smtp7,x" },
		{ RELAY_STAGE_RCPT, "550 5.4.5 Daily user sending limit exceeded" },
		{ RELAY_STAGE_DOT, "550 Sender frequency limited" },
		{ RELAY_STAGE_AUTH, "432 4.3.2 Concurrent connections limit exceeded" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct relay_verdict v = judge(cases[i].stage, cases[i].reply, "");
		assert_int_equal(v.blame, RELAY_BLAME_CAPACITY);
		assert_int_equal(v.action, RELAY_ACTION_SLOW);
	}
	assert_int_equal(judge(RELAY_STAGE_MAIL, "451 MI:SFQ x", "163").wait_us, MINUTES(15));
}

static void
the_wait_that_a_reply_names_goes_before_the_rules_own(void **state)
{
	struct relay_verdict v =
	    judge(RELAY_STAGE_MAIL, "451 MI:SFQ try again in 120 seconds", "163");

	(void)state;
	assert_int_equal(v.wait_us, SECONDS(120));
	v = judge(RELAY_STAGE_RCPT, "450 4.2.0 Greylisted, try again in 4 minutes", "");
	assert_int_equal(v.wait_us, MINUTES(4));
	assert_int_equal(v.blame, RELAY_BLAME_RECIPIENT);
}

static void
a_wrong_sender_holds_the_sender(void **state)
{
	struct relay_verdict v =
	    judge(RELAY_STAGE_MAIL, "553 Mail from must equal authorized user", "netease");

	(void)state;
	assert_int_equal(v.blame, RELAY_BLAME_IDENTITY);
	assert_int_equal(v.action, RELAY_ACTION_HOLD_SENDER);
	v = judge(RELAY_STAGE_DOT, "554 5.2.252 SendAsDenied; a not allowed to send as b", "");
	assert_int_equal(v.action, RELAY_ACTION_HOLD_SENDER);
	assert_string_equal(v.provider, "m365");
}

static void
the_same_words_mean_another_thing_at_another_stage(void **state)
{
	(void)state;
	assert_int_equal(
	    judge(RELAY_STAGE_AUTH, "550 User suspended", "163").action, RELAY_ACTION_PAUSE_LOGIN);
	assert_int_equal(
	    judge(RELAY_STAGE_RCPT, "550 User suspended", "163").action, RELAY_ACTION_BOUNCE);
	assert_int_equal(
	    judge(RELAY_STAGE_MAIL, "550 5.1.1 User unknown", "").blame, RELAY_BLAME_RELAY);
	assert_true(judge(RELAY_STAGE_RCPT, "550 5.1.1 User unknown", "").unknown_user);
}

static void
tags_are_found_and_nothing_else_is_taken_for_one(void **state)
{
	(void)state;
	assert_string_equal(judge(RELAY_STAGE_MAIL, "554 MI:STC 163 smtp7", "").tag, "MI:STC");
	assert_string_equal(
	    judge(RELAY_STAGE_GREETING, "421 4.7.0 [TSS04] Messages from 192.0.2.1", "").tag,
	    "TSS04");
	assert_string_equal(
	    judge(RELAY_STAGE_MAIL, "550 SC-001 (SNT004-MC1F46) x", "").tag, "SC-001");
	assert_string_equal(
	    judge(RELAY_STAGE_RCPT, "550 5.1.1 <A@[IPV6:1]> [192.0.2.1] NO:W AB:CDEF", "").tag, "");
}

static void
a_pasted_reply_is_taken_apart(void **state)
{
	struct relay_facts f;

	(void)state;
	relay_facts_read(STR(" 550-5.1.1 The account\n"), STR("gmail"), &f);
	assert_int_equal(f.code, 550);
	assert_int_equal(f.enhanced.detail, 1);
	assert_true(str_eq(f.text, STR("The account")));
	relay_facts_read(STR("smtp; 452 4.2.2 Mailbox full"), STR(""), &f);
	assert_int_equal(f.code, 452);
	assert_true(str_eq(f.text, STR("Mailbox full")));
	relay_facts_read(STR("550 #5.1.0 Address rejected"), STR(""), &f);
	assert_int_equal(f.enhanced.cls, 5);
	relay_facts_read(STR("5.7.1 no"), STR(""), &f);
	assert_int_equal(f.code, 550);
	relay_facts_read(STR("450 5.1.1 odd"), STR(""), &f);
	assert_int_equal(f.enhanced.cls, 0);
	relay_facts_read(STR("over quota"), STR(""), &f);
	assert_int_equal(f.code, 0);
	assert_true(str_eq(f.text, STR("over quota")));
}

static void
words_without_a_code_are_still_understood(void **state)
{
	struct relay_verdict v = judge(RELAY_STAGE_UNKNOWN, "Relay access denied", "");

	(void)state;
	assert_int_equal(v.blame, RELAY_BLAME_RELAY);
	v = judge(RELAY_STAGE_UNKNOWN, "554 5.7.1 whatever", "");
	assert_int_not_equal(v.action, RELAY_ACTION_BOUNCE);
	/* Words said of our account and of the recipient's alike: more often it is the recipient's.
	 */
	v = judge(RELAY_STAGE_UNKNOWN, "550 5.2.1 mailbox disabled", "");
	assert_int_equal(v.blame, RELAY_BLAME_RECIPIENT);
}

static void
without_a_reply_nothing_bounces_that_could_have_gone(void **state)
{
	(void)state;
	for (unsigned t = 0; t < RELAY_TROUBLE_COUNT; t++) {
		struct relay_facts facts = { .trouble = (enum relay_trouble)t };
		struct relay_verdict v;
		relay_attribute(&facts, &v);
		assert_int_equal(v.action == RELAY_ACTION_BOUNCE,
		    t == RELAY_TROUBLE_NO_SMTPUTF8 || t == RELAY_TROUBLE_TOO_BIG);
		assert_true(v.cause[0] != '\0');
	}
	struct relay_facts cert = { .trouble = RELAY_TROUBLE_CERTIFICATE };
	struct relay_verdict v;
	relay_attribute(&cert, &v);
	assert_int_equal(v.action, RELAY_ACTION_PAUSE_RELAY);
}

/* Promise P3 over random codes, stages and words. */
static void
a_fault_of_relay_identity_or_capacity_never_bounces(void **state)
{
	static const char *const words[] = { "relay", "denied", "spam", "user", "unknown", "quota",
		"exceeded", "sender", "rejected", "MI:STC", "DT:SPM", "authentication", "failed",
		"blocked using", "rate limit", "mailbox full", "DMARC", "try again in 5 minutes" };
	struct prng r = prng_make(7);

	(void)state;
	for (int i = 0; i < 20000; i++) {
		char text[128];
		struct relay_verdict v;
		(void)snprintf(text, sizeof(text), "%s %s %s",
		    words[prng_below(&r, COUNT_OF(words))], words[prng_below(&r, COUNT_OF(words))],
		    words[prng_below(&r, COUNT_OF(words))]);
		struct relay_facts facts = {
			.stage = (enum relay_stage)prng_below(&r, RELAY_STAGE_COUNT),
			.code = (uint16_t)(400 + prng_below(&r, 200)),
			.text = str_from(text),
			.provider = prng_below(&r, 2) != 0 ? STR("163") : STR(""),
		};
		if (prng_below(&r, 2) != 0)
			facts.enhanced = SMTP_ENHANCED((uint16_t)(facts.code / 100),
			    (uint16_t)prng_below(&r, 8), (uint16_t)prng_below(&r, 30));
		relay_attribute(&facts, &v);
		if (v.action == RELAY_ACTION_BOUNCE) {
			assert_true(
			    v.blame == RELAY_BLAME_RECIPIENT || v.blame == RELAY_BLAME_CONTENT);
			assert_true(facts.code >= 500);
		}
		assert_true(v.wait_us >= 0 && v.wait_us <= DAYS(1));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    an_unknown_5xx_is_the_relays_at_mail_the_recipients_at_rcpt_the_contents_at_the_dot),
		cmocka_unit_test(nothing_bounces_on_a_4xx),
		cmocka_unit_test(a_refused_login_pauses_the_login),
		cmocka_unit_test(a_secret_that_worked_today_is_tried_once_more_after_a_minute),
		cmocka_unit_test(relaying_denied_is_the_relays_fault_at_every_stage),
		cmocka_unit_test(a_capacity_reply_slows_whatever_its_first_digit_says),
		cmocka_unit_test(the_wait_that_a_reply_names_goes_before_the_rules_own),
		cmocka_unit_test(a_wrong_sender_holds_the_sender),
		cmocka_unit_test(the_same_words_mean_another_thing_at_another_stage),
		cmocka_unit_test(tags_are_found_and_nothing_else_is_taken_for_one),
		cmocka_unit_test(a_pasted_reply_is_taken_apart),
		cmocka_unit_test(words_without_a_code_are_still_understood),
		cmocka_unit_test(without_a_reply_nothing_bounces_that_could_have_gone),
		cmocka_unit_test(a_fault_of_relay_identity_or_capacity_never_bounces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

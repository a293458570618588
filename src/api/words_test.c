#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/change.h"
#include "api/view.h"
#include "api/words.h"
#include "relay/attribute.h"

/* 2026-11-23T12:05:00Z. */
#define NOW (SECONDS(1795435500))

/* A recipient, its message, its last attempt and its relay, to be changed by each test. */
struct scene {
	struct store_message_row message;
	struct store_recipient_row rcpt;
	struct store_attempt_row last;
	struct relay_decision where;
	struct api_way way;
	struct api_words words;
	char said[2048];
};

static int
setup(void **state)
{
	static struct scene s;

	s = (struct scene){
		.rcpt = { .state = STORE_QUEUED, .due_us = TIME_NEVER },
		.last = { .facts = { .at_us = NOW - MINUTES(2),
			      .code = 250,
			      .enhanced = STR_INIT("2.0.0"),
			      .text = STR_INIT("Ok") } },
		.way = { .known = true,
		    .status = { .usable = true, .word = "ok", .why = "", .remedy = "" } },
	};
	s.words = (struct api_words){ .now_us = NOW,
		.id = STR("ID/1"),
		.message = &s.message,
		.rcpt = &s.rcpt,
		.where = &s.where,
		.relay = STR("main"),
		.last_relay = STR("main@1"),
		.way = &s.way };
	*state = &s;
	return 0;
}

static const char *
say(struct scene *s)
{
	struct buf b;

	buf_init(&b, sizeof(s->said) - 1);
	api_words_add(&b, &s->words);
	snprintf(s->said, sizeof(s->said), "%s", buf_cstr(&b));
	buf_done(&b);
	return s->said;
}

static void
mail_that_was_sent_says_when_through_whom_and_the_reply(void **state)
{
	struct scene *s = *state;

	s->rcpt.state = STORE_SENT;
	s->rcpt.done_us = NOW - MINUTES(2);
	s->words.last = &s->last;
	assert_string_equal(say(s), "Sent at 12:03 through main@1: 250 2.0.0 Ok");
}

static void
mail_behind_a_paused_relay_says_why_and_when_it_goes_on(void **state)
{
	struct scene *s = *state;

	s->way.status = (struct relay_status){ .word = "login refused",
		.why = "535 no",
		.remedy = "Set the secret anew.",
		.since_us = NOW - MINUTES(2),
		.until_us = NOW + MINUTES(3) };
	const char *said = say(s);
	assert_non_null(strstr(said, "relay main does not take our login since 12:03 (535 no)"));
	assert_non_null(strstr(said, "nothing is lost"));
	assert_non_null(strstr(said, "tried again at 12:08"));
	assert_non_null(strstr(said, "Set the secret anew."));
}

static void
mail_behind_a_relay_that_a_person_paused_names_the_command(void **state)
{
	struct scene *s = *state;

	s->way.status = (struct relay_status){
		.paused_by_hand = true, .word = "paused", .why = "", .remedy = ""
	};
	assert_non_null(strstr(say(s), "'posthouse relay resume main'"));
}

static void
mail_that_was_put_off_says_when_and_what_was_said(void **state)
{
	struct scene *s = *state;

	s->rcpt.attempts = 2;
	s->rcpt.due_us = NOW + DAYS(1);
	s->last.facts.code = 450;
	s->last.facts.enhanced = STR("4.2.1");
	s->last.facts.text = STR("later");
	s->words.last = &s->last;
	assert_string_equal(
	    say(s), "Waiting for try 3 at 2026-11-24 12:05; main@1 said at 12:03: 450 4.2.1 later");
}

static void
mail_without_a_route_gives_the_routes_reason(void **state)
{
	struct scene *s = *state;

	s->where.refusal = RELAY_REFUSAL_NO_ROUTE;
	snprintf(s->where.why, sizeof(s->where.why), "no route matches");
	assert_string_equal(say(s), "Waiting: no route matches; nothing is lost");
}

static void
doubt_says_what_settles_it(void **state)
{
	struct scene *s = *state;

	s->rcpt.state = STORE_IN_DOUBT;
	s->words.last = &s->last;
	assert_non_null(strstr(say(s), "'posthouse queue resolve ID/1 sent|again|unknown'"));
	s->rcpt.due_us = NOW + MINUTES(1);
	assert_non_null(strstr(say(s), "its policy repeats it at 12:06"));
}

static void
a_refusal_says_whose_fault_it_was(void **state)
{
	struct scene *s = *state;

	s->rcpt.state = STORE_BOUNCED;
	s->rcpt.done_us = NOW - MINUTES(2);
	s->last.facts.code = 550;
	s->last.facts.enhanced = STR("5.1.1");
	s->last.facts.text = STR("no such user");
	s->last.facts.attribution = RELAY_BLAME_RECIPIENT;
	s->words.last = &s->last;
	assert_string_equal(say(s),
	    "Refused for good at 12:03 because of the address: main@1 said at 12:03: "
	    "550 5.1.1 no such user");
}

static void
every_state_has_its_words(void **state)
{
	struct scene *s = *state;

	for (unsigned i = 0; i < STORE_STATE_COUNT; i++) {
		s->rcpt.state = (enum store_state)i;
		assert_true(strlen(say(s)) > 10);
	}
}

/* ---- selectors ---- */

static void
a_selector_is_words_that_must_all_hold(void **state)
{
	struct api_selector out;

	(void)state;
	assert_int_equal(
	    api_selector_parse(
		STR("from=@a.example to=b@c stream=bulk state=in-doubt relay=main tag=t account=x"),
		&out, NULL),
	    RC_OK);
	assert_true(
	    str_eq(out.filter.sender, STR("@a.example")) && str_eq(out.filter.address, STR("b@c")));
	assert_true(out.filter.by_lane && out.filter.lane == STREAM_BULK);
	assert_true(out.filter.by_state && out.filter.state == STORE_IN_DOUBT);
	assert_true(str_eq(out.relay, STR("main")) && str_eq(out.account, STR("x")));
	assert_int_equal(api_selector_parse(STR("all"), &out, NULL), RC_OK);
	assert_true(!out.filter.by_state && out.id.n == 0);
	assert_int_equal(
	    api_selector_parse(STR("01930000-0000-7000-8000-000000000000/2"), &out, NULL), RC_OK);
	assert_int_equal(out.id.n, 38);
}

static void
a_selector_that_is_none_is_refused(void **state)
{
	static const char *const rows[] = { "", "  ", "hello", "colour=red", "from=", "state=sent",
		"stream=x" };
	struct api_selector out;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct fault f = { 0 };
		assert_int_equal(api_selector_parse(str_from(rows[i]), &out, &f), RC_INVALID);
		assert_true(str_starts(str_from(f.text), STR("selector")));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
		    mail_that_was_sent_says_when_through_whom_and_the_reply, setup),
		cmocka_unit_test_setup(
		    mail_behind_a_paused_relay_says_why_and_when_it_goes_on, setup),
		cmocka_unit_test_setup(
		    mail_behind_a_relay_that_a_person_paused_names_the_command, setup),
		cmocka_unit_test_setup(mail_that_was_put_off_says_when_and_what_was_said, setup),
		cmocka_unit_test_setup(mail_without_a_route_gives_the_routes_reason, setup),
		cmocka_unit_test_setup(doubt_says_what_settles_it, setup),
		cmocka_unit_test_setup(a_refusal_says_whose_fault_it_was, setup),
		cmocka_unit_test_setup(every_state_has_its_words, setup),
		cmocka_unit_test(a_selector_is_words_that_must_all_hold),
		cmocka_unit_test(a_selector_that_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

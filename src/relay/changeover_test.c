#include "relay/changeover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/prng.h"
#include "codec/json.h"
#include "codec/json_writer.h"

#define T0 (DAYS(20000))

/* A changeover, a clock, and what it came to. */
struct trial {
	struct relay_changeover *c;
	int64_t now;
	struct prng prng;
	bool reread; /* written and read again after every step */
};

static void
init(struct trial *t, const char *schedule)
{
	struct relay_changeover_opts o = { .id = 7, .now_us = T0 };
	struct fault f = { 0 };

	assert_int_equal(relay_schedule_named(str_from(schedule), 1000000, &o.schedule, &f), RC_OK);
	relay_changeover_rules_default(&o.rules);
	*t = (struct trial){ .c = relay_changeover_new(&o), .now = T0, .prng = prng_make(1) };
}

static void
end(struct trial *t)
{
	relay_changeover_audit(t->c);
	relay_changeover_free(&t->c);
}

static struct str
written(const struct relay_changeover *c, struct buf *b)
{
	struct json_writer w;

	buf_clear(b);
	json_writer_init(&w, b);
	relay_changeover_write(c, &w);
	json_writer_done(&w);
	return buf_str(b);
}

static void
reread(struct trial *t)
{
	AUTO(buf_done) struct buf a = { 0 }, b = { 0 };
	AUTO(json_free) struct json *doc = NULL;
	struct relay_changeover *again = NULL;
	struct fault f = { 0 };

	buf_init(&a, 1 << 20);
	buf_init(&b, 1 << 20);
	assert_int_equal(json_parse(written(t->c, &a), 1 << 20, &doc, &f), RC_OK);
	if (relay_changeover_read(doc, &again, &f) != RC_OK)
		fail_msg("%s", f.text);
	assert_true(str_eq(written(again, &b), buf_str(&a)));
	relay_changeover_free(&t->c);
	t->c = again;
}

static enum relay_changeover_state
state(const struct trial *t)
{
	return relay_changeover_state(t->c);
}

static void
tell(struct trial *t, enum relay_evidence_kind kind, enum relay_blame blame)
{
	struct relay_evidence e = { .side = RELAY_NEW,
		.kind = kind,
		.blame = blame,
		.stage = RELAY_STAGE_DOT,
		.code = kind == RELAY_EVIDENCE_SENT ? 250 : 550,
		.rgroup = (enum relay_rgroup)(prng_next(&t->prng) % RELAY_RGROUP_COUNT),
		.domain_hash = prng_next(&t->prng),
		.latency_us = MS(20),
		.text = "550 no" };

	t->now += MS(500);
	relay_changeover_tell(t->c, &e, t->now);
	relay_changeover_audit(t->c);
	if (t->reread)
		reread(t);
}

static void
sent(struct trial *t)
{
	tell(t, RELAY_EVIDENCE_SENT, RELAY_BLAME_UNKNOWN);
}

static void
refused(struct trial *t)
{
	tell(t, RELAY_EVIDENCE_REFUSED, RELAY_BLAME_RELAY);
}

static void
to_canary(struct trial *t)
{
	uint64_t since;

	assert_int_equal(relay_changeover_wants(t->c, &since), RELAY_WANT_PREFLIGHT);
	assert_int_equal(relay_changeover_share(t->c), 0);
	relay_changeover_checked(t->c, RELAY_ANSWER_PASSED, STR("all well"), t->now);
	assert_int_equal(state(t), RELAY_CHANGEOVER_CANARY);
	assert_true(relay_changeover_share(t->c) > 0);
}

static void
to_full(struct trial *t)
{
	to_canary(t);
	for (int i = 0; i < 1000 && state(t) == RELAY_CHANGEOVER_CANARY; i++)
		sent(t);
	assert_int_equal(state(t), RELAY_CHANGEOVER_FULL);
	assert_int_equal(relay_changeover_share(t->c), 1000);
}

static void
a_good_server_is_confirmed_by_evidence(void **st)
{
	struct trial t;
	struct relay_changeover_view v;

	(void)st;
	init(&t, "fast");
	to_full(&t);
	relay_changeover_view(t.c, &v);
	assert_int_equal(v.counts[RELAY_NEW].sent, 10 + 36 + 73);
	for (int i = 0; i < 29; i++)
		sent(&t);
	assert_int_equal(state(&t), RELAY_CHANGEOVER_FULL);
	sent(&t);
	assert_int_equal(state(&t), RELAY_CHANGEOVER_CONFIRMED);
	assert_false(relay_changeover_has_way_back(t.c));
	end(&t);
}

static void
silence_proves_nothing(void **st)
{
	struct trial t;

	(void)st;
	init(&t, "normal");
	to_canary(&t);
	for (int i = 0; i < 10; i++)
		sent(&t);
	for (int i = 0; i < 36; i++)
		sent(&t);
	/* Ten minutes with evidence are asked for; 18 s were seen. */
	t.now += HOURS(20);
	relay_changeover_tick(t.c, t.now);
	struct relay_changeover_view v;
	relay_changeover_view(t.c, &v);
	assert_int_equal(v.step, 1);
	sent(&t); /* vouches for five minutes at most */
	relay_changeover_view(t.c, &v);
	assert_int_equal(v.step, 1);
	assert_true(v.green_us < MINUTES(6));
	t.now += DAYS(4);
	relay_changeover_tick(t.c, t.now);
	assert_int_equal(state(&t), RELAY_CHANGEOVER_HELD);
	end(&t);
}

static void
an_outage_is_found_within_five_messages_and_taken_back(void **st)
{
	static const char *const schedules[] = { "small", "normal", "fast" };

	(void)st;
	for (size_t s = 0; s < COUNT_OF(schedules); s++) {
		struct trial t;
		int n = 0;
		uint64_t since;
		init(&t, schedules[s]);
		to_canary(&t);
		while (state(&t) == RELAY_CHANGEOVER_CANARY && n < 10) {
			refused(&t);
			n++;
		}
		assert_true(n <= 5);
		assert_int_equal(state(&t), RELAY_CHANGEOVER_SUSPECT);
		assert_int_equal(relay_changeover_share(t.c), 0);
		assert_int_equal(relay_changeover_wants(t.c, &since), RELAY_WANT_CONTROL);
		relay_changeover_controlled(t.c, RELAY_ANSWER_PASSED, STR("it answers"), t.now);
		assert_int_equal(state(&t), RELAY_CHANGEOVER_REVERTED);
		end(&t);
	}
}

static void
an_outage_of_our_own_reverts_nothing(void **st)
{
	struct trial t;
	uint64_t since;
	struct relay_changeover_view v;

	(void)st;
	init(&t, "normal");
	to_canary(&t);
	for (int i = 0; i < 3; i++)
		tell(&t, RELAY_EVIDENCE_CONNECT, RELAY_BLAME_RELAY);
	assert_int_equal(state(&t), RELAY_CHANGEOVER_SUSPECT);
	relay_changeover_controlled(t.c, RELAY_ANSWER_FAILED, STR("no route to host"), t.now);
	assert_int_equal(state(&t), RELAY_CHANGEOVER_HELD);
	assert_true(relay_changeover_share(t.c) > 0);
	assert_int_equal(relay_changeover_wants(t.c, &since), RELAY_WANT_NOTHING);
	for (int i = 0; i < 10; i++) {
		tell(&t, RELAY_EVIDENCE_CONNECT, RELAY_BLAME_RELAY);
		t.now += SECONDS(30);
		relay_changeover_tick(t.c, t.now);
		assert_int_equal(relay_changeover_wants(t.c, &since), RELAY_WANT_CONTROL);
		relay_changeover_controlled(t.c, RELAY_ANSWER_FAILED, STR("no route"), t.now);
		assert_int_equal(state(&t), RELAY_CHANGEOVER_HELD);
	}
	t.now += SECONDS(30);
	relay_changeover_tick(t.c, t.now);
	relay_changeover_controlled(t.c, RELAY_ANSWER_PASSED, STR("it answers"), t.now);
	assert_int_equal(state(&t), RELAY_CHANGEOVER_CANARY);
	relay_changeover_view(t.c, &v);
	assert_int_equal(v.step, 0);
	end(&t);
}

static void
a_hard_stop_needs_no_statistics(void **st)
{
	struct trial t;
	struct relay_evidence e = { .side = RELAY_NEW,
		.kind = RELAY_EVIDENCE_CONNECT,
		.blame = RELAY_BLAME_RELAY,
		.stage = RELAY_STAGE_AUTH,
		.stop = RELAY_STOP_LOGIN,
		.code = 535,
		.text = "535 5.7.8 wrong" };
	struct relay_changeover_view v;

	(void)st;
	init(&t, "fast");
	to_canary(&t);
	for (int i = 0; i < 5; i++)
		sent(&t);
	relay_changeover_tell(t.c, &e, t.now);
	assert_int_equal(state(&t), RELAY_CHANGEOVER_SUSPECT);
	relay_changeover_view(t.c, &v);
	assert_non_null(strstr(v.reason, "login"));
	assert_non_null(strstr(v.reason, "535"));
	end(&t);
}

static void
what_recipients_are_to_blame_for_says_nothing(void **st)
{
	struct trial t;

	(void)st;
	init(&t, "fast");
	to_canary(&t);
	for (int i = 0; i < 100; i++)
		tell(&t, RELAY_EVIDENCE_REFUSED, RELAY_BLAME_RECIPIENT);
	assert_int_equal(state(&t), RELAY_CHANGEOVER_CANARY);
	end(&t);
}

static void
one_dead_domain_does_not_stop_it(void **st)
{
	struct trial t;
	struct relay_evidence e = { .side = RELAY_NEW,
		.kind = RELAY_EVIDENCE_REFUSED,
		.blame = RELAY_BLAME_RELAY,
		.stage = RELAY_STAGE_RCPT,
		.code = 550,
		.rgroup = RELAY_RGROUP_OTHER,
		.domain_hash = 42 };

	(void)st;
	init(&t, "fast");
	to_canary(&t);
	for (int i = 0; i < 50; i++) {
		t.now += MS(100);
		relay_changeover_tell(t.c, &e, t.now);
	}
	assert_int_equal(state(&t), RELAY_CHANGEOVER_CANARY);
	end(&t);
}

static void
a_group_that_alone_fails_goes_back_alone(void **st)
{
	struct trial t;
	struct relay_changeover_view v;

	(void)st;
	init(&t, "normal");
	to_canary(&t);
	for (int i = 0; i < 400 && state(&t) == RELAY_CHANGEOVER_CANARY; i++) {
		struct relay_evidence e = { .side = RELAY_NEW,
			.kind = i % 3 != 0 ? RELAY_EVIDENCE_SENT : RELAY_EVIDENCE_REFUSED,
			.blame = RELAY_BLAME_RELAY,
			.stage = RELAY_STAGE_DOT,
			.code = 550,
			.rgroup = i % 3 != 0 ? RELAY_RGROUP_OTHER : RELAY_RGROUP_QQ,
			.domain_hash = (uint64_t)i,
			.latency_us = MS(5) };
		if (!relay_changeover_may_take(t.c, e.rgroup, TIME_NEVER, t.now))
			continue;
		t.now += SECONDS(1);
		relay_changeover_tell(t.c, &e, t.now);
		relay_changeover_view(t.c, &v);
		if (v.is_excluded[RELAY_RGROUP_QQ])
			break;
	}
	relay_changeover_view(t.c, &v);
	assert_true(v.is_excluded[RELAY_RGROUP_QQ] || state(&t) == RELAY_CHANGEOVER_SUSPECT);
	if (v.is_excluded[RELAY_RGROUP_QQ]) {
		assert_false(relay_changeover_may_take(t.c, RELAY_RGROUP_QQ, TIME_NEVER, t.now));
		assert_true(relay_changeover_may_take(t.c, RELAY_RGROUP_GMAIL, TIME_NEVER, t.now));
	}
	end(&t);
}

static void
doubts_beyond_their_bound_are_evidence(void **st)
{
	struct trial t;

	(void)st;
	init(&t, "normal");
	to_canary(&t);
	sent(&t);
	tell(&t, RELAY_EVIDENCE_DOUBT, RELAY_BLAME_UNKNOWN);
	assert_int_equal(state(&t), RELAY_CHANGEOVER_CANARY);
	tell(&t, RELAY_EVIDENCE_DOUBT, RELAY_BLAME_UNKNOWN);
	assert_int_equal(state(&t), RELAY_CHANGEOVER_SUSPECT);
	end(&t);
}

static void
a_spent_limit_holds_it(void **st)
{
	struct trial t;

	(void)st;
	init(&t, "fast");
	to_canary(&t);
	relay_changeover_short(t.c, t.now + MINUTES(5), t.now);
	assert_int_equal(state(&t), RELAY_CHANGEOVER_CANARY);
	relay_changeover_short(t.c, t.now + HOURS(5), t.now);
	assert_int_equal(state(&t), RELAY_CHANGEOVER_HELD);
	for (int i = 0; i < 100; i++)
		sent(&t);
	assert_int_equal(state(&t), RELAY_CHANGEOVER_HELD);
	struct fault f = { 0 };
	assert_int_equal(relay_changeover_resume(t.c, t.now, &f), RC_OK);
	assert_int_equal(state(&t), RELAY_CHANGEOVER_CANARY);
	end(&t);
}

static void
a_preflight_that_fails_moves_nothing(void **st)
{
	struct trial t;

	(void)st;
	init(&t, "fast");
	relay_changeover_checked(t.c, RELAY_ANSWER_FAILED, STR("tls: certificate expired"), t.now);
	assert_int_equal(state(&t), RELAY_CHANGEOVER_REFUSED);
	assert_int_equal(relay_changeover_share(t.c), 0);
	end(&t);
}

static void
a_person_decides(void **st)
{
	struct trial t;
	struct fault f = { 0 };

	(void)st;
	init(&t, "fast");
	assert_int_equal(relay_changeover_confirm(t.c, t.now, &f), RC_INVALID);
	to_full(&t);
	assert_int_equal(relay_changeover_hold(t.c, STR("lunch"), t.now, &f), RC_OK);
	assert_int_equal(relay_changeover_share(t.c), 1000);
	assert_int_equal(relay_changeover_revert(t.c, false, STR("no"), t.now, &f), RC_OK);
	assert_int_equal(state(&t), RELAY_CHANGEOVER_SUSPECT);
	relay_changeover_controlled(t.c, RELAY_ANSWER_PASSED, STR("well"), t.now);
	assert_int_equal(state(&t), RELAY_CHANGEOVER_REVERTED);
	struct relay_evidence e = { .side = RELAY_OLD, .kind = RELAY_EVIDENCE_SENT };
	struct relay_changeover_view v;
	relay_changeover_tell(t.c, &e, t.now);
	relay_changeover_view(t.c, &v);
	assert_true(v.old_proven);
	assert_int_equal(relay_changeover_confirm(t.c, t.now, &f), RC_INVALID);
	end(&t);
}

static void
warming_up_doubles_daily_caps_and_ends_in_all(void **st)
{
	struct relay_changeover_opts o = {
		.id = 7, .kind = RELAY_CHANGEOVER_WARM_UP, .now_us = T0
	};
	struct trial t = { .now = T0, .prng = prng_make(1) };
	struct fault f = { 0 };

	(void)st;
	assert_int_equal(relay_schedule_named(STR("normal"), 10000, &o.schedule, &f), RC_OK);
	relay_changeover_rules_default(&o.rules);
	o.usual[RELAY_RGROUP_QQ] = 10000;
	t.c = relay_changeover_new(&o);
	to_canary(&t);
	uint64_t took[30] = { 0 };
	int day = 0;
	for (; day < 30 && state(&t) == RELAY_CHANGEOVER_CANARY; day++) {
		while (relay_changeover_may_take(t.c, RELAY_RGROUP_QQ, TIME_NEVER, t.now)) {
			struct relay_evidence e = { .side = RELAY_NEW,
				.kind = RELAY_EVIDENCE_SENT,
				.rgroup = RELAY_RGROUP_QQ };
			relay_changeover_tell(t.c, &e, t.now);
			took[day]++;
		}
		t.now += DAYS(1);
		relay_changeover_tick(t.c, t.now);
	}
	assert_int_equal(state(&t), RELAY_CHANGEOVER_FULL);
	assert_int_equal(took[0], 500);
	assert_int_equal(took[2], 1000);
	assert_int_equal(took[4], 2000);
	assert_true(day >= 8 && day <= 12);
	end(&t);
}

/* ---- rates ---- */

/* Runs one changeover whose new version fails with chance p; true when it was confirmed. */
static bool
run(struct trial *t, const char *schedule, double p, uint64_t seed)
{
	init(t, schedule);
	t->prng = prng_make(seed);
	relay_changeover_checked(t->c, RELAY_ANSWER_PASSED, STR("well"), t->now);
	for (int i = 0; i < 20000; i++) {
		enum relay_changeover_state s = state(t);
		if (s != RELAY_CHANGEOVER_CANARY && s != RELAY_CHANGEOVER_FULL)
			break;
		t->now += SECONDS(20);
		if ((double)(prng_next(&t->prng) >> 11) / 9007199254740992.0 < p)
			refused(t);
		else
			sent(t);
	}
	bool confirmed = state(t) == RELAY_CHANGEOVER_CONFIRMED;
	end(t);
	return confirmed;
}

static void
a_server_as_good_as_borne_with_is_rarely_reverted(void **st)
{
	struct trial t;
	int reverted = 0;

	(void)st;
	for (uint64_t seed = 1; seed <= 3000; seed++)
		reverted += !run(&t, "normal", 0.01, seed);
	assert_true(reverted <= 30);
}

static void
a_server_that_fails_a_fifth_is_never_confirmed(void **st)
{
	static const char *const schedules[] = { "small", "normal", "fast" };
	struct trial t;

	(void)st;
	for (size_t s = 0; s < COUNT_OF(schedules); s++) {
		int confirmed = 0;
		for (uint64_t seed = 1; seed <= 10000; seed++)
			confirmed += run(&t, schedules[s], 0.2, seed);
		assert_true(confirmed <= 1);
	}
}

static void
a_restart_at_any_point_changes_nothing(void **st)
{
	(void)st;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct trial a, b;
		AUTO(buf_done) struct buf x = { 0 }, y = { 0 };
		buf_init(&x, 1 << 20);
		buf_init(&y, 1 << 20);
		init(&a, "fast");
		init(&b, "fast");
		a.prng = b.prng = prng_make(seed);
		b.reread = true;
		relay_changeover_checked(a.c, RELAY_ANSWER_PASSED, STR("well"), a.now);
		relay_changeover_checked(b.c, RELAY_ANSWER_PASSED, STR("well"), b.now);
		for (int i = 0; i < 200; i++) {
			bool bad = prng_next(&a.prng) % 100 < 2;
			(void)prng_next(&b.prng);
			(bad ? refused : sent)(&a);
			(bad ? refused : sent)(&b);
			assert_true(str_eq(written(a.c, &x), written(b.c, &y)));
		}
		end(&a);
		end(&b);
	}
}

static void
whatever_happens_its_facts_hold(void **st)
{
	(void)st;
	for (uint64_t seed = 1; seed <= 2000; seed++) {
		struct trial t;
		struct prng r = prng_make(seed);
		struct fault f = { 0 };
		init(&t, seed % 2 != 0 ? "fast" : "small");
		for (int i = 0; i < 150; i++) {
			t.now += (int64_t)(prng_next(&r) % HOURS(2)) - MINUTES(2);
			switch (prng_next(&r) % 12) {
			case 0: (void)relay_changeover_hold(t.c, STR("x"), t.now, &f); break;
			case 1: (void)relay_changeover_resume(t.c, t.now, &f); break;
			case 2: (void)relay_changeover_confirm(t.c, t.now, &f); break;
			case 3:
				if (prng_next(&r) % 8 == 0)
					(void)relay_changeover_revert(
					    t.c, prng_next(&r) % 2, STR("x"), t.now, &f);
				break;
			case 4:
				relay_changeover_checked(
				    t.c, (enum relay_answer)(prng_next(&r) % 4), STR("x"), t.now);
				break;
			case 5:
				relay_changeover_controlled(
				    t.c, (enum relay_answer)(prng_next(&r) % 4), STR("x"), t.now);
				break;
			case 6: relay_changeover_tick(t.c, t.now); break;
			case 7:
				relay_changeover_short(
				    t.c, t.now + (int64_t)(prng_next(&r) % HOURS(1)), t.now);
				break;
			case 8:
				tell(&t, (enum relay_evidence_kind)(prng_next(&r) % 7),
				    (enum relay_blame)(prng_next(&r) % 6));
				break;
			default: sent(&t); break;
			}
			relay_changeover_audit(t.c);
		}
		end(&t);
	}
}

static void
a_schedule_of_ones_own_is_read(void **st)
{
	struct relay_schedule s;
	struct fault f = { 0 };

	(void)st;
	assert_int_equal(
	    relay_schedule_parse(STR("# careful\n1% 10 0 1\n10% 36 15\n\nfull 120 50\n"), &s, &f),
	    RC_OK);
	assert_int_equal(s.n_steps, 2);
	assert_int_equal(s.steps[0].share, 10);
	assert_int_equal(s.steps[0].at_once, 1);
	assert_int_equal(s.steps[1].clean, 36);
	assert_true(s.steps[1].least_us == MINUTES(15));
	assert_true(s.full_us == MINUTES(120));
	assert_int_equal(s.full_clean, 50);
	assert_int_equal(relay_schedule_parse(STR("full 60"), &s, &f), RC_INVALID);
	assert_int_equal(relay_schedule_parse(STR("10% 36"), &s, &f), RC_INVALID);
	assert_int_equal(relay_schedule_parse(STR("0% 36\nfull 1"), &s, &f), RC_INVALID);
	assert_int_equal(relay_schedule_parse(STR("101% 36\nfull 1"), &s, &f), RC_INVALID);
	f = (struct fault){ 0 };
	assert_int_equal(relay_schedule_named(STR("quick"), 1, &s, &f), RC_INVALID);
	assert_non_null(strstr(f.text, "fast"));
}

static void
an_estimate_follows_the_volume(void **st)
{
	struct relay_schedule s;
	struct relay_schedule_time little, much;
	struct fault f = { 0 };

	(void)st;
	assert_int_equal(relay_schedule_named(STR("auto"), 100, &s, &f), RC_OK);
	assert_string_equal(s.name, "small");
	relay_schedule_estimate(&s, 100, &little);
	assert_true(little.until_confirmed_us < DAYS(2));
	assert_int_equal(relay_schedule_named(STR("auto"), 1000000, &s, &f), RC_OK);
	assert_string_equal(s.name, "normal");
	relay_schedule_estimate(&s, 1000000, &much);
	assert_true(much.until_full_us >= MINUTES(50) && much.until_full_us < MINUTES(60));
	relay_schedule_estimate(&s, 0, &little);
	assert_true(little.until_full_us == TIME_NEVER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_server_is_confirmed_by_evidence),
		cmocka_unit_test(silence_proves_nothing),
		cmocka_unit_test(an_outage_is_found_within_five_messages_and_taken_back),
		cmocka_unit_test(an_outage_of_our_own_reverts_nothing),
		cmocka_unit_test(a_hard_stop_needs_no_statistics),
		cmocka_unit_test(what_recipients_are_to_blame_for_says_nothing),
		cmocka_unit_test(one_dead_domain_does_not_stop_it),
		cmocka_unit_test(a_group_that_alone_fails_goes_back_alone),
		cmocka_unit_test(doubts_beyond_their_bound_are_evidence),
		cmocka_unit_test(a_spent_limit_holds_it),
		cmocka_unit_test(a_preflight_that_fails_moves_nothing),
		cmocka_unit_test(a_person_decides),
		cmocka_unit_test(warming_up_doubles_daily_caps_and_ends_in_all),
		cmocka_unit_test(a_server_as_good_as_borne_with_is_rarely_reverted),
		cmocka_unit_test(a_server_that_fails_a_fifth_is_never_confirmed),
		cmocka_unit_test(a_restart_at_any_point_changes_nothing),
		cmocka_unit_test(whatever_happens_its_facts_hold),
		cmocka_unit_test(a_schedule_of_ones_own_is_read),
		cmocka_unit_test(an_estimate_follows_the_volume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/prng.h"
#include "relay/desk.h"

/* Noon of some day. */
#define NOW (DAYS(20000) + HOURS(12))

#define T   STREAM_TRANSACTIONAL
#define B   STREAM_BULK

static const struct version_id v1 = { 10 }, v2 = { 20 };
static int64_t wait_until;

/* Two relays on logins of their own, unless `shared`; `first` may change the first one's row. */
static struct relay_desk *
new_desk(void (*first)(struct relay_version_row *), bool shared)
{
	struct relay_version_row versions[2] = { 0 };
	struct relay_row relays[2] = { 0 };
	const struct relay_route_row routes[1] = {
		{ .id = { 1 }, .relay = { 1 }, .is_default = true },
	};

	for (uint64_t i = 0; i < 2; i++) {
		relays[i] = (struct relay_row){ .id = { i + 1 },
			.name = i == 0 ? STR("one") : STR("two"),
			.current = { 10 * (i + 1) } };
		versions[i] = (struct relay_version_row){ .id = { 10 * (i + 1) },
			.relay = { i + 1 },
			.number = 1,
			.host = STR("smtp.example.com"),
			.port = 465,
			.user = i == 0 || shared ? STR("me") : STR("you"),
			.max_connections = 16 };
	}
	if (first != NULL)
		first(&versions[0]);
	const struct relay_book_rows rows = { .relays = relays,
		.relay_count = 2,
		.versions = versions,
		.version_count = 2,
		.routes = routes,
		.route_count = 1 };
	AUTO(relay_book_unref) struct relay_book *book = NULL;
	assert_int_equal(relay_book_new(&rows, &book, NULL), RC_OK);
	struct relay_desk *desk = relay_desk_new(5, 0);
	relay_desk_set_book(desk, book, NOW);
	return desk;
}

/* Drains the news; whether one of `kind` about `version` was among it. */
static bool
heard(struct relay_desk *desk, enum relay_news_kind kind, struct version_id version)
{
	struct relay_news news;
	bool found = false;

	while (relay_desk_next_news(desk, &news))
		found |= news.kind == kind && ID_EQ(news.version, version);
	relay_desk_audit(desk);
	return found;
}

static struct relay_verdict
verdict(enum relay_stage stage, const char *reply)
{
	struct relay_facts facts;
	struct relay_verdict v;

	relay_facts_read(str_from(reply), STR(""), &facts);
	facts.stage = stage;
	relay_attribute(&facts, &v);
	return v;
}

static struct relay_verdict
trouble(enum relay_trouble t)
{
	const struct relay_facts facts = { .trouble = t };
	struct relay_verdict v;

	relay_attribute(&facts, &v);
	return v;
}

static void
connect_ok(struct relay_desk *desk, struct version_id v, int64_t now)
{
	relay_desk_connecting(desk, v, now);
	relay_desk_connected(desk, v, now);
}

static void
connect_bad(struct relay_desk *desk, struct version_id v, struct relay_verdict why, int64_t now)
{
	relay_desk_connecting(desk, v, now);
	relay_desk_connect_failed(desk, v, &why, now);
}

static void
send_ok(struct relay_desk *desk, struct version_id v, int64_t now)
{
	relay_desk_began(desk, v, T, now);
	relay_desk_ended(desk, v, T, 1, MS(20), now);
}

static void
send_bad(struct relay_desk *desk, struct version_id v, const char *sender, struct relay_verdict why,
    int64_t now)
{
	relay_desk_began(desk, v, T, now);
	relay_desk_refused(desk, v, str_from(sender), &why, now);
	relay_desk_ended(desk, v, T, 0, 0, now);
}

static void
a_new_version_is_usable_and_says_so(void **state)
{
	struct relay_desk *desk = new_desk(NULL, false);

	(void)state;
	assert_true(heard(desk, RELAY_NEWS_USABLE, v1));
	assert_true(relay_desk_is_usable(desk, v1));
	assert_false(relay_desk_is_usable(desk, (struct version_id){ 99 }));
	assert_false(relay_desk_may_send(desk, (struct version_id){ 99 }, T, NOW, &wait_until));
	relay_desk_free(&desk);
}

static void
three_failed_connects_open_the_breaker_and_a_trial_closes_it(void **state)
{
	struct relay_desk *desk = new_desk(NULL, false);
	struct relay_status s;

	(void)state;
	for (int i = 0; i < 2; i++)
		connect_bad(desk, v1, trouble(RELAY_TROUBLE_CONNECT), NOW);
	assert_true(relay_desk_is_usable(desk, v1));
	connect_bad(desk, v1, trouble(RELAY_TROUBLE_CONNECT), NOW);
	assert_false(relay_desk_is_usable(desk, v1));
	assert_true(heard(desk, RELAY_NEWS_RELAY_PAUSED, v1));
	assert_true(relay_desk_status(desk, v1, NOW, &s));
	assert_string_equal(s.word, "failing");
	assert_true(s.why[0] != '\0' && s.remedy[0] != '\0');
	assert_int_equal(s.since_us, NOW);

	int64_t at = relay_desk_next_event_us(desk);
	assert_in_range((uint64_t)at, (uint64_t)(NOW + SECONDS(4)), (uint64_t)(NOW + SECONDS(6)));
	assert_false(relay_desk_may_connect(desk, v1, T, NOW, &wait_until));
	assert_int_equal(wait_until, at);
	relay_desk_tick(desk, at);
	assert_true(heard(desk, RELAY_NEWS_USABLE, v1));

	/* One connection at a time, as a trial. */
	assert_true(relay_desk_may_connect(desk, v1, T, at, &wait_until));
	relay_desk_connecting(desk, v1, at);
	assert_false(relay_desk_may_connect(desk, v1, T, at, &wait_until));
	relay_desk_connected(desk, v1, at);
	assert_true(heard(desk, RELAY_NEWS_RELAY_RESUMED, v1));
	assert_true(relay_desk_may_connect(desk, v1, T, at, &wait_until));
	relay_desk_free(&desk);
}

static void
a_failed_trial_rests_longer(void **state)
{
	struct relay_desk *desk = new_desk(NULL, false);
	int64_t at = NOW, rest = 0;

	(void)state;
	for (int i = 0; i < 3; i++)
		connect_bad(desk, v1, trouble(RELAY_TROUBLE_TIMEOUT), at);
	for (int i = 0; i < 10; i++) {
		int64_t next = relay_desk_next_event_us(desk);
		assert_true(next - at > rest || next - at > MINUTES(4));
		rest = next - at;
		at = next;
		relay_desk_tick(desk, at);
		connect_bad(desk, v1, trouble(RELAY_TROUBLE_TIMEOUT), at);
		assert_false(relay_desk_is_usable(desk, v1));
	}
	assert_true(rest <= MINUTES(6));
	relay_desk_free(&desk);
}

static void
a_connection_in_between_clears_the_count(void **state)
{
	struct relay_desk *desk = new_desk(NULL, false);

	(void)state;
	for (int i = 0; i < 10; i++) {
		connect_bad(desk, v1, trouble(RELAY_TROUBLE_CONNECT), NOW);
		connect_bad(desk, v1, trouble(RELAY_TROUBLE_CONNECT), NOW);
		connect_ok(desk, v1, NOW);
	}
	assert_true(relay_desk_is_usable(desk, v1));
	relay_desk_free(&desk);
}

static void
hard_faults_open_at_once_and_other_relays_stay(void **state)
{
	const struct relay_verdict hard[] = {
		verdict(RELAY_STAGE_RCPT, "554 5.7.1 <a@b.org>: Relay access denied"),
		verdict(RELAY_STAGE_MAIL,
		    "554 5.7.1 Service unavailable; Client host blocked using zen.spamhaus.org"),
		trouble(RELAY_TROUBLE_CERTIFICATE),
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(hard); i++) {
		struct relay_desk *desk = new_desk(NULL, true);
		connect_ok(desk, v1, NOW);
		send_bad(desk, v1, "a@b.org", hard[i], NOW);
		assert_false(relay_desk_is_usable(desk, v1));
		assert_true(relay_desk_is_usable(desk, v2));
		assert_true(heard(desk, RELAY_NEWS_RELAY_PAUSED, v1));
		relay_desk_free(&desk);
	}
}

static void
after_a_fault_of_mail_only_mail_shows_that_it_is_well(void **state)
{
	struct relay_desk *desk = new_desk(NULL, false);

	(void)state;
	connect_ok(desk, v1, NOW);
	send_bad(desk, v1, "a@b.org", verdict(RELAY_STAGE_RCPT, "550 relay not permitted"), NOW);
	relay_desk_closed(desk, v1, NULL, NOW);
	int64_t at = relay_desk_next_event_us(desk);
	assert_true(at >= NOW + SECONDS(54));
	relay_desk_tick(desk, at);
	connect_ok(desk, v1, at);
	assert_false(heard(desk, RELAY_NEWS_RELAY_RESUMED, v1));
	assert_true(relay_desk_may_send(desk, v1, T, at, &wait_until));
	relay_desk_began(desk, v1, T, at);
	assert_false(relay_desk_may_send(desk, v1, T, at, &wait_until));
	relay_desk_ended(desk, v1, T, 1, MS(5), at);
	assert_true(heard(desk, RELAY_NEWS_RELAY_RESUMED, v1));
	relay_desk_free(&desk);
}

static void
a_trial_with_an_unknown_recipient_shows_that_the_relay_works(void **state)
{
	struct relay_desk *desk = new_desk(NULL, false);

	(void)state;
	connect_ok(desk, v1, NOW);
	send_bad(desk, v1, "a@b.org", verdict(RELAY_STAGE_RCPT, "550 relay not permitted"), NOW);
	int64_t at = relay_desk_next_event_us(desk);
	relay_desk_tick(desk, at);
	send_bad(desk, v1, "a@b.org", verdict(RELAY_STAGE_RCPT, "550 5.1.1 User unknown"), at);
	assert_true(heard(desk, RELAY_NEWS_RELAY_RESUMED, v1));
	relay_desk_free(&desk);
}

static void
a_refused_secret_pauses_the_login_until_somebody_acts(void **state)
{
	struct relay_desk *desk = new_desk(NULL, false);
	struct relay_status s;

	(void)state;
	assert_false(relay_desk_worked_today(desk, v1, NOW));
	connect_bad(desk, v1, verdict(RELAY_STAGE_AUTH, "535 5.7.8 authentication failed"), NOW);
	assert_true(heard(desk, RELAY_NEWS_LOGIN_PAUSED, v1));
	assert_false(relay_desk_is_usable(desk, v1));
	assert_false(relay_desk_may_connect(desk, v1, T, NOW, &wait_until));
	assert_int_equal(wait_until, TIME_NEVER);
	assert_int_equal(relay_desk_next_event_us(desk), TIME_NEVER);
	assert_true(relay_desk_status(desk, v1, NOW, &s));
	assert_string_equal(s.word, "login refused");
	assert_int_equal(s.until_us, TIME_NEVER);
	relay_desk_resume(desk, v1, NOW);
	assert_true(heard(desk, RELAY_NEWS_LOGIN_RESUMED, v1));
	assert_true(relay_desk_is_usable(desk, v1));
	relay_desk_free(&desk);
}

static void
a_secret_that_worked_today_gets_one_more_try_after_a_minute(void **state)
{
	struct relay_desk *desk = new_desk(NULL, false);
	struct relay_facts facts = { .stage = RELAY_STAGE_AUTH, .code = 535 };
	struct relay_verdict v;

	(void)state;
	connect_ok(desk, v1, NOW);
	relay_desk_closed(desk, v1, NULL, NOW);
	facts.worked_today = relay_desk_worked_today(desk, v1, NOW);
	assert_true(facts.worked_today);
	relay_attribute(&facts, &v);
	connect_bad(desk, v1, v, NOW);
	assert_false(relay_desk_is_usable(desk, v1));
	int64_t at = relay_desk_next_event_us(desk);
	assert_int_equal(at, NOW + SECONDS(60));
	relay_desk_tick(desk, at);
	assert_true(relay_desk_is_usable(desk, v1));
	facts.worked_today = relay_desk_worked_today(desk, v1, at);
	assert_false(facts.worked_today);
	relay_attribute(&facts, &v);
	connect_bad(desk, v1, v, at);
	assert_false(relay_desk_is_usable(desk, v1));
	assert_int_equal(relay_desk_next_event_us(desk), TIME_NEVER);
	relay_desk_free(&desk);
}

static void
yesterdays_success_is_not_todays(void **state)
{
	struct relay_desk *desk = new_desk(NULL, false);

	(void)state;
	connect_ok(desk, v1, NOW);
	assert_true(relay_desk_worked_today(desk, v1, NOW + HOURS(11)));
	assert_false(relay_desk_worked_today(desk, v1, NOW + HOURS(13)));
	relay_desk_free(&desk);
}

static void
a_wrong_sender_is_held_and_nobody_else(void **state)
{
	struct relay_desk *desk = new_desk(NULL, true);
	struct relay_news news;
	int64_t until = 0;
	bool told = false;

	(void)state;
	connect_ok(desk, v1, NOW);
	send_bad(desk, v1, "Bad@b.org",
	    verdict(RELAY_STAGE_MAIL, "553 Mail from must equal authorized user"), NOW);
	assert_true(relay_desk_is_usable(desk, v1));
	assert_true(relay_desk_is_sender_held(desk, v1, STR("bad@b.org"), NOW, &until));
	assert_false(relay_desk_is_sender_held(desk, v1, STR("good@b.org"), NOW, &until));
	/* The same login through another version. */
	assert_true(relay_desk_is_sender_held(desk, v2, STR("bad@b.org"), NOW, &until));
	while (relay_desk_next_news(desk, &news)) {
		if (news.kind != RELAY_NEWS_SENDER_HELD)
			continue;
		told = true;
		assert_string_equal(news.sender, "bad@b.org");
		assert_int_equal(news.until_us, until);
		assert_true(news.remedy[0] != '\0');
	}
	assert_true(told);
	relay_desk_tick(desk, until);
	assert_true(heard(desk, RELAY_NEWS_SENDER_RELEASED, v1));
	assert_false(relay_desk_is_sender_held(desk, v1, STR("bad@b.org"), until, &until));
	relay_desk_free(&desk);
}

static void
a_sender_is_released_by_hand(void **state)
{
	struct relay_desk *desk = new_desk(NULL, false);
	int64_t until;

	(void)state;
	connect_ok(desk, v1, NOW);
	send_bad(desk, v1, "", verdict(RELAY_STAGE_MAIL, "553 NULL sender is not allowed"), NOW);
	assert_true(relay_desk_is_sender_held(desk, v1, STR(""), NOW, &until));
	relay_desk_release_sender(desk, v1, STR("<>"), NOW);
	assert_false(relay_desk_is_sender_held(desk, v1, STR(""), NOW, &until));
	assert_true(heard(desk, RELAY_NEWS_SENDER_RELEASED, v1));
	relay_desk_free(&desk);
}

static void
soft_faults_of_several_senders_open_the_breaker(void **state)
{
	static const char *const senders[] = { "a@b.org", "c@d.org" };
	struct relay_desk *desk = new_desk(NULL, false);

	(void)state;
	connect_ok(desk, v1, NOW);
	for (int i = 0; i < 4; i++)
		send_bad(desk, v1, senders[i % 2], verdict(RELAY_STAGE_MAIL, "550 Nein"), NOW);
	assert_true(relay_desk_is_usable(desk, v1));
	send_ok(desk, v1, NOW);
	for (int i = 0; i < 4; i++)
		send_bad(desk, v1, senders[i % 2], verdict(RELAY_STAGE_MAIL, "550 Nein"), NOW);
	assert_true(relay_desk_is_usable(desk, v1));
	send_bad(desk, v1, senders[0], verdict(RELAY_STAGE_MAIL, "550 Nein"), NOW);
	assert_false(relay_desk_is_usable(desk, v1));
	relay_desk_free(&desk);
}

static void
soft_faults_of_one_sender_hold_the_sender_and_leave_the_relay(void **state)
{
	struct relay_desk *desk = new_desk(NULL, false);
	int64_t until = 0;

	(void)state;
	connect_ok(desk, v1, NOW);
	for (int i = 0; i < 5; i++)
		send_bad(desk, v1, "odd@b.org", verdict(RELAY_STAGE_MAIL, "550 Nein"), NOW);
	assert_true(relay_desk_is_usable(desk, v1));
	assert_true(relay_desk_is_sender_held(desk, v1, STR("odd@b.org"), NOW, &until));
	/* At least the minute of the verdict; the next refusal is enough. */
	assert_true(until >= NOW + SECONDS(4) && until <= NOW + SECONDS(61));
	relay_desk_tick(desk, until);
	assert_false(relay_desk_is_sender_held(desk, v1, STR("odd@b.org"), until, &until));
	send_bad(desk, v1, "odd@b.org", verdict(RELAY_STAGE_MAIL, "550 Nein"), until);
	assert_true(relay_desk_is_sender_held(desk, v1, STR("odd@b.org"), until, &until));
	relay_desk_free(&desk);
}

static void
recipient_and_content_faults_leave_the_relay_alone(void **state)
{
	struct relay_desk *desk = new_desk(NULL, false);
	struct relay_status s;

	(void)state;
	connect_ok(desk, v1, NOW);
	for (int i = 0; i < 50; i++) {
		send_bad(desk, v1, i % 2 != 0 ? "a@b.org" : "c@d.org",
		    verdict(RELAY_STAGE_RCPT, "550 5.1.1 User unknown"), NOW);
		send_bad(desk, v1, i % 2 != 0 ? "a@b.org" : "c@d.org",
		    verdict(RELAY_STAGE_DOT, "554 5.7.1 Spam message rejected"), NOW);
	}
	assert_true(relay_desk_is_usable(desk, v1));
	assert_true(relay_desk_status(desk, v1, NOW, &s));
	assert_string_equal(s.word, "ok");
	assert_int_equal(s.refused[RELAY_BLAME_RECIPIENT], 50);
	assert_int_equal(s.refused[RELAY_BLAME_CONTENT], 50);
	relay_desk_free(&desk);
}

static void
a_capacity_reply_opens_a_window_for_the_whole_login(void **state)
{
	struct relay_desk *desk = new_desk(NULL, true);

	(void)state;
	connect_ok(desk, v1, NOW);
	send_bad(desk, v1, "a@b.org", verdict(RELAY_STAGE_MAIL, "451 MI:SFQ 163 smtp7"), NOW);
	assert_false(relay_desk_is_usable(desk, v1));
	assert_false(relay_desk_is_usable(desk, v2));
	assert_false(relay_desk_may_send(desk, v1, T, NOW, &wait_until));
	assert_int_equal(wait_until, NOW + MINUTES(15));
	assert_true(heard(desk, RELAY_NEWS_SLOWED, v1));
	relay_desk_tick(desk, NOW + MINUTES(15));
	assert_true(relay_desk_is_usable(desk, v2));
	assert_true(heard(desk, RELAY_NEWS_USABLE, v1));
	relay_desk_free(&desk);
}

static void
capacity_halves_the_connections(void **state)
{
	struct relay_desk *desk = new_desk(NULL, false);
	struct relay_status s;

	(void)state;
	for (int i = 0; i < 8; i++)
		connect_ok(desk, v1, NOW);
	assert_true(relay_desk_status(desk, v1, NOW, &s));
	assert_int_equal(s.connection_cap, 16);
	connect_bad(desk, v1, verdict(RELAY_STAGE_GREETING, "421 too many connections"), NOW);
	assert_true(relay_desk_status(desk, v1, NOW, &s));
	assert_int_equal(s.connection_cap, 4);
	assert_string_equal(s.word, "slowed");
	int64_t at = relay_desk_next_event_us(desk);
	relay_desk_tick(desk, at);
	/* More are open than are wanted; only so many are used. */
	for (int i = 0; i < 4; i++) {
		assert_true(relay_desk_may_send(desk, v1, T, at, &wait_until));
		relay_desk_began(desk, v1, T, at);
	}
	assert_false(relay_desk_may_send(desk, v1, T, at, &wait_until));
	assert_false(relay_desk_may_connect(desk, v1, T, at, &wait_until));
	relay_desk_free(&desk);
}

static void
connections_start_slowly_and_double(void **state)
{
	struct relay_desk *desk = new_desk(NULL, false);
	int rounds[4];

	(void)state;
	for (int r = 0; r < 4; r++) {
		int n = 0;
		while (relay_desk_may_connect(desk, v1, T, NOW, &wait_until)) {
			relay_desk_connecting(desk, v1, NOW);
			n++;
		}
		rounds[r] = n;
		while (n-- > 0)
			relay_desk_connected(desk, v1, NOW);
	}
	assert_int_equal(rounds[0], 2);
	assert_in_range((unsigned long)rounds[1], 2, 4);
	assert_int_equal(rounds[0] + rounds[1] + rounds[2] + rounds[3], 16);
	/* When none is left it starts over. */
	for (int i = 0; i < 16; i++)
		relay_desk_closed(desk, v1, NULL, NOW);
	relay_desk_connecting(desk, v1, NOW);
	relay_desk_connecting(desk, v1, NOW);
	assert_false(relay_desk_may_connect(desk, v1, T, NOW, &wait_until));
	relay_desk_free(&desk);
}

static void
bulk_leaves_one_connection_to_transactional_mail(void **state)
{
	struct relay_desk *desk = new_desk(NULL, false);
	int bulk = 0;

	(void)state;
	for (int i = 0; i < 16; i++)
		connect_ok(desk, v1, NOW);
	while (relay_desk_may_send(desk, v1, B, NOW, &wait_until)) {
		relay_desk_began(desk, v1, B, NOW);
		bulk++;
	}
	assert_int_equal(bulk, 15);
	assert_int_equal(wait_until, TIME_NEVER);
	assert_true(relay_desk_may_send(desk, v1, T, NOW, &wait_until));
	relay_desk_began(desk, v1, T, NOW);
	assert_false(relay_desk_may_send(desk, v1, T, NOW, &wait_until));
	relay_desk_free(&desk);
}

static void
one_connection_only(struct relay_version_row *v)
{
	v->max_connections = 1;
}

static void
a_single_connection_serves_both_lanes(void **state)
{
	struct relay_desk *desk = new_desk(one_connection_only, false);

	(void)state;
	assert_true(relay_desk_may_connect(desk, v1, B, NOW, &wait_until));
	connect_ok(desk, v1, NOW);
	assert_false(relay_desk_may_connect(desk, v1, T, NOW, &wait_until));
	assert_true(relay_desk_may_send(desk, v1, B, NOW, &wait_until));
	relay_desk_free(&desk);
}

static void
twenty_a_minute(struct relay_version_row *v)
{
	v->rate = (struct relay_rate){ 20, 60 };
}

static void
the_rate_holds_and_says_when_to_ask_again(void **state)
{
	struct relay_desk *desk = new_desk(twenty_a_minute, false);
	int64_t now = NOW;
	int sent = 0;

	(void)state;
	for (int i = 0; i < 3; i++)
		connect_ok(desk, v1, NOW);
	while (now < NOW + MINUTES(1)) {
		if (relay_desk_may_send(desk, v1, B, now, &wait_until)) {
			relay_desk_began(desk, v1, B, now);
			relay_desk_ended(desk, v1, B, 1, MS(1), now);
			sent++;
			continue;
		}
		assert_true(wait_until > now && wait_until <= now + SECONDS(4));
		now = wait_until;
	}
	assert_in_range((unsigned long)sent, 17, 18);
	relay_desk_free(&desk);
}

static void
hundred_a_day(struct relay_version_row *v)
{
	v->daily_quota = 100;
}

static void
the_daily_quota_holds_and_bulk_leaves_a_tenth_of_it(void **state)
{
	struct relay_desk *desk = new_desk(hundred_a_day, false);

	(void)state;
	connect_ok(desk, v1, NOW);
	connect_ok(desk, v1, NOW);
	for (int i = 0; i < 90; i++) {
		assert_true(relay_desk_may_send(desk, v1, B, NOW, &wait_until));
		relay_desk_began(desk, v1, B, NOW);
		relay_desk_ended(desk, v1, B, 1, MS(1), NOW);
	}
	assert_false(relay_desk_may_send(desk, v1, B, NOW, &wait_until));
	assert_int_equal(wait_until, DAYS(20001));
	for (int i = 0; i < 10; i++) {
		assert_true(relay_desk_may_send(desk, v1, T, NOW, &wait_until));
		send_ok(desk, v1, NOW);
	}
	assert_false(relay_desk_is_usable(desk, v1));
	assert_true(heard(desk, RELAY_NEWS_SLOWED, v1));
	relay_desk_tick(desk, DAYS(20001));
	assert_true(heard(desk, RELAY_NEWS_USABLE, v1));
	assert_true(relay_desk_may_send(desk, v1, B, DAYS(20001), &wait_until));
	relay_desk_free(&desk);
}

static void
counts_are_handed_out_and_taken_back(void **state)
{
	struct relay_desk *desk = new_desk(hundred_a_day, false);
	struct relay_count count;
	char login[64];

	(void)state;
	connect_ok(desk, v1, NOW);
	relay_desk_began(desk, v1, T, NOW);
	relay_desk_ended(desk, v1, T, 3, MS(1), NOW);
	assert_true(relay_desk_next_count(desk, &count));
	(void)snprintf(login, sizeof(login), "%.*s", STR_ARG(count.login));
	assert_string_equal(login, "me@smtp.example.com");
	assert_int_equal(count.messages, 1);
	assert_int_equal(count.recipients, 3);
	assert_int_equal(count.day, 20000);
	assert_false(relay_desk_next_count(desk, &count));
	relay_desk_free(&desk);

	desk = new_desk(hundred_a_day, false);
	count = (struct relay_count){ STR("me@smtp.example.com"), 20000, 90, 100 };
	relay_desk_restore_count(desk, &count, NOW);
	assert_false(relay_desk_is_usable(desk, v1));
	assert_true(relay_desk_worked_today(desk, v1, NOW));
	assert_true(relay_desk_is_usable(desk, v2));
	relay_desk_free(&desk);

	desk = new_desk(hundred_a_day, false);
	count.day = 19999;
	relay_desk_restore_count(desk, &count, NOW);
	assert_true(relay_desk_is_usable(desk, v1));
	relay_desk_free(&desk);
}

static void
paused_by_hand_it_stays_until_resumed(void **state)
{
	struct relay_desk *desk = new_desk(NULL, false);
	struct relay_status s;

	(void)state;
	relay_desk_pause(desk, v1, STR("moving house"), NOW);
	assert_false(relay_desk_is_usable(desk, v1));
	assert_true(heard(desk, RELAY_NEWS_RELAY_PAUSED, v1));
	assert_true(relay_desk_status(desk, v1, NOW, &s));
	assert_string_equal(s.word, "paused");
	assert_string_equal(s.why, "moving house");
	relay_desk_tick(desk, NOW + DAYS(3));
	assert_false(relay_desk_is_usable(desk, v1));
	relay_desk_resume(desk, v1, NOW + DAYS(3));
	assert_true(relay_desk_is_usable(desk, v1));
	assert_true(heard(desk, RELAY_NEWS_RELAY_RESUMED, v1));
	relay_desk_free(&desk);
}

static void
a_version_out_of_the_book_is_known_until_its_last_connection_ends(void **state)
{
	struct relay_desk *desk = new_desk(NULL, false);
	const struct relay_book_rows none = { .had_relay = true };
	AUTO(relay_book_unref) struct relay_book *book = NULL;
	struct relay_status s;

	(void)state;
	connect_ok(desk, v1, NOW);
	relay_desk_began(desk, v1, T, NOW);
	assert_false(heard(desk, RELAY_NEWS_UNUSABLE, v1));
	assert_int_equal(relay_book_new(&none, &book, NULL), RC_OK);
	relay_desk_set_book(desk, book, NOW);
	assert_true(heard(desk, RELAY_NEWS_UNUSABLE, v1));
	assert_false(relay_desk_status(desk, v2, NOW, &s));
	assert_true(relay_desk_status(desk, v1, NOW, &s));
	assert_string_equal(s.word, "retired");
	relay_desk_ended(desk, v1, T, 1, MS(1), NOW);
	assert_true(relay_desk_status(desk, v1, NOW, &s));
	relay_desk_closed(desk, v1, NULL, NOW);
	assert_false(relay_desk_status(desk, v1, NOW, &s));
	relay_desk_closed(desk, v1, NULL, NOW);
	relay_desk_audit(desk);
	relay_desk_free(&desk);
}

static void
latencies_are_shown(void **state)
{
	struct relay_desk *desk = new_desk(NULL, false);
	struct relay_status s;

	(void)state;
	connect_ok(desk, v1, NOW);
	for (int i = 1; i <= 100; i++) {
		relay_desk_began(desk, v1, T, NOW);
		relay_desk_ended(desk, v1, T, 1, MS(i), NOW);
	}
	assert_true(relay_desk_status(desk, v1, NOW, &s));
	assert_in_range((uint64_t)s.latency_p50_us, (uint64_t)MS(50), (uint64_t)MS(51));
	assert_in_range((uint64_t)s.latency_p95_us, (uint64_t)MS(95), (uint64_t)MS(96));
	assert_int_equal(s.sent, 100);
	assert_int_equal(s.last_success_us, NOW);
	relay_desk_free(&desk);
}

static void
a_clock_set_back_does_not_lengthen_a_rest(void **state)
{
	struct relay_desk *desk = new_desk(NULL, false);

	(void)state;
	for (int i = 0; i < 3; i++)
		connect_bad(desk, v1, trouble(RELAY_TROUBLE_CONNECT), NOW);
	int64_t rest = relay_desk_next_event_us(desk) - NOW;
	relay_desk_tick(desk, NOW - HOURS(3));
	assert_int_equal(relay_desk_next_event_us(desk), NOW - HOURS(3) + rest);
	assert_false(relay_desk_is_usable(desk, v1));
	relay_desk_tick(desk, NOW - HOURS(3) + rest);
	assert_true(relay_desk_is_usable(desk, v1));
	relay_desk_free(&desk);
}

/* What is true of one version after the calls made, so that random calls are legal ones. */
struct model {
	uint32_t connecting, ready, sending[STREAM_COUNT];
	bool usable;
};

static const char *const replies[] = { "535 no", "554 5.7.1 Relay access denied", "550 Nein",
	"421 goodbye", "450 4.2.1 later", "550 5.1.1 User unknown", "554 spam",
	"553 Mail from must equal authorized user", "451 4.3.0 queue file write error",
	"451 MI:SFQ x", "452 4.3.1 full", "421 too many connections, retry in 2 seconds" };
static const char *const senders[] = { "a@b.org", "c@d.org", "", "e@f.org" };

static struct relay_verdict
random_verdict(struct prng *p)
{
	if (prng_below(p, 4) == 0)
		return trouble((enum relay_trouble)prng_below(p, RELAY_TROUBLE_COUNT));
	return verdict((enum relay_stage)prng_below(p, RELAY_STAGE_COUNT),
	    replies[prng_below(p, COUNT_OF(replies))]);
}

static void
random_event(
    struct relay_desk *desk, struct version_id v, struct model *m, struct prng *p, int64_t now)
{
	struct relay_verdict why = random_verdict(p);
	enum stream lane = (enum stream)prng_below(p, 2);
	int64_t until;

	switch (prng_below(p, 10)) {
	case 0:
	case 1:
		if (relay_desk_may_connect(desk, v, lane, now, &until)) {
			assert_true(relay_desk_is_usable(desk, v));
			assert_true(m->connecting + m->ready < 16);
			relay_desk_connecting(desk, v, now);
			m->connecting++;
		} else {
			assert_true(until > now);
		}
		break;
	case 2:
		if (m->connecting == 0)
			break;
		m->connecting--;
		m->ready++;
		relay_desk_connected(desk, v, now);
		break;
	case 3:
		if (m->connecting == 0)
			break;
		m->connecting--;
		if (prng_below(p, 4) != 0)
			relay_desk_connect_failed(desk, v, &why, now);
		else
			relay_desk_connect_cancelled(desk, v, now);
		break;
	case 4:
		if (m->ready <= m->sending[T] + m->sending[B])
			break;
		m->ready--;
		relay_desk_closed(desk, v, prng_below(p, 3) == 0 ? &why : NULL, now);
		break;
	case 5:
	case 6:
		if (m->ready <= m->sending[T] + m->sending[B])
			break;
		if (relay_desk_may_send(desk, v, lane, now, &until)) {
			assert_true(relay_desk_is_usable(desk, v));
			m->sending[lane]++;
			relay_desk_began(desk, v, lane, now);
		} else {
			assert_true(until > now);
		}
		break;
	case 7:
	case 8:
		if (m->sending[lane] == 0)
			break;
		m->sending[lane]--;
		if (prng_below(p, 3) == 0)
			relay_desk_refused(desk, v,
			    str_from(senders[prng_below(p, COUNT_OF(senders))]), &why, now);
		relay_desk_ended(desk, v, lane, (uint32_t)prng_below(p, 3), MS(3), now);
		break;
	default:
		if (prng_below(p, 20) == 0)
			relay_desk_pause(desk, v, STR("test"), now);
		if (prng_below(p, 10) == 0)
			relay_desk_resume(desk, v, now);
		break;
	}
}

/* The news tell the whole truth about who is usable, nothing is ever stuck, and every invariant
 * holds. */
static void
random_events_keep_every_promise(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 60; seed++) {
		struct relay_desk *desk =
		    new_desk(seed % 2 != 0 ? twenty_a_minute : hundred_a_day, seed % 3 == 0);
		struct model models[2] = { 0 };
		struct prng p = prng_make(seed);
		struct relay_news news;
		int64_t now = NOW;
		for (int i = 0; i < 1500; i++) {
			size_t which = prng_below(&p, 2);
			struct version_id v = which == 0 ? v1 : v2;
			random_event(desk, v, &models[which], &p, now);
			relay_desk_audit(desk);
			while (relay_desk_next_news(desk, &news)) {
				struct model *m = &models[ID_EQ(news.version, v1) ? 0 : 1];
				if (news.kind == RELAY_NEWS_USABLE)
					m->usable = true;
				if (news.kind == RELAY_NEWS_UNUSABLE)
					m->usable = false;
			}
			assert_int_equal(models[0].usable, relay_desk_is_usable(desk, v1));
			assert_int_equal(models[1].usable, relay_desk_is_usable(desk, v2));
			if (prng_below(&p, 3) == 0)
				now += (int64_t)prng_below(&p, (uint64_t)SECONDS(20));
			if (prng_below(&p, 300) == 0)
				now -= HOURS(2);
		}
		/* Whatever came before, a person's word makes it usable, quota aside. */
		relay_desk_resume(desk, v2, now);
		assert_true(relay_desk_is_usable(desk, v2));
		relay_desk_free(&desk);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_version_is_usable_and_says_so),
		cmocka_unit_test(three_failed_connects_open_the_breaker_and_a_trial_closes_it),
		cmocka_unit_test(a_failed_trial_rests_longer),
		cmocka_unit_test(a_connection_in_between_clears_the_count),
		cmocka_unit_test(hard_faults_open_at_once_and_other_relays_stay),
		cmocka_unit_test(after_a_fault_of_mail_only_mail_shows_that_it_is_well),
		cmocka_unit_test(a_trial_with_an_unknown_recipient_shows_that_the_relay_works),
		cmocka_unit_test(a_refused_secret_pauses_the_login_until_somebody_acts),
		cmocka_unit_test(a_secret_that_worked_today_gets_one_more_try_after_a_minute),
		cmocka_unit_test(yesterdays_success_is_not_todays),
		cmocka_unit_test(a_wrong_sender_is_held_and_nobody_else),
		cmocka_unit_test(a_sender_is_released_by_hand),
		cmocka_unit_test(soft_faults_of_several_senders_open_the_breaker),
		cmocka_unit_test(soft_faults_of_one_sender_hold_the_sender_and_leave_the_relay),
		cmocka_unit_test(recipient_and_content_faults_leave_the_relay_alone),
		cmocka_unit_test(a_capacity_reply_opens_a_window_for_the_whole_login),
		cmocka_unit_test(capacity_halves_the_connections),
		cmocka_unit_test(connections_start_slowly_and_double),
		cmocka_unit_test(bulk_leaves_one_connection_to_transactional_mail),
		cmocka_unit_test(a_single_connection_serves_both_lanes),
		cmocka_unit_test(the_rate_holds_and_says_when_to_ask_again),
		cmocka_unit_test(the_daily_quota_holds_and_bulk_leaves_a_tenth_of_it),
		cmocka_unit_test(counts_are_handed_out_and_taken_back),
		cmocka_unit_test(paused_by_hand_it_stays_until_resumed),
		cmocka_unit_test(a_version_out_of_the_book_is_known_until_its_last_connection_ends),
		cmocka_unit_test(latencies_are_shown),
		cmocka_unit_test(a_clock_set_back_does_not_lengthen_a_rest),
		cmocka_unit_test(random_events_keep_every_promise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

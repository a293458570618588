#include "deliver/test_bed.h"

#include "codec/smtp_param.h"

#define TO(...)                                                                                    \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static void
a_message_goes_out_and_is_sent(void **state)
{
	struct bed b;
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example") };

	(void)state;
	bed_init(&b);
	bed_up(&b);
	struct msg_id id = bed_send(&b, &mail);
	bed_until_state(&b, id, 0, STORE_SENT);
	assert_int_equal(ledger_count(b.ledger, "r@b.example"), 1);
	assert_int_equal(bed_rcpt(&b, id, 0).attempts, 1);
	assert_int_equal(bed_totals(&b).sent, 1);
	bed_down(&b);
}

static void
one_refused_recipient_bounces_and_the_sender_is_told(void **state)
{
	struct bed b;
	struct bed_mail mail = { .from = "a@a.example",
		.to = TO("r@b.example", "odd@b.example", "s@b.example") };

	(void)state;
	bed_init(&b);
	bed_up(&b);
	b.relays[0].rcpt_reply = "550 5.1.1 no such user here";
	b.relays[0].rcpt_odd = "odd@";
	struct msg_id id = bed_send(&b, &mail);
	bed_until_state(&b, id, 0, STORE_SENT);
	bed_until_state(&b, id, 1, STORE_BOUNCED);
	bed_until_state(&b, id, 2, STORE_SENT);
	struct bed_wanted report = { { id.v + 1 }, 0, STORE_SENT };
	BED_UNTIL(&b, bed_is_in_state, &report);
	assert_int_equal(ledger_count(b.ledger, "a@a.example"), 1);
	assert_string_equal(b.ledger->v[b.ledger->n - 1].from, "");
	assert_non_null(strstr(b.relays[0].last_content, "odd@b.example"));
	assert_non_null(strstr(b.relays[0].last_content, "no such user here"));
	assert_non_null(strstr(b.relays[0].last_content, "Subject: Hello"));
	bed_down(&b);
}

static void
a_report_that_bounces_is_the_end_of_it(void **state)
{
	struct bed b;
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example") };

	(void)state;
	bed_init(&b);
	bed_up(&b);
	b.relays[0].rcpt_reply = "550 5.1.1 no such user here";
	b.relays[0].rcpt_odd = "@";
	struct msg_id id = bed_send(&b, &mail);
	bed_until_state(&b, id, 0, STORE_BOUNCED);
	bed_until_state(&b, (struct msg_id){ id.v + 1 }, 0, STORE_BOUNCED);
	bed_quiet(&b);
	struct store_totals t = bed_totals(&b);
	assert_int_equal(t.accepted, 1);
	assert_int_equal(t.generated, 1);
	assert_int_equal(t.bounced, 2);
	bed_down(&b);
}

static void
who_asks_not_to_be_told_is_not(void **state)
{
	struct bed b;
	struct bed_mail never = {
		.from = "a@a.example", .to = TO("r@b.example"), .notify = SMTP_NOTIFY_NEVER
	};
	struct bed_mail null = { .from = "", .to = TO("r@b.example") };

	(void)state;
	bed_init(&b);
	bed_up(&b);
	b.relays[0].rcpt_reply = "550 5.1.1 no such user here";
	b.relays[0].rcpt_odd = "@";
	bed_until_state(&b, bed_send(&b, &never), 0, STORE_BOUNCED);
	bed_until_state(&b, bed_send(&b, &null), 0, STORE_BOUNCED);
	bed_quiet(&b);
	assert_int_equal(bed_totals(&b).generated, 0);
	bed_down(&b);
}

static void
success_asked_of_a_relay_without_dsn_is_told_as_relayed(void **state)
{
	struct bed b;
	struct bed_mail mail = {
		.from = "a@a.example", .to = TO("r@b.example"), .notify = SMTP_NOTIFY_SUCCESS
	};

	(void)state;
	bed_init(&b);
	bed_up(&b);
	struct msg_id id = bed_send(&b, &mail);
	bed_until_state(&b, id, 0, STORE_SENT);
	bed_until_state(&b, (struct msg_id){ id.v + 1 }, 0, STORE_SENT);
	assert_non_null(strstr(b.relays[0].last_content, "Action: relayed"));
	bed_down(&b);
}

static bool
way_is_closed(struct bed *b, const void *arg)
{
	(void)arg;
	return !relay_desk_is_usable(b->d->desk, (struct version_id){ 1 });
}

static void
a_relay_that_is_down_costs_no_life_and_gets_everything_when_it_is_up(void **state)
{
	struct bed b;
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example") };

	(void)state;
	bed_init(&b);
	b.expire_after_us = HOURS(1);
	bed_up(&b);
	fake_relay_down(&b.relays[0], true);
	struct msg_id id = bed_send(&b, &mail);
	BED_UNTIL(&b, way_is_closed, NULL);
	/* Trial after trial fails; each opens the group for the blink of an eye. */
	for (int i = 0; i < 40; i++) {
		bed_travel(&b, MINUTES(6));
		BED_UNTIL(&b, way_is_closed, NULL);
	}
	assert_int_equal(bed_state(&b, id, 0), STORE_QUEUED);
	fake_relay_up(&b.relays[0]);
	bed_travel(&b, MINUTES(6));
	bed_until_state(&b, id, 0, STORE_SENT);
	assert_int_equal(ledger_count(b.ledger, "r@b.example"), 1);
	bed_down(&b);
}

static void
a_lost_reply_is_repeated_once_where_that_is_the_policy(void **state)
{
	static const struct {
		enum queue_doubt_policy policy;
		int64_t not_yet_us, then_us;
	} rows[] = {
		{ QUEUE_DOUBT_AT_LEAST_ONCE, SECONDS(50), SECONDS(15) },
		{ QUEUE_DOUBT_BALANCED, MINUTES(14), MINUTES(2) },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct bed b;
		struct bed_mail mail = {
			.from = "a@a.example", .to = TO("r@b.example"), .doubt = rows[i].policy
		};
		bed_init(&b);
		bed_up(&b);
		b.relays[0].lose_replies = 1;
		struct msg_id id = bed_send(&b, &mail);
		bed_until_state(&b, id, 0, STORE_IN_DOUBT);
		bed_travel(&b, rows[i].not_yet_us);
		bed_quiet(&b);
		assert_int_equal(ledger_count(b.ledger, "r@b.example"), 1);
		bed_travel(&b, rows[i].then_us);
		bed_until_state(&b, id, 0, STORE_SENT);
		assert_int_equal(ledger_count(b.ledger, "r@b.example"), 2);
		assert_int_equal(b.d->metrics.repeated, 1);
		bed_down(&b);
	}
}

static void
a_second_doubt_is_unknown_and_nobody_is_told_of_a_failure(void **state)
{
	struct bed b;
	struct bed_mail mail = {
		.from = "a@a.example", .to = TO("r@b.example"), .doubt = QUEUE_DOUBT_AT_LEAST_ONCE
	};

	(void)state;
	bed_init(&b);
	bed_up(&b);
	b.relays[0].lose_replies = 2;
	struct msg_id id = bed_send(&b, &mail);
	bed_until_state(&b, id, 0, STORE_IN_DOUBT);
	bed_travel(&b, SECONDS(70));
	bed_until_state(&b, id, 0, STORE_UNKNOWN);
	bed_travel(&b, HOURS(1));
	bed_quiet(&b);
	struct store_totals t = bed_totals(&b);
	assert_int_equal(t.unknown, 1);
	assert_int_equal(t.generated, 0);
	assert_int_equal(ledger_count(b.ledger, "r@b.example"), 2);
	bed_down(&b);
}

static void
at_most_once_waits_for_a_person_in_a_doubt(void **state)
{
	static const struct {
		enum deliver_wish wish;
		enum store_state to;
		unsigned copies;
	} rows[] = {
		{ DELIVER_SENT, STORE_SENT, 1 },
		{ DELIVER_UNKNOWN, STORE_UNKNOWN, 1 },
		{ DELIVER_CANCEL, STORE_CANCELLED, 1 },
		{ DELIVER_AGAIN, STORE_SENT, 2 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct bed b;
		struct bed_mail mail = { .from = "a@a.example",
			.to = TO("r@b.example"),
			.doubt = QUEUE_DOUBT_AT_MOST_ONCE };
		bed_init(&b);
		bed_up(&b);
		b.relays[0].lose_replies = 1;
		struct msg_id id = bed_send(&b, &mail);
		bed_until_state(&b, id, 0, STORE_IN_DOUBT);
		bed_travel(&b, DAYS(1));
		bed_quiet(&b);
		assert_int_equal(bed_state(&b, id, 0), STORE_IN_DOUBT);
		assert_int_equal(bed_wish(&b, DELIVER_RETRY, id, 0), RC_INVALID);
		assert_int_equal(bed_wish(&b, rows[i].wish, id, 0), RC_OK);
		bed_until_state(&b, id, 0, rows[i].to);
		assert_int_equal(ledger_count(b.ledger, "r@b.example"), rows[i].copies);
		bed_down(&b);
	}
}

static void
a_deadline_that_passes_in_doubt_ends_as_unknown(void **state)
{
	struct bed b;
	struct bed_mail mail = { .from = "a@a.example",
		.to = TO("r@b.example"),
		.doubt = QUEUE_DOUBT_AT_MOST_ONCE,
		.deadline_in_us = MINUTES(10) };

	(void)state;
	bed_init(&b);
	bed_up(&b);
	b.relays[0].lose_replies = 1;
	struct msg_id id = bed_send(&b, &mail);
	bed_until_state(&b, id, 0, STORE_IN_DOUBT);
	bed_travel(&b, MINUTES(11));
	bed_until_state(&b, id, 0, STORE_UNKNOWN);
	assert_int_equal(ledger_count(b.ledger, "r@b.example"), 1);
	bed_down(&b);
}

static void
a_wait_that_the_reply_names_is_kept(void **state)
{
	struct bed b;
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example") };

	(void)state;
	bed_init(&b);
	bed_up(&b);
	b.relays[0].rcpt_reply = "450 4.2.0 greylisted, try again in 300 seconds";
	b.relays[0].rcpt_odd = "@";
	struct msg_id id = bed_send(&b, &mail);
	bed_until_tried(&b, id, 1);
	int64_t wait = bed_rcpt(&b, id, 0).due_us - clock_wall_us();
	assert_in_range(wait, SECONDS(290), SECONDS(331));
	b.relays[0].rcpt_reply = NULL;
	bed_travel(&b, SECONDS(280));
	bed_quiet(&b);
	assert_int_equal(bed_state(&b, id, 0), STORE_QUEUED);
	bed_travel(&b, SECONDS(60));
	bed_until_state(&b, id, 0, STORE_SENT);
	bed_down(&b);
}

static void
a_deadline_ends_what_waits_and_the_report_knows_the_message(void **state)
{
	struct bed b;
	struct bed_mail mail = {
		.from = "a@a.example", .to = TO("r@b.example"), .deadline_in_us = MINUTES(10)
	};

	(void)state;
	bed_init(&b);
	bed_up(&b);
	b.relays[0].rcpt_reply = "450 4.2.0 later";
	b.relays[0].rcpt_odd = "r@b.example";
	struct msg_id id = bed_send(&b, &mail);
	bed_until_tried(&b, id, 1);
	bed_travel(&b, MINUTES(11));
	bed_until_state(&b, id, 0, STORE_EXPIRED);
	bed_until_state(&b, (struct msg_id){ id.v + 1 }, 0, STORE_SENT);
	assert_non_null(strstr(b.relays[0].last_content, "deadline"));
	assert_non_null(strstr(b.relays[0].last_content, "Subject: Hello"));
	bed_down(&b);
}

static void
life_that_is_spent_ends_what_waits(void **state)
{
	struct bed b;
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example") };

	(void)state;
	bed_init(&b);
	b.expire_after_us = HOURS(1);
	bed_up(&b);
	b.relays[0].rcpt_reply = "450 4.2.0 later";
	b.relays[0].rcpt_odd = "r@b.example";
	struct msg_id id = bed_send(&b, &mail);
	bed_until_tried(&b, id, 1);
	bed_travel(&b, HOURS(2));
	bed_until_state(&b, id, 0, STORE_EXPIRED);
	assert_int_equal(bed_totals(&b).generated, 1);
	bed_down(&b);
}

static void
a_held_sender_waits_without_spending_life_and_nobody_else_waits(void **state)
{
	struct bed b;
	struct bed_mail odd = { .from = "odd@a.example", .to = TO("r@b.example") };
	struct bed_mail late = { .from = "odd@a.example", .to = TO("t@b.example") };
	struct bed_mail good = { .from = "good@a.example", .to = TO("s@b.example") };

	(void)state;
	bed_init(&b);
	b.expire_after_us = MINUTES(30);
	bed_up(&b);
	b.relays[0].mail_reply = "553 5.7.1 Sender address rejected: not owned by user";
	b.relays[0].mail_odd = "odd@";
	struct msg_id id = bed_send(&b, &odd);
	bed_until_tried(&b, id, 1);
	struct msg_id second = bed_send(&b, &late);
	bed_until_state(&b, bed_send(&b, &good), 0, STORE_SENT);
	assert_int_equal(b.relays[0].contents, 1);
	b.relays[0].mail_reply = NULL;
	for (int i = 0; i < 20; i++) {
		bed_travel(&b, MINUTES(4));
		bed_quiet(&b);
	}
	bed_until_state(&b, id, 0, STORE_SENT);
	bed_until_state(&b, second, 0, STORE_SENT);
	assert_int_equal(bed_totals(&b).expired, 0);
	bed_down(&b);
}

static void
recipients_share_transactions_up_to_the_relays_limit(void **state)
{
	static const struct bed_relay relays[RELAYS] = { { .max_recipients = 2 } };
	struct bed b;
	struct bed_mail mail = { .from = "a@a.example",
		.to = TO("r1@b.example", "r2@b.example", "r3@b.example", "r4@b.example",
		    "r5@b.example") };

	(void)state;
	bed_init(&b);
	bed_up(&b);
	bed_routes(&b, relays, bed_default);
	struct msg_id id = bed_send(&b, &mail);
	for (uint32_t i = 0; i < 5; i++)
		bed_until_state(&b, id, i, STORE_SENT);
	assert_int_equal(b.relays[0].contents, 3);
	assert_int_equal(b.ledger->n, 5);
	bed_down(&b);
}

static void
a_rewritten_sender_is_seen_by_the_relay_alone(void **state)
{
	static const struct bed_relay relays[RELAYS] = { { .senders = "box@relay.example",
	    .rewrites = "*=box@relay.example" } };
	struct bed b;
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example") };

	(void)state;
	bed_init(&b);
	bed_up(&b);
	bed_routes(&b, relays, bed_default);
	bed_until_state(&b, bed_send(&b, &mail), 0, STORE_SENT);
	assert_string_equal(b.ledger->v[0].from, "box@relay.example");
	assert_non_null(strstr(b.relays[0].last_content, "box@relay.example"));
	assert_non_null(strstr(b.relays[0].last_content, "Reply-To: <a@a.example>"));
	bed_down(&b);
}

static void
an_address_beyond_ascii_bounces_alone(void **state)
{
	struct bed b;
	struct bed_mail mail = { .from = "a@a.example",
		.to = TO("r@b.example", "jos\xc3\xa9@b.example", "s@b.example") };

	(void)state;
	bed_init(&b);
	bed_up(&b);
	struct msg_id id = bed_send(&b, &mail);
	bed_until_state(&b, id, 0, STORE_SENT);
	bed_until_state(&b, id, 1, STORE_BOUNCED);
	bed_until_state(&b, id, 2, STORE_SENT);
	bed_down(&b);
}

static void
wishes_are_carried_out_in_the_states_that_allow_them(void **state)
{
	struct bed b;
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example") };
	struct bed_mail held = {
		.from = "a@a.example", .to = TO("h@b.example"), .born = STORE_CAPTURED
	};

	(void)state;
	bed_init(&b);
	bed_up(&b);
	b.relays[0].rcpt_reply = "450 4.2.0 later";
	b.relays[0].rcpt_odd = "r@b.example";
	struct msg_id id = bed_send(&b, &mail);
	bed_until_tried(&b, id, 1);
	assert_int_equal(bed_wish(&b, DELIVER_RELEASE, id, 0), RC_INVALID);
	assert_int_equal(bed_wish(&b, DELIVER_SENT, id, 0), RC_INVALID);
	assert_int_equal(bed_wish(&b, DELIVER_RETRY, id, 0), RC_OK);
	bed_until_tried(&b, id, 2);
	assert_int_equal(bed_wish(&b, DELIVER_HOLD, id, 0), RC_OK);
	assert_int_equal(bed_state(&b, id, 0), STORE_HELD);
	b.relays[0].rcpt_reply = NULL;
	bed_travel(&b, DAYS(1));
	bed_quiet(&b);
	assert_int_equal(bed_state(&b, id, 0), STORE_HELD);
	assert_int_equal(bed_wish(&b, DELIVER_HOLD, id, 0), RC_INVALID);
	assert_int_equal(bed_wish(&b, DELIVER_RELEASE, id, 0), RC_OK);
	bed_until_state(&b, id, 0, STORE_SENT);
	for (int w = DELIVER_HOLD; w <= DELIVER_UNKNOWN; w++)
		assert_int_equal(bed_wish(&b, (enum deliver_wish)w, id, 0), RC_INVALID);
	struct msg_id kept = bed_send(&b, &held);
	bed_quiet(&b);
	assert_int_equal(bed_state(&b, kept, 0), STORE_CAPTURED);
	assert_int_equal(bed_wish(&b, DELIVER_RELEASE, kept, 0), RC_OK);
	bed_until_state(&b, kept, 0, STORE_SENT);
	bed_totals(&b);
	bed_down(&b);
}

static void
a_recipient_that_is_being_sent_cannot_be_cancelled(void **state)
{
	struct bed b;
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example") };

	(void)state;
	bed_init(&b);
	bed_up(&b);
	b.relays[0].hold_dots = true;
	struct msg_id id = bed_send(&b, &mail);
	BED_UNTIL(&b, bed_has_dot, NULL);
	struct store_recipient_row r = bed_rcpt(&b, id, 0);
	struct store_row row = { .rcpt = r.id, .msg = id, .account = r.account, .group = r.group };
	struct bed_wish_order w = { .o = { .order = { .run = bed_on_wish }, .b = &b },
		.wish = DELIVER_CANCEL,
		.row = &row };
	deliver_post(b.d, &w.o.order);
	BED_UNTIL(&b, bed_is_set, &w.o.done);
	assert_int_equal(w.rc, RC_AGAIN);
	fake_relay_answer(&b.relays[0]);
	bed_until_state(&b, id, 0, STORE_SENT);
	bed_down(&b);
}

static void
a_kept_connection_that_the_relay_closed_costs_no_retry(void **state)
{
	struct bed b;
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example") };

	(void)state;
	bed_init(&b);
	bed_up(&b);
	b.relays[0].close_after = 1;
	for (int i = 0; i < 20; i++)
		bed_until_state(&b, bed_send(&b, &mail), 0, STORE_SENT);
	assert_int_equal(b.d->metrics.deferred, 0);
	assert_int_equal(b.ledger->n, 20);
	bed_down(&b);
}

/* The relay rests, or the message waits because its goodbye came in the middle of a transaction. */
static bool
has_calmed_down(struct bed *b, const void *arg)
{
	return way_is_closed(b, NULL) || bed_was_deferred(b, arg);
}

static void
a_relay_that_shows_everybody_out_is_not_stormed(void **state)
{
	struct bed b;
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example") };

	(void)state;
	bed_init(&b);
	bed_up(&b);
	b.relays[0].shut_out = 400000;
	struct msg_id id = bed_send(&b, &mail);
	struct bed_wanted tried = { id, 0, (enum store_state)1 };
	BED_UNTIL(&b, has_calmed_down, &tried);
	assert_true(b.relays[0].connections < 20);
	b.relays[0].shut_out = 0;
	bed_travel(&b, HOURS(1));
	bed_until_state(&b, id, 0, STORE_SENT);
	assert_int_equal(ledger_count(b.ledger, "r@b.example"), 1);
	bed_down(&b);
}

static void
a_connection_cut_in_the_middle_is_one_fault_not_two(void **state)
{
	struct bed b;
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example") };
	struct relay_status st;

	(void)state;
	bed_init(&b);
	bed_up(&b);
	b.relays[0].cut_contents = 1;
	/* Long enough that content leaves before the record is made. */
	char *content = mem_zalloc(40001);
	memset(content, 'x', 40000);
	for (size_t i = 70; i < 40000; i += 72)
		memcpy(content + i, "\r\n", 2);
	memcpy(content, "Subject: x\r\n\r\n", 14);
	memcpy(content + 39998, "\r\n", 2);
	mail.content = content;
	struct msg_id id = bed_send(&b, &mail);
	bed_until_tried(&b, id, 1);
	bed_quiet(&b);
	assert_true(relay_desk_status(b.d->desk, (struct version_id){ 1 }, b.d->now_us, &st));
	assert_int_equal(st.refused[RELAY_BLAME_RELAY], 1);
	bed_travel(&b, MINUTES(15));
	bed_until_state(&b, id, 0, STORE_SENT);
	free(content);
	bed_down(&b);
}

static void
content_that_is_gone_from_disk_ends_as_failed_and_is_told(void **state)
{
	struct bed b;
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example") };
	char path[128];

	(void)state;
	bed_init(&b);
	bed_up(&b);
	b.relays[0].rcpt_reply = "450 4.2.0 later";
	b.relays[0].rcpt_odd = "r@b.example";
	struct msg_id id = bed_send(&b, &mail);
	bed_until_tried(&b, id, 1);
	snprintf(path, sizeof(path), "%s/content/00000001.seg", b.dir);
	FILE *f = fopen(path, "r+e");
	assert_non_null(f);
	assert_int_equal(fwrite("garbage", 1, 7, f), 7);
	fclose(f);
	b.relays[0].rcpt_reply = NULL;
	bed_travel(&b, HOURS(1));
	bed_until_state(&b, id, 0, STORE_FAILED);
	bed_until_state(&b, (struct msg_id){ id.v + 1 }, 0, STORE_SENT);
	/* The connection that waited for the content still serves. */
	bed_until_state(&b, bed_send(&b, &mail), 0, STORE_SENT);
	bed_down(&b);
}

/* ---- relays that change while jobs run ---- */

static void
a_relay_taken_out_of_the_book_finishes_what_it_has(void **state)
{
	static const struct bed_route to_two[] = { { 2, NULL, false }, { 0 } };
	struct bed b;
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example") };
	struct bed_mail next = { .from = "a@a.example", .to = TO("s@b.example") };

	(void)state;
	bed_init(&b);
	bed_up(&b);
	b.relays[0].hold_dots = true;
	struct msg_id id = bed_send(&b, &mail);
	BED_UNTIL(&b, bed_has_dot, NULL);
	/* A book that does not name version 1 any more. */
	struct relay_row r = { { 2 }, STR("two"), { 2 } };
	struct relay_version_row v = { .id = { 2 },
		.relay = { 2 },
		.number = 1,
		.host = STR("127.0.0.1"),
		.port = b.relays[1].port,
		.tls = RELAY_TLS_NONE };
	struct relay_route_row to = { .id = { 1 }, .relay = { 2 }, .is_default = true };
	struct relay_book_rows rows = { &r, 1, &v, 1, &to, 1, NULL, 0, true };
	struct fault f = { 0 };
	relay_book_unref(&b.book);
	assert_int_equal(relay_book_new(&rows, &b.book, &f), RC_OK);
	bed_poke(&b, b.book);
	bed_until_state(&b, bed_send(&b, &next), 0, STORE_SENT);
	assert_int_equal(b.relays[1].contents, 1);
	fake_relay_answer(&b.relays[0]);
	bed_until_state(&b, id, 0, STORE_SENT);
	bed_routes(&b, bed_plain, to_two);
	bed_down(&b);
}

static void
new_routes_move_what_waits_on_disk_in_memory_and_held(void **state)
{
	static const struct bed_route split[] = { { 1, NULL, false }, { 2, "x@a.example", false },
		{ 0 } };
	struct bed b;
	struct bed_mail x = { .from = "x@a.example", .to = TO("x1@b.example", "x2@b.example") };
	struct bed_mail y = { .from = "y@a.example", .to = TO("y1@b.example") };
	struct bed_mail held = {
		.from = "x@a.example", .to = TO("x3@b.example"), .born = STORE_HELD
	};

	(void)state;
	bed_init(&b);
	bed_up(&b);
	fake_relay_down(&b.relays[0], true);
	struct msg_id in_memory = bed_send(&b, &x);
	struct msg_id other = bed_send(&b, &y);
	BED_UNTIL(&b, way_is_closed, NULL);
	bed_quiet(&b);
	struct msg_id on_disk = bed_send(&b, &x); /* the group is closed now */
	struct msg_id aside = bed_send(&b, &held);
	bed_routes(&b, bed_plain, split);
	for (uint32_t i = 0; i < 2; i++) {
		bed_until_state(&b, in_memory, i, STORE_SENT);
		bed_until_state(&b, on_disk, i, STORE_SENT);
	}
	assert_int_equal(b.relays[0].contents, 0);
	assert_int_equal(bed_state(&b, other, 0), STORE_QUEUED);
	assert_int_equal(bed_state(&b, aside, 0), STORE_HELD);
	bed_quiet(&b);
	assert_int_equal(bed_wish(&b, DELIVER_RELEASE, aside, 0), RC_OK);
	bed_until_state(&b, aside, 0, STORE_SENT);
	assert_int_equal(b.relays[0].contents, 0);
	fake_relay_up(&b.relays[0]);
	bed_travel(&b, MINUTES(10));
	bed_until_state(&b, other, 0, STORE_SENT);
	assert_int_equal(b.relays[0].contents, 1);
	bed_totals(&b);
	bed_down(&b);
}

static bool
nothing_is_suspect(struct bed *b, const void *arg)
{
	(void)arg;
	return b->d->n_suspect == 0 && !b->d->regroup_is_out && b->d->aside_at_us == TIME_NEVER;
}

static void
mail_with_an_old_key_finds_its_new_group(void **state)
{
	static const struct bed_route split[] = { { 1, NULL, false }, { 2, "x@a.example", false },
		{ 0 } };
	struct bed b;
	struct bed_mail x = { .from = "x@a.example", .to = TO("x1@b.example") };
	struct bed_mail y = { .from = "y@a.example", .to = TO("y1@b.example") };

	(void)state;
	bed_init(&b);
	bed_up(&b);
	struct relay_book *old = relay_book_ref(b.book);
	bed_until_state(&b, bed_send(&b, &x), 0, STORE_SENT);
	assert_int_equal(b.relays[0].contents, 1);
	bed_routes(&b, bed_plain, split);
	x.book = y.book = old; /* a door that has not heard of it */
	bed_until_state(&b, bed_send(&b, &x), 0, STORE_SENT);
	bed_until_state(&b, bed_send(&b, &y), 0, STORE_SENT);
	assert_int_equal(b.relays[0].contents, 2);
	assert_int_equal(b.relays[1].contents, 1);
	bed_travel(&b, MINUTES(4));
	BED_UNTIL(&b, nothing_is_suspect, NULL);
	relay_book_unref(&old);
	bed_down(&b);
}

static bool
first_pass_is_over(struct bed *b, const void *arg)
{
	(void)arg;
	return !b->d->regroup_is_out && b->d->next_pass_us > b->d->now_us &&
	       b->d->aside_at_us == TIME_NEVER && bed_is_quiet(b, NULL);
}

static bool
first_pass_is_over_but_for_the_job(struct bed *b, const void *arg)
{
	(void)arg;
	return !b->d->regroup_is_out && b->d->next_pass_us > b->d->now_us &&
	       b->d->aside_at_us == TIME_NEVER && b->d->ops_out == 0;
}

static void
mail_that_was_being_sent_while_it_was_moved_is_found_again(void **state)
{
	static const struct bed_route split[] = { { 1, NULL, false }, { 2, "x@a.example", false },
		{ 0 } };
	static const char *const replies[] = { "451 4.3.0 later", "" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(replies); i++) {
		struct bed b;
		struct bed_mail x = { .from = "x@a.example", .to = TO("x1@b.example") };
		bed_init(&b);
		bed_up(&b);
		/* Once deferred, so that its row has a due time and lies in the way of the pass. */
		b.relays[0].rcpt_reply = "450 4.2.0 later";
		b.relays[0].rcpt_odd = "x1@";
		struct msg_id id = bed_send(&b, &x);
		bed_until_tried(&b, id, 1);
		b.relays[0].rcpt_reply = NULL;
		b.relays[0].hold_dots = true;
		bed_travel(&b, MINUTES(3));
		BED_UNTIL(&b, bed_has_dot, NULL);
		bed_routes(&b, bed_plain, split);
		BED_UNTIL(&b, first_pass_is_over_but_for_the_job, NULL);
		b.relays[0].dot_reply = replies[i][0] != '\0' ? replies[i] : NULL;
		b.relays[0].lose_replies = replies[i][0] == '\0';
		fake_relay_answer(&b.relays[0]);
		bed_until_tried(&b, id, 2);
		BED_UNTIL(&b, first_pass_is_over, NULL);
		bed_travel(&b, MINUTES(15));
		bed_until_state(&b, id, 0, STORE_SENT);
		assert_int_equal(b.relays[1].contents, 1);
		bed_down(&b);
	}
}

static void
routes_exchanged_while_the_program_was_down_are_noticed(void **state)
{
	static const struct bed_route split[] = { { 1, NULL, false }, { 2, "x@a.example", false },
		{ 0 } };
	struct bed b;
	struct bed_mail x = { .from = "x@a.example", .to = TO("x1@b.example") };

	(void)state;
	bed_init(&b);
	bed_up(&b);
	fake_relay_down(&b.relays[0], true);
	struct msg_id id = bed_send(&b, &x);
	BED_UNTIL(&b, way_is_closed, NULL);
	bed_quiet(&b);
	bed_close(&b);
	relay_book_unref(&b.book);
	b.book = bed_make_book(&b, bed_plain, split);
	bed_open(&b);
	bed_until_state(&b, id, 0, STORE_SENT);
	assert_int_equal(b.relays[1].contents, 1);
	/* The next start finds the keys in order. */
	bed_travel(&b, MINUTES(4));
	BED_UNTIL(&b, nothing_is_suspect, NULL);
	bed_quiet(&b);
	bed_close(&b);
	bed_open(&b);
	assert_int_equal(b.d->n_suspect, 0);
	bed_down(&b);
}

/* ---- the window ---- */

static bool
window_has_room(struct bed *b, const void *arg)
{
	(void)arg;
	return queue_held(b->d->queue) <= 48 && bed_is_quiet(b, NULL);
}

static void
a_closed_group_leaves_a_crowded_window_and_comes_back(void **state)
{
	struct bed b;
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example") };
	struct msg_id ids[60];

	(void)state;
	bed_init(&b);
	b.window = (struct queue_limits){ .capacity = 64,
		.account_share = 64,
		.dest_share = 64,
		.group_share = 64,
		.waiting_share = 64 };
	bed_up(&b);
	b.relays[0].rcpt_reply = "450 4.2.0 later";
	b.relays[0].rcpt_odd = "r@b.example";
	for (size_t i = 0; i < COUNT_OF(ids); i++) {
		ids[i] = bed_send(&b, &mail);
		bed_until_tried(&b, ids[i], 1);
	}
	assert_true(queue_held(b.d->queue) > 48);
	fake_relay_down(&b.relays[0], true);
	bed_travel(&b, HOURS(1));
	BED_UNTIL(&b, way_is_closed, NULL);
	BED_UNTIL(&b, window_has_room, NULL);
	b.relays[0].rcpt_reply = NULL;
	fake_relay_up(&b.relays[0]);
	for (int i = 0; i < 10; i++)
		bed_travel(&b, HOURS(1));
	for (size_t i = 0; i < COUNT_OF(ids); i++)
		bed_until_state(&b, ids[i], 0, STORE_SENT);
	assert_int_equal(b.ledger->n, COUNT_OF(ids));
	bed_totals(&b);
	bed_down(&b);
}

/* ---- stopping ---- */

static bool
is_dialling(struct bed *b, const void *arg)
{
	(void)arg;
	return b->d->links.count != 0;
}

static void
stopping_while_a_connection_is_opened_leaves_the_mail_queued(void **state)
{
	struct bed b;
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example") };

	(void)state;
	bed_init(&b);
	bed_up(&b);
	struct msg_id id = bed_send(&b, &mail);
	BED_UNTIL(&b, is_dialling, NULL);
	bed_close(&b);
	bed_open(&b);
	bed_until_state(&b, id, 0, STORE_SENT);
	assert_int_equal(ledger_count(b.ledger, "r@b.example"), 1);
	assert_int_equal(bed_totals(&b).in_doubt, 0);
	bed_down(&b);
}

static void
stopping_waits_for_the_reply_to_a_dot(void **state)
{
	struct bed b;
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example") };

	(void)state;
	bed_init(&b);
	bed_up(&b);
	b.relays[0].hold_dots = true;
	struct msg_id id = bed_send(&b, &mail);
	BED_UNTIL(&b, bed_has_dot, NULL);
	bed_stop(&b);
	assert_false(b.is_idle);
	fake_relay_answer(&b.relays[0]);
	BED_UNTIL(&b, bed_is_set, &b.is_idle);
	assert_int_equal(bed_state(&b, id, 0), STORE_SENT);
	bed_down(&b);
}

/* ---- crashes ---- */

static bool
is_on_ledger(struct bed *b, const void *arg)
{
	return ledger_count(b->ledger, arg) != 0;
}

static void
send_and_crash_with_the_relay_down(struct bed *b)
{
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example") };

	fake_relay_down(&b->relays[0], true);
	bed_send(b, &mail);
	BED_UNTIL(b, way_is_closed, NULL);
}

static void
crash_right_after_the_accept(struct bed *b)
{
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example") };

	bed_send(b, &mail);
}

static void
crash_with_the_dot_out(struct bed *b)
{
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example") };

	b->relays[0].hold_dots = true;
	bed_send(b, &mail);
	BED_UNTIL(b, bed_has_dot, NULL);
	/* The relay has it; we shall never hear of that. */
	fake_relay_answer(&b->relays[0]);
}

static void
crash_with_the_dot_out_at_most_once(struct bed *b)
{
	struct bed_mail mail = {
		.from = "a@a.example", .to = TO("r@b.example"), .doubt = QUEUE_DOUBT_AT_MOST_ONCE
	};

	b->relays[0].hold_dots = true;
	bed_send(b, &mail);
	BED_UNTIL(b, bed_has_dot, NULL);
	fake_relay_answer(&b->relays[0]);
}

static void
crash_in_doubt(struct bed *b)
{
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example") };

	b->relays[0].lose_replies = 1;
	bed_until_state(b, bed_send(b, &mail), 0, STORE_IN_DOUBT);
}

static void
crash_after_a_bounce(struct bed *b)
{
	struct bed_mail mail = { .from = "a@a.example", .to = TO("r@b.example", "s@b.example") };

	b->relays[0].rcpt_reply = "550 5.1.1 no such user";
	b->relays[0].rcpt_odd = "r@b.example";
	bed_until_state(b, bed_send(b, &mail), 0, STORE_BOUNCED);
}

static void
crash_while_one_of_many_is_sent(struct bed *b)
{
	struct bed_mail mail = { .from = "a@a.example",
		.to = TO("r@b.example", "s@b.example", "t@b.example") };

	bed_send(b, &mail);
	BED_UNTIL(b, is_on_ledger, "r@b.example");
}

static bool
nothing_waits(struct bed *b, const void *arg)
{
	struct store_totals t = bed_totals(b);

	(void)arg;
	return t.queued == 0 && t.in_doubt == 0 && bed_is_quiet(b, NULL);
}

static bool
nothing_but_doubts_waits(struct bed *b, const void *arg)
{
	(void)arg;
	return bed_totals(b).queued == 0 && bed_is_quiet(b, NULL);
}

/* Runs `before` in a process of its own, which ends without a word, then starts anew. */
static void
crash_and_reopen(struct bed *b, void (*before)(struct bed *b))
{
	int status;

#if defined(__SANITIZE_THREAD__)
	skip(); /* its run-time does not survive a fork */
#endif
	bed_init(b);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		b->in_child = true;
		bed_up(b);
		before(b);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	bed_up(b);
}

static void
after_a_crash_everything_accepted_arrives(void **state)
{
	static const struct {
		void (*before)(struct bed *b);
		unsigned most; /* copies of each, where it is sent twice by policy */
		unsigned sent, bounced, unknown;
	} rows[] = {
		{ send_and_crash_with_the_relay_down, 1, 1, 0, 0 },
		{ crash_right_after_the_accept, 2, 1, 0, 0 },
		{ crash_with_the_dot_out, 2, 1, 0, 0 },
		{ crash_in_doubt, 2, 1, 0, 0 },
		{ crash_after_a_bounce, 2, 2, 1, 0 },
		{ crash_while_one_of_many_is_sent, 2, 3, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct bed b;
		crash_and_reopen(&b, rows[i].before);
		bed_totals(&b);
		bed_travel(&b, MINUTES(2));
		BED_UNTIL(&b, nothing_waits, NULL);
		struct store_totals t = bed_totals(&b);
		assert_int_equal(t.sent, rows[i].sent);
		assert_int_equal(t.bounced, rows[i].bounced);
		assert_int_equal(t.unknown, rows[i].unknown);
		for (size_t k = 0; k < b.ledger->n; k++)
			assert_in_range(
			    ledger_count(b.ledger, b.ledger->v[k].rcpt), 1, rows[i].most);
		bed_down(&b);
	}
}

static void
after_a_crash_at_most_once_asks_a_person(void **state)
{
	struct bed b;
	struct msg_id id = { 1 };

	(void)state;
	crash_and_reopen(&b, crash_with_the_dot_out_at_most_once);
	assert_int_equal(bed_totals(&b).in_doubt, 1);
	bed_travel(&b, DAYS(3));
	BED_UNTIL(&b, nothing_but_doubts_waits, NULL);
	assert_int_equal(bed_state(&b, id, 0), STORE_IN_DOUBT);
	assert_int_equal(ledger_count(b.ledger, "r@b.example"), 1);
	assert_int_equal(bed_wish(&b, DELIVER_SENT, id, 0), RC_OK);
	assert_int_equal(bed_state(&b, id, 0), STORE_SENT);
	bed_down(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_goes_out_and_is_sent),
		cmocka_unit_test(one_refused_recipient_bounces_and_the_sender_is_told),
		cmocka_unit_test(a_report_that_bounces_is_the_end_of_it),
		cmocka_unit_test(who_asks_not_to_be_told_is_not),
		cmocka_unit_test(success_asked_of_a_relay_without_dsn_is_told_as_relayed),
		cmocka_unit_test(
		    a_relay_that_is_down_costs_no_life_and_gets_everything_when_it_is_up),
		cmocka_unit_test(a_lost_reply_is_repeated_once_where_that_is_the_policy),
		cmocka_unit_test(a_second_doubt_is_unknown_and_nobody_is_told_of_a_failure),
		cmocka_unit_test(at_most_once_waits_for_a_person_in_a_doubt),
		cmocka_unit_test(a_deadline_that_passes_in_doubt_ends_as_unknown),
		cmocka_unit_test(a_wait_that_the_reply_names_is_kept),
		cmocka_unit_test(a_deadline_ends_what_waits_and_the_report_knows_the_message),
		cmocka_unit_test(life_that_is_spent_ends_what_waits),
		cmocka_unit_test(a_held_sender_waits_without_spending_life_and_nobody_else_waits),
		cmocka_unit_test(recipients_share_transactions_up_to_the_relays_limit),
		cmocka_unit_test(a_rewritten_sender_is_seen_by_the_relay_alone),
		cmocka_unit_test(an_address_beyond_ascii_bounces_alone),
		cmocka_unit_test(wishes_are_carried_out_in_the_states_that_allow_them),
		cmocka_unit_test(a_recipient_that_is_being_sent_cannot_be_cancelled),
		cmocka_unit_test(a_kept_connection_that_the_relay_closed_costs_no_retry),
		cmocka_unit_test(a_relay_that_shows_everybody_out_is_not_stormed),
		cmocka_unit_test(a_connection_cut_in_the_middle_is_one_fault_not_two),
		cmocka_unit_test(content_that_is_gone_from_disk_ends_as_failed_and_is_told),
		cmocka_unit_test(a_relay_taken_out_of_the_book_finishes_what_it_has),
		cmocka_unit_test(new_routes_move_what_waits_on_disk_in_memory_and_held),
		cmocka_unit_test(mail_with_an_old_key_finds_its_new_group),
		cmocka_unit_test(mail_that_was_being_sent_while_it_was_moved_is_found_again),
		cmocka_unit_test(routes_exchanged_while_the_program_was_down_are_noticed),
		cmocka_unit_test(a_closed_group_leaves_a_crowded_window_and_comes_back),
		cmocka_unit_test(stopping_while_a_connection_is_opened_leaves_the_mail_queued),
		cmocka_unit_test(stopping_waits_for_the_reply_to_a_dot),
		cmocka_unit_test(after_a_crash_everything_accepted_arrives),
		cmocka_unit_test(after_a_crash_at_most_once_asks_a_person),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

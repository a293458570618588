#include "store/test_store.h"

static struct store_attempt
attempt(uint16_t code, const char *text)
{
	return (struct store_attempt){ .at_us = clock_wall_us(),
		.duration_us = 1500,
		.version = { 3 },
		.code = code,
		.stage = 9,
		.attribution = 2,
		.enhanced = STR("2.0.0"),
		.text = str_from(text),
		.remote = STR("192.0.2.9:25"),
		.tls = STR("TLSv1.3"),
		.peer = STR("mx.example.net") };
}

static void
a_sent_recipient_is_final_and_its_attempt_tells_all(void **state)
{
	struct bed b;
	struct arena a = { 0 };
	struct store_attempt_list list = { .max = 10 };
	struct store_attempt facts = attempt(250, "Ok: queued as 12");

	(void)state;
	bed_up(&b);
	bed_grant(&b);
	struct store_message *m = bed_fresh(&b, 1);
	struct store_result r = bed_result(m, 0, STORE_QUEUED, STORE_SENT);
	r.attempt = bed_finish(&b, m);
	r.facts = &facts;
	bed_outcome(&b, &r, 1);
	assert_false(r.was_final);
	assert_int_equal(bed_state(&b, m->rcpts[0].id), STORE_SENT);
	struct store_totals t = bed_totals(&b);
	assert_int_equal(t.sent, 1);
	assert_int_equal(t.queued, 0);
	struct store_reader *reader = bed_reader(&b);
	assert_int_equal(store_query_attempts(reader, m->rcpts[0].id, &list, &a, NULL), RC_OK);
	assert_int_equal(list.n, 1);
	assert_int_equal(list.rows[0].id, r.attempt);
	assert_false(list.rows[0].is_open);
	assert_int_equal(list.rows[0].facts.code, 250);
	assert_int_equal(list.rows[0].facts.version.v, 3);
	assert_int_equal(list.rows[0].facts.attribution, 2);
	assert_true(str_eq(list.rows[0].facts.text, STR("Ok: queued as 12")));
	assert_true(str_eq(list.rows[0].facts.remote, STR("192.0.2.9:25")));
	assert_true(str_eq(list.rows[0].facts.peer, STR("mx.example.net")));
	store_reader_free(&reader);
	arena_done(&a);
	store_message_free(&m);
	bed_down(&b);
}

static void
an_attempt_about_to_finish_shows_as_open(void **state)
{
	struct bed b;
	struct arena a = { 0 };
	struct store_attempt_list list = { .max = 10 };

	(void)state;
	bed_up(&b);
	bed_grant(&b);
	struct store_message *m = bed_fresh(&b, 2);
	uint64_t first = bed_finish(&b, m);
	struct store_reader *reader = bed_reader(&b);
	assert_int_equal(store_query_attempts(reader, m->rcpts[1].id, &list, &a, NULL), RC_OK);
	assert_int_equal(list.n, 1);
	assert_int_equal(list.rows[0].id, first + 1);
	assert_true(list.rows[0].is_open);
	store_reader_free(&reader);
	arena_done(&a);
	store_message_free(&m);
	bed_down(&b);
}

static void
attempts_are_told_in_their_order_newest_kept(void **state)
{
	struct bed b;
	struct arena a = { 0 };
	struct store_attempt_list list = { .max = 3 };

	(void)state;
	bed_up(&b);
	bed_grant(&b);
	struct store_message *m = bed_fresh(&b, 1);
	for (uint16_t i = 0; i < 5; i++) {
		struct store_attempt facts = attempt((uint16_t)(450 + i), "later");
		struct store_result r = bed_result(m, 0, STORE_QUEUED, STORE_QUEUED);
		r.due_us = clock_wall_us() + MINUTES(i + 1);
		r.attempts = (uint16_t)(i + 1);
		r.facts = &facts;
		bed_outcome(&b, &r, 1);
	}
	struct store_reader *reader = bed_reader(&b);
	assert_int_equal(store_query_attempts(reader, m->rcpts[0].id, &list, &a, NULL), RC_OK);
	assert_int_equal(list.n, 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(list.rows[i].facts.code, 452 + i);
	store_reader_free(&reader);
	arena_done(&a);
	store_message_free(&m);
	bed_down(&b);
}

static void
a_deferred_recipient_comes_back_by_refill_with_what_was_told(void **state)
{
	struct bed b;
	struct store_refill refill = { .group = { 1 }, .max = 10 };

	(void)state;
	bed_up(&b);
	bed_grant(&b);
	struct store_message *m = bed_fresh(&b, 1);
	struct store_result r = bed_result(m, 0, STORE_QUEUED, STORE_QUEUED);
	r.due_us = clock_wall_us() + MINUTES(2);
	r.attempts = 4;
	r.lived_us = 77;
	bed_outcome(&b, &r, 1);
	refill.before_us = r.due_us;
	assert_int_equal(bed_ask(&b, &refill.op, STORE_REFILL), RC_OK);
	assert_int_equal(refill.n, 1);
	assert_int_equal(refill.rows[0].rcpt.v, m->rcpts[0].id.v);
	assert_int_equal(refill.rows[0].attempts, 4);
	assert_int_equal(refill.rows[0].lived_us, 77);
	assert_int_equal(refill.rows[0].segment, m->at.segment);
	assert_true(str_eq(refill.rows[0].address, STR("r0@example.net")));
	assert_true(str_eq(refill.rows[0].sender, STR("a@example.com")));
	store_refill_done(&refill);
	store_message_free(&m);
	bed_down(&b);
}

static void
a_recipient_moves_to_another_group(void **state)
{
	struct bed b;
	struct store_refill refill = { .group = { 2 }, .before_us = TIME_NEVER, .max = 10 };

	(void)state;
	bed_up(&b);
	bed_grant(&b);
	struct store_message *m = bed_fresh(&b, 1);
	struct store_message *other = bed_message("x", 1);
	other->rcpts[0].group_key = STR("other");
	bed_accept(&b, other);
	struct store_result r = bed_result(m, 0, STORE_QUEUED, STORE_QUEUED);
	r.due_us = 5;
	r.to_group.v = 2;
	bed_outcome(&b, &r, 1);
	assert_int_equal(bed_ask(&b, &refill.op, STORE_REFILL), RC_OK);
	assert_int_equal(refill.n, 2);
	assert_int_equal(refill.rows[0].rcpt.v, m->rcpts[0].id.v);
	store_refill_done(&refill);
	store_message_free(&m);
	bed_down(&b);
}

static void
recipients_of_one_message_end_in_their_own_ways(void **state)
{
	struct bed b;
	struct store_attempt ok = attempt(250, "ok"), no = attempt(550, "no such user");
	struct store_result r[3];

	(void)state;
	bed_up(&b);
	bed_grant(&b);
	struct store_message *m = bed_fresh(&b, 3);
	uint64_t first = bed_finish(&b, m);
	for (uint32_t i = 0; i < 3; i++) {
		r[i] = bed_result(m, i, STORE_QUEUED, i == 0 ? STORE_SENT : STORE_BOUNCED);
		r[i].facts = i == 0 ? &ok : &no;
		r[i].attempt = first + i;
	}
	bed_outcome(&b, r, 3);
	struct store_totals t = bed_totals(&b);
	assert_int_equal(t.sent, 1);
	assert_int_equal(t.bounced, 2);
	store_message_free(&m);
	bed_down(&b);
}

static void
a_bounce_is_accepted_in_the_commit_of_its_cause(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	bed_grant(&b);
	struct store_message *m = bed_fresh(&b, 1);
	struct store_message *bounce = bed_message("It did not arrive\r\n", 1);
	bounce->kind = STORE_BOUNCE;
	bounce->about = m->id;
	bounce->sender = (struct str){ 0 };
	struct store_result r = bed_result(m, 0, STORE_QUEUED, STORE_BOUNCED);
	struct store_outcome op = { .results = &r, .n = 1, .generated = &bounce, .n_generated = 1 };
	assert_int_equal(bed_ask(&b, &op.op, STORE_OUTCOME), RC_OK);
	assert_null(bounce);
	bounce = bed_hear_fresh(&b);
	assert_int_equal(bounce->about.v, m->id.v);
	struct store_totals t = bed_totals(&b);
	assert_int_equal(t.accepted, 1);
	assert_int_equal(t.generated, 1);
	assert_int_equal(t.bounced, 1);
	assert_int_equal(t.queued, 1);
	store_message_free(&bounce);
	store_message_free(&m);
	bed_down(&b);
}

static void
a_final_state_stands_unless_the_mail_went_out(void **state)
{
	struct bed b;
	struct store_attempt later = attempt(451, "later"), ok = attempt(250, "ok");

	(void)state;
	bed_up(&b);
	bed_grant(&b);
	struct store_message *m = bed_fresh(&b, 1);
	struct store_result cancel = bed_result(m, 0, STORE_QUEUED, STORE_CANCELLED);
	bed_outcome(&b, &cancel, 1);

	struct store_result r = bed_result(m, 0, STORE_QUEUED, STORE_QUEUED);
	r.due_us = clock_wall_us();
	r.facts = &later;
	bed_outcome(&b, &r, 1);
	assert_true(r.was_final);
	assert_int_equal(bed_state(&b, m->rcpts[0].id), STORE_CANCELLED);
	assert_int_equal(bed_totals(&b).cancelled, 1);

	r = bed_result(m, 0, STORE_QUEUED, STORE_SENT);
	r.facts = &ok;
	bed_outcome(&b, &r, 1);
	assert_true(r.was_final);
	assert_int_equal(bed_state(&b, m->rcpts[0].id), STORE_SENT);
	assert_int_equal(bed_totals(&b).sent, 1);
	assert_int_equal(bed_totals(&b).cancelled, 0);
	store_message_free(&m);
	bed_down(&b);
}

static void
an_open_state_other_than_expected_is_still_counted_right(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	bed_grant(&b);
	struct store_message *m = bed_fresh(&b, 1);
	struct store_result r = bed_result(m, 0, STORE_QUEUED, STORE_IN_DOUBT);
	bed_outcome(&b, &r, 1);
	assert_int_equal(bed_totals(&b).in_doubt, 1);
	r = bed_result(m, 0, STORE_QUEUED, STORE_UNKNOWN);
	bed_outcome(&b, &r, 1);
	assert_false(r.was_final);
	assert_int_equal(bed_totals(&b).in_doubt, 0);
	assert_int_equal(bed_totals(&b).unknown, 1);
	store_message_free(&m);
	bed_down(&b);
}

static void
attempts_are_counted_by_hour_version_and_attribution(void **state)
{
	struct bed b;
	struct arena a = { 0 };
	struct store_stat_list q = { .until_hour = INT64_MAX, .max = 10 };
	struct store_attempt ok = attempt(250, "ok");

	(void)state;
	ok.at_us = HOURS(1000) + 5;
	bed_up(&b);
	bed_grant(&b);
	struct store_message *m = bed_fresh(&b, 2);
	struct store_result r[2] = { bed_result(m, 0, STORE_QUEUED, STORE_SENT),
		bed_result(m, 1, STORE_QUEUED, STORE_SENT) };
	r[0].facts = r[1].facts = &ok;
	bed_outcome(&b, &r[0], 1);
	bed_outcome(&b, &r[1], 1);
	struct store_reader *reader = bed_reader(&b);
	assert_int_equal(store_query_stats(reader, &q, &a, NULL), RC_OK);
	assert_int_equal(q.n, 1);
	assert_int_equal(q.rows[0].hour, 1000);
	assert_int_equal(q.rows[0].version.v, 3);
	assert_int_equal(q.rows[0].state, STORE_SENT);
	assert_int_equal(q.rows[0].attribution, 2);
	assert_int_equal(q.rows[0].count, 2);
	store_reader_free(&reader);
	arena_done(&a);
	store_message_free(&m);
	bed_down(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sent_recipient_is_final_and_its_attempt_tells_all),
		cmocka_unit_test(an_attempt_about_to_finish_shows_as_open),
		cmocka_unit_test(attempts_are_told_in_their_order_newest_kept),
		cmocka_unit_test(a_deferred_recipient_comes_back_by_refill_with_what_was_told),
		cmocka_unit_test(a_recipient_moves_to_another_group),
		cmocka_unit_test(recipients_of_one_message_end_in_their_own_ways),
		cmocka_unit_test(a_bounce_is_accepted_in_the_commit_of_its_cause),
		cmocka_unit_test(a_final_state_stands_unless_the_mail_went_out),
		cmocka_unit_test(an_open_state_other_than_expected_is_still_counted_right),
		cmocka_unit_test(attempts_are_counted_by_hour_version_and_attribution),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

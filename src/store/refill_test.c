#include "store/test_store.h"

/* Rows of `account`, each with its own created time so that their order is known. */
static void
put_rows(struct bed *b, uint64_t account, int n)
{
	for (int i = 0; i < n; i++) {
		struct store_message *m = bed_message("x", 1);
		m->account.v = account;
		m->created_us = 1000 + i;
		bed_accept(b, m);
	}
}

static uint32_t
refill(struct bed *b, struct store_refill *r)
{
	if (bed_ask(b, &r->op, STORE_REFILL) != RC_OK)
		fail_msg("refill: %s", r->op.fault.text);
	return r->n;
}

static void
pages_follow_one_another_without_gap_or_repeat(void **state)
{
	struct bed b;
	struct store_refill r = { .group = { 1 }, .before_us = TIME_NEVER, .max = 4 };
	uint64_t seen[32] = { 0 };
	size_t n = 0;

	(void)state;
	bed_up(&b);
	put_rows(&b, 2, 7);
	put_rows(&b, 1, 6);
	do {
		refill(&b, &r);
		for (uint32_t i = 0; i < r.n; i++) {
			for (size_t k = 0; k < n; k++)
				assert_int_not_equal(seen[k], r.rows[i].rcpt.v);
			seen[n++] = r.rows[i].rcpt.v;
		}
		r.after = r.last;
	} while (r.last.rcpt.v != 0 || r.last.account.v != 0);
	assert_int_equal(n, 13);
	store_refill_done(&r);
	bed_down(&b);
}

static void
rows_of_one_due_time_are_paged_by_id(void **state)
{
	struct bed b;
	struct store_refill r = { .group = { 1 }, .before_us = TIME_NEVER, .max = 7 };
	uint64_t last = 0;
	uint32_t n = 0;

	(void)state;
	bed_up(&b);
	struct store_message *m = bed_message("x", 50);
	m->created_us = 1000;
	bed_accept(&b, m);
	put_rows(&b, 1, 3);
	do {
		refill(&b, &r);
		for (uint32_t i = 0; i < r.n; i++, n++) {
			assert_true(n >= 51 || r.rows[i].rcpt.v > last);
			last = r.rows[i].rcpt.v;
		}
		r.after = r.last;
	} while (r.last.account.v != 0);
	assert_int_equal(n, 53);
	store_refill_done(&r);
	bed_down(&b);
}

static void
an_account_gets_no_more_than_its_share_of_a_page(void **state)
{
	struct bed b;
	struct store_refill r = { .group = { 1 }, .before_us = TIME_NEVER, .max = 100, .share = 3 };
	int of[4] = { 0 };

	(void)state;
	bed_up(&b);
	put_rows(&b, 1, 20);
	put_rows(&b, 2, 2);
	put_rows(&b, 3, 5);
	assert_int_equal(refill(&b, &r), 8);
	for (uint32_t i = 0; i < r.n; i++)
		of[r.rows[i].account.v]++;
	assert_int_equal(of[1], 3);
	assert_int_equal(of[2], 2);
	assert_int_equal(of[3], 3);
	/* The end was reached, but not everything was taken: that is told, or nobody would come
	 * back. */
	assert_int_equal(r.last.account.v, 0);
	assert_true(r.next_due_us != TIME_NEVER);
	store_refill_done(&r);
	bed_down(&b);
}

static void
one_account_can_be_asked_for_alone(void **state)
{
	struct bed b;
	struct store_refill r = {
		.group = { 1 }, .only = { 2 }, .before_us = TIME_NEVER, .max = 3
	};

	(void)state;
	bed_up(&b);
	put_rows(&b, 1, 4);
	put_rows(&b, 2, 5);
	put_rows(&b, 3, 4);
	assert_int_equal(refill(&b, &r), 3);
	assert_int_equal(r.rows[0].account.v, 2);
	r.after = r.last;
	assert_int_equal(refill(&b, &r), 2);
	assert_int_equal(r.last.account.v, 0);
	store_refill_done(&r);
	bed_down(&b);
}

static void
the_oldest_comes_first_and_the_future_not_at_all(void **state)
{
	struct bed b;
	struct store_refill r = { .group = { 1 }, .before_us = 1003, .max = 100 };

	(void)state;
	bed_up(&b);
	put_rows(&b, 1, 8);
	assert_int_equal(refill(&b, &r), 4);
	for (uint32_t i = 0; i < r.n; i++)
		assert_int_equal(r.rows[i].due_us, 1000 + i);
	assert_int_equal(r.next_due_us, 1004);
	store_refill_done(&r);
	bed_down(&b);
}

static void
lanes_and_groups_are_apart(void **state)
{
	struct bed b;
	struct store_refill r = { .group = { 1 }, .before_us = TIME_NEVER, .max = 100 };

	(void)state;
	bed_up(&b);
	put_rows(&b, 1, 2);
	struct store_message *m = bed_message("x", 1);
	m->stream = STREAM_BULK;
	bed_accept(&b, m);
	m = bed_message("x", 1);
	m->rcpts[0].group_key = STR("other");
	bed_accept(&b, m);
	assert_int_equal(refill(&b, &r), 2);
	r.lane = STREAM_BULK;
	assert_int_equal(refill(&b, &r), 1);
	r.group.v = 2;
	assert_int_equal(refill(&b, &r), 0);
	r.lane = STREAM_TRANSACTIONAL;
	assert_int_equal(refill(&b, &r), 1);
	store_refill_done(&r);
	bed_down(&b);
}

static void
a_finished_row_does_not_come_again(void **state)
{
	struct bed b;
	struct store_refill r = { .group = { 1 }, .before_us = TIME_NEVER, .max = 100 };

	(void)state;
	bed_up(&b);
	put_rows(&b, 1, 3);
	assert_int_equal(refill(&b, &r), 3);
	struct store_result done = { .rcpt = r.rows[1].rcpt,
		.msg = r.rows[1].msg,
		.account = r.rows[1].account,
		.n_rcpts = 1,
		.segment = r.rows[1].segment,
		.from = r.rows[1].state,
		.to = STORE_SENT,
		.at_us = 9 };
	bed_outcome(&b, &done, 1);
	assert_int_equal(refill(&b, &r), 2);
	store_refill_done(&r);
	bed_down(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_follow_one_another_without_gap_or_repeat),
		cmocka_unit_test(rows_of_one_due_time_are_paged_by_id),
		cmocka_unit_test(an_account_gets_no_more_than_its_share_of_a_page),
		cmocka_unit_test(one_account_can_be_asked_for_alone),
		cmocka_unit_test(the_oldest_comes_first_and_the_future_not_at_all),
		cmocka_unit_test(lanes_and_groups_are_apart),
		cmocka_unit_test(a_finished_row_does_not_come_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "store/test_store.h"

static void
messages_are_listed_newest_first_in_pages(void **state)
{
	struct bed b;
	struct arena a = { 0 };
	struct store_message_list q = { .max = 3 };
	uint64_t last = UINT64_MAX;
	uint32_t n = 0;

	(void)state;
	bed_up(&b);
	for (int i = 0; i < 8; i++)
		bed_accept(&b, bed_message("x", 2));
	struct store_reader *r = bed_reader(&b);
	do {
		assert_int_equal(store_query_messages(r, &q, &a, NULL), RC_OK);
		for (uint32_t i = 0; i < q.n; i++, n++) {
			assert_true(q.rows[i].id.v < last);
			assert_int_equal(q.rows[i].counts[STORE_QUEUED], 2);
			last = q.rows[i].id.v;
		}
		q.before = q.next;
	} while (q.next.v != 0);
	assert_int_equal(n, 8);
	store_reader_free(&r);
	arena_done(&a);
	bed_down(&b);
}

static void
messages_are_filtered_by_what_people_know_of_them(void **state)
{
	struct bed b;
	struct arena a = { 0 };
	struct store_message_list q = { .max = 10 };

	(void)state;
	bed_up(&b);
	struct store_message *m = bed_message("x", 1);
	m->sender = STR("Shop@Example.ORG");
	m->tag = STR("order");
	m->account.v = 4;
	bed_accept(&b, m);
	bed_accept(&b, bed_message("x", 1));
	struct store_reader *r = bed_reader(&b);
	q.filter.sender = STR("@example.org");
	assert_int_equal(store_query_messages(r, &q, &a, NULL), RC_OK);
	assert_int_equal(q.n, 1);
	q.filter.sender = STR("shop@example.org");
	assert_int_equal(store_query_messages(r, &q, &a, NULL), RC_OK);
	assert_int_equal(q.n, 1);
	q.filter.sender = STR("@ample.org");
	assert_int_equal(store_query_messages(r, &q, &a, NULL), RC_OK);
	assert_int_equal(q.n, 0);
	q.filter = (struct store_message_filter){ .tag = STR("order") };
	assert_int_equal(store_query_messages(r, &q, &a, NULL), RC_OK);
	assert_int_equal(q.n, 1);
	q.filter = (struct store_message_filter){ .account = { 4 } };
	assert_int_equal(store_query_messages(r, &q, &a, NULL), RC_OK);
	assert_int_equal(q.n, 1);
	q.filter = (struct store_message_filter){ .since_us = clock_wall_us() + HOURS(1) };
	assert_int_equal(store_query_messages(r, &q, &a, NULL), RC_OK);
	assert_int_equal(q.n, 0);
	store_reader_free(&r);
	arena_done(&a);
	bed_down(&b);
}

/* Two in the dispatcher's hands, three with a due time, one captured, one held, one in doubt, one
 * done. */
static void
fill_queue(struct bed *b)
{
	bed_accept(b, bed_message("x", 2));
	bed_hush(b);
	bed_grant(b);
	struct store_message *hand = bed_fresh(b, 2);
	store_message_free(&hand);
	struct store_message *m = bed_fresh(b, 3);
	struct store_result r[3] = { bed_result(m, 0, STORE_QUEUED, STORE_IN_DOUBT),
		bed_result(m, 1, STORE_QUEUED, STORE_SENT),
		bed_result(m, 2, STORE_QUEUED, STORE_QUEUED) };
	r[2].due_us = clock_wall_us() + HOURS(1);
	bed_outcome(b, r, 3);
	store_message_free(&m);
	m = bed_message("x", 2);
	m->rcpts[0].born = STORE_CAPTURED;
	m->rcpts[1].born = STORE_HELD;
	m->stream = STREAM_BULK;
	bed_accept(b, m);
}

static uint32_t
list_queue(struct bed *b, struct store_queue_filter filter, uint32_t page)
{
	struct store_reader *r = bed_reader(b);
	struct arena a = { 0 };
	struct store_queue_list q = { .filter = filter, .max = page };
	uint64_t seen[64];
	uint32_t n = 0;

	do {
		assert_int_equal(store_query_queue(r, &q, &a, NULL), RC_OK);
		for (uint32_t i = 0; i < q.n; i++) {
			for (uint32_t k = 0; k < n; k++)
				assert_int_not_equal(seen[k], q.rows[i].rcpt.id.v);
			seen[n++] = q.rows[i].rcpt.id.v;
			assert_true(str_eq(q.rows[i].sender, STR("a@example.com")));
		}
	} while (!q.end);
	store_reader_free(&r);
	arena_done(&a);
	return n;
}

static void
every_open_recipient_is_listed_once_wherever_it_is(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	fill_queue(&b);
	for (uint32_t page = 1; page < 10; page++)
		assert_int_equal(list_queue(&b, (struct store_queue_filter){ 0 }, page), 8);
	bed_down(&b);
}

static void
the_queue_is_filtered(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	fill_queue(&b);
	assert_int_equal(
	    list_queue(
		&b, (struct store_queue_filter){ .by_state = true, .state = STORE_QUEUED }, 2),
	    5);
	assert_int_equal(
	    list_queue(
		&b, (struct store_queue_filter){ .by_state = true, .state = STORE_IN_DOUBT }, 2),
	    1);
	assert_int_equal(
	    list_queue(&b, (struct store_queue_filter){ .by_lane = true, .lane = STREAM_BULK }, 2),
	    2);
	assert_int_equal(
	    list_queue(&b, (struct store_queue_filter){ .address = STR("r2@example.net") }, 2), 1);
	assert_int_equal(list_queue(&b, (struct store_queue_filter){ .group = { 1 } }, 2), 8);
	assert_int_equal(list_queue(&b, (struct store_queue_filter){ .group = { 2 } }, 2), 0);
	assert_int_equal(list_queue(&b, (struct store_queue_filter){ .account = { 9 } }, 2), 0);
	bed_down(&b);
}

static void
counts_agree_with_the_rows(void **state)
{
	struct bed b;
	struct arena a = { 0 };
	struct store_aside aside[STORE_STATE_COUNT];
	struct store_backlog *backlog;
	uint32_t n = 0;
	struct str key;

	(void)state;
	bed_up(&b);
	fill_queue(&b);
	struct store_reader *r = bed_reader(&b);
	assert_int_equal(store_query_aside(r, aside, NULL), RC_OK);
	assert_int_equal(aside[STORE_IN_DOUBT].rows, 1);
	assert_int_equal(aside[STORE_HELD].rows, 1);
	assert_int_equal(aside[STORE_CAPTURED].rows, 1);
	assert_true(aside[STORE_CAPTURED].oldest_us > 0);
	assert_int_equal(store_query_backlog(r, 10, &a, &backlog, &n, NULL), RC_OK);
	assert_int_equal(n, 1);
	assert_int_equal(backlog[0].rows, 3);
	assert_int_equal(store_query_group(r, backlog[0].group, &a, &key, NULL), RC_OK);
	assert_true(str_eq(key, STR("default")));
	assert_int_equal(
	    store_query_group(r, (struct group_id){ 77 }, &a, &key, NULL), RC_NOT_FOUND);
	struct store_totals t = bed_totals(&b);
	assert_int_equal(t.queued, 6);
	store_reader_free(&r);
	arena_done(&a);
	bed_down(&b);
}

static void
what_is_not_there_is_not_found(void **state)
{
	struct bed b;
	struct arena a = { 0 };
	struct store_message_row row;
	struct store_attempt_list q = { .max = 1 };

	(void)state;
	bed_up(&b);
	struct store_reader *r = bed_reader(&b);
	assert_int_equal(
	    store_query_message(r, (struct msg_id){ 5 }, &a, &row, NULL), RC_NOT_FOUND);
	assert_int_equal(
	    store_query_attempts(r, (struct rcpt_id){ 5 }, &q, &a, NULL), RC_NOT_FOUND);
	store_reader_free(&r);
	arena_done(&a);
	bed_down(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_listed_newest_first_in_pages),
		cmocka_unit_test(messages_are_filtered_by_what_people_know_of_them),
		cmocka_unit_test(every_open_recipient_is_listed_once_wherever_it_is),
		cmocka_unit_test(the_queue_is_filtered),
		cmocka_unit_test(counts_agree_with_the_rows),
		cmocka_unit_test(what_is_not_there_is_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

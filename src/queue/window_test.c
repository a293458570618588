/* Shares, wants and evictions: who may be in the window. */
#include "queue/fixture.h"

static enum rc
try_add(struct queue *q, uint64_t id, uint64_t account, uint64_t dest, enum stream lane)
{
	struct queue_spec s = spec_of(id);

	s.account_id = ACCOUNT(account);
	s.dest = dest;
	s.lane = lane;
	s.group_id = GROUP(id % 50);
	return queue_add(q, &s, T0, NULL);
}

/* How many of `n` items, each of one account and destination as told, are taken in. */
static size_t
fill(struct queue *q, uint64_t *id, uint64_t account, uint64_t dest, enum stream lane)
{
	size_t taken = 0;

	for (size_t i = 0; i < 2000; i++) {
		++*id;
		taken += try_add(q, *id, account != 0 ? account : *id, dest != 0 ? dest : *id,
			     lane) == RC_OK;
	}
	return taken;
}

static void
a_big_sender_gets_a_quarter_of_the_window_and_others_the_rest(void **state)
{
	struct queue *q = new_queue(800);
	uint64_t id = 0;

	(void)state;
	assert_int_equal(fill(q, &id, 1, 0, CODE), 200);
	assert_int_equal(fill(q, &id, 2, 0, CODE), 50);
	assert_int_equal(fill(q, &id, 1, 0, CODE), 0);
	assert_int_equal(fill(q, &id, 3, 0, CODE), 50);
	assert_int_equal(fill(q, &id, 0, 0, CODE), 500);
	assert_int_equal(fill(q, &id, 0, 0, CODE), 0);
	assert_int_equal(queue_held(q), 800);
	end(&q);
}

static void
a_slow_domain_gets_a_quarter_of_the_window_and_others_the_rest(void **state)
{
	struct queue *q = new_queue(800);
	uint64_t id = 0;

	(void)state;
	assert_int_equal(fill(q, &id, 0, 77, CODE), 200);
	assert_int_equal(fill(q, &id, 0, 78, CODE), 50);
	assert_int_equal(fill(q, &id, 0, 0, CODE), 550);
	end(&q);
}

static void
a_group_that_goes_nowhere_leaves_room_for_others(void **state)
{
	struct queue *q = new_queue(800);
	size_t taken[3] = { 0 };

	(void)state;
	for (uint64_t id = 1; id <= 3000; id++) {
		struct queue_spec s = spec_of(id);
		s.group_id = GROUP(1 + id / 1001);
		s.account_id = ACCOUNT(id);
		s.dest = id;
		taken[id / 1001] += queue_add(q, &s, T0, NULL) == RC_OK;
	}
	assert_int_equal(taken[0], 200);
	assert_int_equal(taken[1], 100);
	assert_int_equal(taken[2], 100);
	end(&q);
}

static void
bulk_never_takes_the_last_eighth(void **state)
{
	struct queue *q = new_queue(800);
	uint64_t id = 0;

	(void)state;
	assert_int_equal(fill(q, &id, 0, 0, BULK), 700);
	/* Not even the same account's bulk counts against its codes. */
	assert_int_equal(fill(q, &id, 1, 0, CODE), 100);
	assert_int_equal(fill(q, &id, 0, 0, CODE), 0);
	end(&q);
}

static void
waiting_items_take_no_more_than_their_share(void **state)
{
	struct queue *q = new_queue(800);
	struct queue_spec s;
	struct queue_item *item;

	(void)state;
	queue_open(q, GROUP(1), T0);
	add(q, spec_of(1), T0);
	for (uint64_t id = 2; id <= 399; id++) {
		s = spec_of(id);
		s.due_us = T0 + HOURS(1);
		add(q, s, T0);
	}
	item = queue_next(q, GROUP(1), CODE, T0);
	assert_int_equal(queue_defer(q, &item, T0 + HOURS(2), T0), RC_OK);
	s = spec_of(400);
	s.account_id = ACCOUNT(2);
	s.due_us = T0 + HOURS(1);
	add(q, s, T0);
	s.rcpt_id = RCPT(401);
	assert_int_equal(queue_add(q, &s, T0, NULL), RC_LIMIT);
	s.due_us = T0;
	s.group_id = GROUP(2);
	s.dest = 2;
	assert_int_equal(queue_add(q, &s, T0, &item), RC_OK);
	queue_open(q, GROUP(2), T0);
	item = queue_next(q, GROUP(2), CODE, T0);
	assert_int_equal(queue_defer(q, &item, T0 + 5, T0), RC_LIMIT);
	assert_true(queue_is_out(item));
	queue_let_go(q, &item, T0 + 5, T0);
	assert_null(item);
	assert_int_equal(queue_next_event_us(q, T0), T0 + 5);
	struct queue_want want;
	assert_false(queue_wants(q, T0 + 4, &want));
	assert_true(queue_wants(q, T0 + 5, &want));
	assert_int_equal(want.group_id.v, 2);
	queue_set_more(q, GROUP(2), CODE, TIME_NEVER, T0 + 5);
	end(&q);
}

static void
what_waits_does_not_keep_the_same_sender_out(void **state)
{
	struct queue *q = new_queue(800);
	uint64_t id = 0;

	(void)state;
	for (id = 1; id <= 400; id++) {
		struct queue_spec s = spec_of(id);
		s.due_us = T0 + HOURS(1);
		add(q, s, T0);
	}
	for (uint64_t i = 0; i < 200; i++, id++)
		assert_int_equal(try_add(q, id, 100 + id, 100 + id, CODE), RC_OK);
	assert_int_equal(fill(q, &id, 1, 1, CODE), 50);
	/* Once they are due they count. */
	queue_open(q, GROUP(1), T0 + HOURS(1));
	assert_int_equal(fill(q, &id, 1, 2, CODE), 0);
	assert_int_equal(fill(q, &id, 2, 2, CODE), 50);
	end(&q);
}

static struct queue *
queue_with_pages(size_t capacity, size_t low_water, size_t page)
{
	return queue_new(
	    &(struct queue_limits){ .capacity = capacity, .low_water = low_water, .page = page });
}

static void
only_open_lanes_that_run_low_and_have_more_are_wanted(void **state)
{
	struct queue *q = queue_with_pages(1000, 10, 50);
	struct queue_want want;

	(void)state;
	queue_set_more(q, GROUP(1), CODE, T0, T0);
	assert_false(queue_wants(q, T0, &want));
	queue_open(q, GROUP(1), T0);
	queue_open(q, GROUP(2), T0);
	assert_true(queue_wants(q, T0, &want));
	assert_int_equal(want.group_id.v, 1);
	assert_int_equal(want.lane, CODE);
	assert_int_equal(want.count, 50);
	assert_int_equal(want.per_account, 38);
	/* Told once until answered. */
	assert_false(queue_wants(q, T0, &want));
	for (uint64_t id = 1; id <= 10; id++)
		add(q, spec_of(id), T0);
	queue_set_more(q, GROUP(1), CODE, T0, T0);
	assert_false(queue_wants(q, T0, &want));
	assert_int_not_equal(next_id(q, 1, CODE, T0), 0);
	assert_true(queue_wants(q, T0, &want));
	queue_set_more(q, GROUP(1), CODE, TIME_NEVER, T0);
	assert_false(queue_wants(q, T0 + DAYS(9), &want));
	end(&q);
}

static void
the_disk_is_asked_when_its_first_row_is_due(void **state)
{
	struct queue *q = queue_with_pages(1000, 10, 50);
	struct queue_want want;

	(void)state;
	queue_open(q, GROUP(1), T0);
	queue_add_more(q, GROUP(1), BULK, T0 + HOURS(2), T0);
	queue_add_more(q, GROUP(1), BULK, T0 + HOURS(1), T0);
	queue_add_more(q, GROUP(1), BULK, T0 + HOURS(3), T0);
	assert_false(queue_wants(q, T0, &want));
	assert_int_equal(queue_next_event_us(q, T0), T0 + HOURS(1));
	assert_true(queue_wants(q, T0 + HOURS(1), &want));
	assert_int_equal(want.lane, BULK);
	queue_set_more(q, GROUP(1), BULK, T0 + HOURS(2), T0 + HOURS(1));
	assert_int_equal(queue_next_event_us(q, T0 + HOURS(1)), T0 + HOURS(2));
	end(&q);
}

static void
what_is_added_while_a_page_is_read_is_not_forgotten(void **state)
{
	struct queue *q = queue_with_pages(1000, 10, 50);
	struct queue_want want;

	(void)state;
	queue_open(q, GROUP(1), T0);
	queue_set_more(q, GROUP(1), CODE, T0, T0);
	assert_true(queue_wants(q, T0, &want));
	queue_add_more(q, GROUP(1), CODE, T0 + HOURS(1), T0);
	queue_audit(q);
	queue_set_more(q, GROUP(1), CODE, TIME_NEVER, T0);
	assert_int_equal(queue_next_event_us(q, T0), T0 + HOURS(1));
	assert_true(queue_wants(q, T0 + HOURS(1), &want));
	queue_set_more(q, GROUP(1), CODE, TIME_NEVER, T0 + HOURS(1));
	assert_false(queue_wants(q, T0 + HOURS(1), &want));
	end(&q);
}

static void
transactional_lanes_are_wanted_first_and_groups_in_turn(void **state)
{
	static const uint64_t order[] = { 5, 6, 1, 2, 3 };
	struct queue *q = queue_with_pages(1000, 10, 50);
	struct queue_want want;

	(void)state;
	for (uint64_t g = 1; g <= 6; g++) {
		queue_open(q, GROUP(g), T0);
		if (g != 4)
			queue_set_more(q, GROUP(g), g <= 3 ? BULK : CODE, T0, T0);
	}
	for (size_t i = 0; i < COUNT_OF(order); i++) {
		assert_true(queue_wants(q, T0, &want));
		assert_int_equal(want.group_id.v, order[i]);
	}
	assert_false(queue_wants(q, T0, &want));
	end(&q);
}

static void
the_room_is_divided_among_the_hungry_and_never_promised_twice(void **state)
{
	struct queue *q = queue_with_pages(100, 10, 1000);
	struct queue_want want;
	size_t sum = 0, n = 0;

	(void)state;
	for (uint64_t g = 1; g <= 4; g++) {
		queue_open(q, GROUP(g), T0);
		queue_set_more(q, GROUP(g), CODE, T0, T0);
	}
	while (queue_wants(q, T0, &want)) {
		assert_int_equal(want.count, 25);
		sum += want.count;
		n++;
	}
	assert_int_equal(n, 4);
	assert_int_equal(sum, 100);
	queue_open(q, GROUP(5), T0);
	queue_set_more(q, GROUP(5), CODE, T0, T0);
	assert_false(queue_wants(q, T0, &want));
	queue_set_more(q, GROUP(1), CODE, TIME_NEVER, T0);
	assert_true(queue_wants(q, T0, &want));
	assert_int_equal(want.count, 25);
	end(&q);
}

static void
a_page_of_which_nothing_could_be_placed_is_not_asked_for_at_once(void **state)
{
	struct queue *q = queue_with_pages(100, 10, 50);
	struct queue_want want;

	(void)state;
	queue_open(q, GROUP(1), T0);
	queue_set_more(q, GROUP(1), CODE, T0, T0);
	assert_true(queue_wants(q, T0, &want));
	queue_set_more(q, GROUP(1), CODE, T0, T0);
	assert_false(queue_wants(q, T0, &want));
	int64_t again_us = queue_next_event_us(q, T0);
	assert_in_range(again_us, T0 + 1, T0 + SECONDS(1));
	assert_true(queue_wants(q, again_us, &want));
	end(&q);
}

static void
evicting_empties_a_closed_group_and_only_what_waits_of_an_open_one(void **state)
{
	struct queue *q = new_queue(1000);
	struct queue_item *out[64], *gone;

	(void)state;
	queue_open(q, GROUP(1), T0);
	for (uint64_t id = 1; id <= 20; id++) {
		struct queue_spec s = spec_of(id);
		s.due_us = id <= 10 ? T0 : T0 + MINUTES(1);
		s.account_id = ACCOUNT(id % 3);
		s.dest = id % 2;
		add(q, s, T0);
	}
	gone = queue_next(q, GROUP(1), CODE, T0);
	assert_int_equal(queue_evict(q, GROUP(1), CODE, 64, out, T0), 10);
	for (size_t i = 0; i < 10; i++) {
		assert_true(queue_is_out(out[i]) && out[i]->due_us > T0);
		queue_put_back(q, &out[i]);
	}
	queue_close(q, GROUP(1), T0);
	assert_int_equal(queue_evict(q, GROUP(1), BULK, 64, out, T0), 0);
	assert_int_equal(queue_evict(q, GROUP(2), CODE, 64, out, T0), 0);
	assert_int_equal(queue_evict(q, GROUP(1), CODE, 15, out, T0), 15);
	queue_audit(q);
	for (size_t i = 0; i < 15; i++)
		queue_let_go(q, &out[i], out[i]->due_us, T0);
	assert_int_equal(queue_evict(q, GROUP(1), CODE, 64, out, T0), 4);
	for (size_t i = 0; i < 4; i++)
		queue_let_go(q, &out[i], out[i]->due_us, T0);
	assert_int_equal(queue_held(q), 1);
	queue_done(q, &gone);
	struct queue_want want;
	assert_false(queue_wants(q, T0, &want));
	queue_open(q, GROUP(1), T0);
	assert_true(queue_wants(q, T0, &want));
	queue_set_more(q, GROUP(1), CODE, TIME_NEVER, T0);
	end(&q);
}

static void
groups_that_are_over_cost_nothing(void **state)
{
	struct queue *q = new_queue(1000);

	(void)state;
	queue_open(q, GROUP(1), T0);
	size_t before = queue_memory_bytes(q), after = 0;
	for (uint64_t g = 2; g <= 5000; g++) {
		struct queue_spec s = spec_of(g);
		s.group_id = GROUP(g);
		s.account_id = ACCOUNT(g);
		s.dest = g;
		queue_open(q, GROUP(g), T0);
		add(q, s, T0);
		assert_int_equal(next_id(q, g, CODE, T0), g);
		queue_close(q, GROUP(g), T0);
		if (g == 2)
			after = queue_memory_bytes(q);
	}
	assert_true(after > before);
	assert_int_equal(queue_memory_bytes(q), after);
	end(&q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_big_sender_gets_a_quarter_of_the_window_and_others_the_rest),
		cmocka_unit_test(a_slow_domain_gets_a_quarter_of_the_window_and_others_the_rest),
		cmocka_unit_test(a_group_that_goes_nowhere_leaves_room_for_others),
		cmocka_unit_test(bulk_never_takes_the_last_eighth),
		cmocka_unit_test(waiting_items_take_no_more_than_their_share),
		cmocka_unit_test(what_waits_does_not_keep_the_same_sender_out),
		cmocka_unit_test(only_open_lanes_that_run_low_and_have_more_are_wanted),
		cmocka_unit_test(the_disk_is_asked_when_its_first_row_is_due),
		cmocka_unit_test(what_is_added_while_a_page_is_read_is_not_forgotten),
		cmocka_unit_test(transactional_lanes_are_wanted_first_and_groups_in_turn),
		cmocka_unit_test(the_room_is_divided_among_the_hungry_and_never_promised_twice),
		cmocka_unit_test(a_page_of_which_nothing_could_be_placed_is_not_asked_for_at_once),
		cmocka_unit_test(
		    evicting_empties_a_closed_group_and_only_what_waits_of_an_open_one),
		cmocka_unit_test(groups_that_are_over_cost_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "queue/fixture.h"

#include "queue/outlet.h"

static uint64_t ids;

static void
add_many(struct queue *q, uint64_t group, enum stream lane, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct queue_spec s = spec_of(++ids);
		s.group_id = GROUP(group);
		s.lane = lane;
		add(q, s, T0);
	}
}

/* The group and lane of what goes next, as one number; 0 for nothing. */
#define FROM(group, lane) ((int)(group)*10 + (int)(lane))
static int
next_from(struct queue *q, struct queue_outlet *o, unsigned lanes)
{
	struct queue_item *item = queue_outlet_next(o, lanes, T0);

	if (item == NULL)
		return 0;
	int from = FROM(item->group_id.v, item->lane);
	queue_done(q, &item);
	return from;
}

static void
groups_with_something_ready_take_turns(void **state)
{
	struct queue *q = new_queue(1000);
	struct queue_outlet *o = queue_outlet_new(q);

	(void)state;
	for (uint64_t g = 1; g <= 4; g++) {
		queue_outlet_join(o, GROUP(g));
		queue_outlet_join(o, GROUP(g));
		if (g != 3)
			queue_open(q, GROUP(g), T0);
		add_many(q, g, CODE, g == 1 ? 3 : 2);
	}
	queue_outlet_leave(o, GROUP(4));
	queue_outlet_leave(o, GROUP(4));
	static const int order[] = { 1, 2, 1, 2, 1 };
	for (size_t i = 0; i < COUNT_OF(order); i++)
		assert_int_equal(next_from(q, o, QUEUE_LANES_ALL), FROM(order[i], CODE));
	assert_int_equal(next_from(q, o, QUEUE_LANES_ALL), 0);
	queue_open(q, GROUP(3), T0);
	assert_int_equal(next_from(q, o, QUEUE_LANES_ALL), FROM(3, CODE));
	queue_close(q, GROUP(3), T0);
	assert_false(queue_outlet_has(o, QUEUE_LANES_ALL, T0));
	queue_outlet_free(&o);
	end(&q);
}

static void
transactional_goes_first_and_bulk_has_every_sixteenth(void **state)
{
	struct queue *q = new_queue(10000);
	struct queue_outlet *o = queue_outlet_new(q);

	(void)state;
	queue_outlet_join(o, GROUP(1));
	queue_outlet_join(o, GROUP(2));
	queue_open(q, GROUP(1), T0);
	queue_open(q, GROUP(2), T0);
	add_many(q, 1, CODE, 400);
	add_many(q, 2, BULK, 100);
	for (int i = 1; i <= 320; i++)
		assert_int_equal(
		    next_from(q, o, QUEUE_LANES_ALL), i % 16 == 0 ? FROM(2, BULK) : FROM(1, CODE));
	for (int i = 0; i < 100; i++)
		assert_int_equal(next_from(q, o, QUEUE_LANE(CODE)), FROM(1, CODE));
	for (int i = 0; i < 80; i++)
		assert_int_equal(next_from(q, o, QUEUE_LANES_ALL), FROM(2, BULK));
	assert_int_equal(next_from(q, o, QUEUE_LANES_ALL), 0);
	queue_outlet_free(&o);
	end(&q);
}

static void
bulk_that_just_arrived_does_not_overtake(void **state)
{
	struct queue *q = new_queue(1000);
	struct queue_outlet *o = queue_outlet_new(q);

	(void)state;
	queue_outlet_join(o, GROUP(1));
	queue_open(q, GROUP(1), T0);
	add_many(q, 1, CODE, 60);
	for (int i = 0; i < 30; i++)
		assert_int_equal(next_from(q, o, QUEUE_LANES_ALL), FROM(1, CODE));
	add_many(q, 1, BULK, 1);
	for (int i = 0; i < 15; i++)
		assert_int_equal(next_from(q, o, QUEUE_LANES_ALL), FROM(1, CODE));
	assert_int_equal(next_from(q, o, QUEUE_LANES_ALL), FROM(1, BULK));
	queue_outlet_free(&o);
	end(&q);
}

static void
a_lane_that_is_not_asked_for_is_not_given(void **state)
{
	struct queue *q = new_queue(1000);
	struct queue_outlet *o = queue_outlet_new(q);

	(void)state;
	queue_outlet_join(o, GROUP(1));
	queue_open(q, GROUP(1), T0);
	add_many(q, 1, BULK, 5);
	assert_false(queue_outlet_has(o, QUEUE_LANE(CODE), T0));
	assert_null(queue_outlet_next(o, QUEUE_LANE(CODE), T0));
	assert_true(queue_outlet_has(o, QUEUE_LANE(BULK), T0));
	assert_int_equal(next_from(q, o, QUEUE_LANE(BULK)), FROM(1, BULK));
	queue_outlet_free(&o);
	end(&q);
}

static void
a_group_can_leave_by_two_outlets(void **state)
{
	struct queue *q = new_queue(1000);
	struct queue_outlet *a = queue_outlet_new(q), *b = queue_outlet_new(q);

	(void)state;
	queue_outlet_join(a, GROUP(1));
	queue_outlet_join(b, GROUP(1));
	queue_outlet_join(b, GROUP(2));
	queue_open(q, GROUP(1), T0);
	queue_open(q, GROUP(2), T0);
	add_many(q, 1, CODE, 3);
	add_many(q, 2, CODE, 1);
	assert_int_equal(next_from(q, a, QUEUE_LANES_ALL), FROM(1, CODE));
	assert_int_equal(next_from(q, b, QUEUE_LANES_ALL), FROM(1, CODE));
	assert_int_equal(next_from(q, b, QUEUE_LANES_ALL), FROM(2, CODE));
	assert_int_equal(next_from(q, b, QUEUE_LANES_ALL), FROM(1, CODE));
	assert_int_equal(next_from(q, a, QUEUE_LANES_ALL), 0);
	queue_outlet_free(&a);
	queue_audit(q);
	queue_outlet_free(&b);
	queue_outlet_free(&b);
	end(&q);
}

static void
an_item_that_falls_due_is_seen_without_being_asked_by_group(void **state)
{
	struct queue *q = new_queue(1000);
	struct queue_outlet *o = queue_outlet_new(q);
	struct queue_spec s = spec_of(++ids);

	(void)state;
	queue_outlet_join(o, GROUP(1));
	queue_open(q, GROUP(1), T0);
	s.due_us = T0 + 5;
	add(q, s, T0);
	assert_false(queue_outlet_has(o, QUEUE_LANES_ALL, T0 + 4));
	assert_true(queue_outlet_has(o, QUEUE_LANES_ALL, T0 + 5));
	queue_outlet_free(&o);
	end(&q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_with_something_ready_take_turns),
		cmocka_unit_test(transactional_goes_first_and_bulk_has_every_sixteenth),
		cmocka_unit_test(bulk_that_just_arrived_does_not_overtake),
		cmocka_unit_test(a_lane_that_is_not_asked_for_is_not_given),
		cmocka_unit_test(a_group_can_leave_by_two_outlets),
		cmocka_unit_test(an_item_that_falls_due_is_seen_without_being_asked_by_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

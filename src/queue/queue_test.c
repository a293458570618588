#include "queue/fixture.h"

#include <stdio.h>

static void
an_item_goes_out_when_due_and_not_before(void **state)
{
	struct queue *q = new_queue(100);
	struct queue_spec s = spec_of(7);

	(void)state;
	queue_open(q, GROUP(1), T0);
	s.due_us = T0 + 50;
	add(q, s, T0);
	assert_int_equal(queue_next_event_us(q, T0), T0 + 50);
	assert_int_equal(next_id(q, 1, CODE, T0 + 49), 0);
	assert_int_equal(next_id(q, 1, BULK, T0 + 50), 0);
	assert_int_equal(next_id(q, 2, CODE, T0 + 50), 0);
	assert_int_equal(next_id(q, 1, CODE, T0 + 50), 7);
	assert_int_equal(next_id(q, 1, CODE, T0 + 50), 0);
	assert_int_equal(queue_held(q), 0);
	end(&q);
}

static void
an_id_is_held_once_in_whatever_state(void **state)
{
	struct queue *q = new_queue(100);
	struct queue_spec s = spec_of(7);
	struct queue_item *item;

	(void)state;
	queue_open(q, GROUP(1), T0);
	add(q, s, T0);
	assert_int_equal(queue_add(q, &s, T0, NULL), RC_EXISTS);
	item = queue_next(q, GROUP(1), CODE, T0);
	assert_true(queue_is_out(item));
	assert_int_equal(queue_add(q, &s, T0, &item), RC_EXISTS);
	assert_ptr_equal(queue_find(q, RCPT(7)), item);
	assert_int_equal(queue_defer(q, &item, T0 + 9, T0), RC_OK);
	assert_int_equal(queue_add(q, &s, T0, NULL), RC_EXISTS);
	assert_int_equal(next_id(q, 1, CODE, T0 + 9), 7);
	add(q, s, T0 + 9);
	end(&q);
}

static void
inside_a_destination_whoever_was_due_first_goes_first(void **state)
{
	static const int64_t dues[] = { 50, 10, 30, 30, 20, 60, 5, 30 };
	static const uint64_t order[] = { 7, 2, 5, 3, 4, 8, 1, 6 };
	struct queue *q = new_queue(100);

	(void)state;
	queue_open(q, GROUP(1), T0);
	for (size_t i = 0; i < COUNT_OF(dues); i++) {
		struct queue_spec s = spec_of(i + 1);
		s.due_us = T0 - 100 + dues[i];
		add(q, s, T0);
		queue_audit(q);
	}
	for (size_t i = 0; i < COUNT_OF(order); i++)
		assert_int_equal(next_id(q, 1, CODE, T0), order[i]);
	end(&q);
}

/* One account has nine times the mail of each of three others: they all get the same number of
 * turns. */
static void
accounts_take_turns_however_much_they_have(void **state)
{
	struct queue *q = new_queue(1000);
	size_t got[5] = { 0 };
	uint64_t id = 0;

	(void)state;
	queue_open(q, GROUP(1), T0);
	for (uint64_t account = 1; account <= 4; account++) {
		for (int i = 0; i < (account == 1 ? 90 : 10); i++) {
			struct queue_spec s = spec_of(++id);
			s.account_id = ACCOUNT(account);
			add(q, s, T0);
		}
	}
	for (int i = 0; i < 40; i++) {
		struct queue_item *item = queue_next(q, GROUP(1), CODE, T0);
		got[item->account_id.v]++;
		queue_done(q, &item);
		for (uint64_t a = 1; a <= 4; a++)
			assert_true(got[a] == (size_t)i / 4 || got[a] == (size_t)i / 4 + 1);
	}
	for (uint64_t a = 1; a <= 4; a++)
		assert_int_equal(got[a], 10);
	for (int i = 0; i < 80; i++)
		assert_int_not_equal(next_id(q, 1, CODE, T0), 0);
	assert_int_equal(queue_held(q), 0);
	end(&q);
}

/* Account 1 writes to three destinations, account 2 to one: half of the turns each, and a sixth for
 * each of the three, though the first of them has most of the mail. */
static void
inside_an_account_destinations_take_turns(void **state)
{
	struct queue *q = new_queue(1000);
	size_t got[3][4] = { 0 };
	uint64_t id = 0;

	(void)state;
	queue_open(q, GROUP(1), T0);
	for (int i = 0; i < 60; i++) {
		struct queue_spec s = spec_of(++id);
		s.dest = i < 40 ? 1 : i < 50 ? 2 : 3;
		add(q, s, T0);
		s = spec_of(++id);
		s.account_id = ACCOUNT(2);
		add(q, s, T0);
	}
	for (int i = 0; i < 60; i++) {
		struct queue_item *item = queue_next(q, GROUP(1), CODE, T0);
		got[item->account_id.v][item->dest]++;
		queue_done(q, &item);
	}
	assert_int_equal(got[2][1], 30);
	assert_int_equal(got[1][1], 10);
	assert_int_equal(got[1][2], 10);
	assert_int_equal(got[1][3], 10);
	end(&q);
}

static void
put_back_goes_first_again_but_does_not_keep_its_turn(void **state)
{
	struct queue *q = new_queue(100);
	struct queue_spec s;
	struct queue_item *item;

	(void)state;
	queue_open(q, GROUP(1), T0);
	for (uint64_t id = 1; id <= 4; id++) {
		s = spec_of(id);
		s.account_id = ACCOUNT(id <= 2 ? 1 : 2);
		add(q, s, T0);
	}
	item = queue_next(q, GROUP(1), CODE, T0);
	assert_int_equal(item->rcpt_id.v, 1);
	queue_put_back(q, &item);
	assert_null(item);
	queue_audit(q);
	assert_int_equal(next_id(q, 1, CODE, T0), 3);
	assert_int_equal(next_id(q, 1, CODE, T0), 1);
	assert_int_equal(next_id(q, 1, CODE, T0), 4);
	assert_int_equal(next_id(q, 1, CODE, T0), 2);
	end(&q);
}

static void
siblings_are_the_ready_recipients_of_the_same_message_and_group(void **state)
{
	struct queue *q = new_queue(100);
	struct queue_item *first, *mate;
	uint64_t seen = 0;

	(void)state;
	queue_open(q, GROUP(1), T0);
	queue_open(q, GROUP(2), T0);
	for (uint64_t id = 1; id <= 8; id++) {
		struct queue_spec s = spec_of(id);
		s.msg_id.v = id == 8 ? 101 : 100;
		s.dest = id;
		s.group_id = GROUP(id == 7 ? 2 : 1);
		s.due_us = id == 6 ? T0 + 1 : T0;
		add(q, s, T0);
	}
	first = queue_next(q, GROUP(1), CODE, T0);
	assert_int_equal(first->rcpt_id.v, 1);
	while ((mate = queue_sibling(q, first, T0)) != NULL) {
		assert_int_equal(mate->msg_id.v, 100);
		seen |= 1u << mate->rcpt_id.v;
		queue_audit(q);
		queue_done(q, &mate);
	}
	assert_int_equal(seen, 1u << 2 | 1u << 3 | 1u << 4 | 1u << 5);
	mate = queue_sibling(q, first, T0 + 1);
	assert_int_equal(mate->rcpt_id.v, 6);
	queue_put_back(q, &mate);
	queue_close(q, GROUP(1), T0 + 1);
	assert_null(queue_sibling(q, first, T0 + 1));
	queue_done(q, &first);
	end(&q);
}

/* Messages and groups whose mix is the same number stand in one ring. */
static void
siblings_of_different_messages_are_told_apart_when_their_mix_is_the_same(void **state)
{
	const uint64_t factor = 0x9e3779b97f4a7c15u;
	struct queue *q = new_queue(100);

	(void)state;
	for (uint64_t id = 1; id <= 6; id++) {
		struct queue_spec s = spec_of(id);
		s.group_id = GROUP(1 + id % 2);
		s.msg_id.v = 77 ^ s.group_id.v * factor;
		queue_open(q, s.group_id, T0);
		add(q, s, T0);
	}
	struct queue_item *item = queue_next(q, GROUP(2), CODE, T0), *mate;
	for (int i = 0; i < 2; i++) {
		mate = queue_sibling(q, item, T0);
		assert_int_equal(mate->group_id.v, 2);
		queue_done(q, &mate);
	}
	assert_null(queue_sibling(q, item, T0));
	queue_done(q, &item);
	end(&q);
}

static void
a_closed_group_hands_out_nothing_and_says_nothing(void **state)
{
	struct queue *q = new_queue(100);
	struct queue_spec s = spec_of(2);

	(void)state;
	assert_false(queue_is_open(q, GROUP(1)));
	add(q, spec_of(1), T0);
	s.due_us = T0 + 5;
	add(q, s, T0);
	assert_int_equal(next_id(q, 1, CODE, T0), 0);
	assert_int_equal(queue_next_event_us(q, T0), TIME_NEVER);
	queue_open(q, GROUP(1), T0 + 9);
	assert_int_equal(next_id(q, 1, CODE, T0 + 9), 1);
	queue_close(q, GROUP(1), T0 + 9);
	assert_int_equal(next_id(q, 1, CODE, T0 + 10), 0);
	queue_open(q, GROUP(1), T0 + 11);
	queue_open(q, GROUP(1), T0 + 12);
	assert_int_equal(next_id(q, 1, CODE, T0 + 12), 2);
	end(&q);
}

static void
life_is_spent_only_while_the_group_is_open(void **state)
{
	struct queue *q = new_queue(100);
	struct queue_spec s = spec_of(1);

	(void)state;
	queue_open(q, GROUP(1), T0);
	s.expire_after_us = HOURS(10);
	add(q, s, T0);
	assert_int_equal(queue_next_event_us(q, T0), T0 + HOURS(10));
	queue_close(q, GROUP(1), T0 + HOURS(4));
	assert_int_equal(queue_next_event_us(q, T0 + HOURS(4)), TIME_NEVER);
	assert_int_equal(overdue_id(q, T0 + DAYS(30)), 0);
	queue_open(q, GROUP(1), T0 + DAYS(30));
	assert_int_equal(queue_next_event_us(q, T0 + DAYS(30)), T0 + DAYS(30) + HOURS(6));
	assert_int_equal(overdue_id(q, T0 + DAYS(30) + HOURS(6) - 1), 0);
	struct queue_item *item = queue_overdue(q, T0 + DAYS(30) + HOURS(6));
	assert_int_equal(item->rcpt_id.v, 1);
	assert_true(item->lived_us >= item->expire_after_us && item->deadline_us > T0 + DAYS(31));
	queue_done(q, &item);
	end(&q);
}

static void
life_goes_on_while_waiting_and_is_known_when_handed_out(void **state)
{
	struct queue *q = new_queue(100);
	struct queue_spec s = spec_of(1);
	struct queue_item *item;

	(void)state;
	queue_open(q, GROUP(1), T0);
	s.lived_us = HOURS(1);
	add(q, s, T0);
	item = queue_next(q, GROUP(1), CODE, T0 + HOURS(1));
	assert_int_equal(item->lived_us, HOURS(2));
	assert_int_equal(queue_lived_us(q, item, T0 + HOURS(1), T0 + HOURS(5)), HOURS(6));
	assert_int_equal(queue_lived_us(q, item, T0 + HOURS(2), T0 + HOURS(5)), HOURS(6));
	assert_int_equal(queue_lived_us(q, item, T0 + HOURS(2), TIME_NEVER), HOURS(3));
	assert_int_equal(queue_lived_us(q, item, T0 + HOURS(2), T0), HOURS(3));
	assert_int_equal(queue_defer(q, &item, T0 + HOURS(5), T0 + HOURS(1)), RC_OK);
	queue_close(q, GROUP(1), T0 + HOURS(2));
	item = queue_find(q, RCPT(1));
	assert_int_equal(queue_lived_us(q, item, T0 + HOURS(2), T0 + HOURS(5)), HOURS(3));
	queue_open(q, GROUP(1), T0 + HOURS(4));
	item = queue_next(q, GROUP(1), CODE, T0 + HOURS(5));
	assert_int_equal(item->lived_us, HOURS(4));
	queue_done(q, &item);
	end(&q);
}

static void
the_wait_before_a_scheduled_message_is_not_part_of_its_life(void **state)
{
	struct queue *q = new_queue(100);
	struct queue_spec s = spec_of(1);

	(void)state;
	queue_open(q, GROUP(1), T0);
	s.due_us = T0 + DAYS(9);
	s.expire_after_us = DAYS(1);
	add(q, s, T0);
	assert_int_equal(overdue_id(q, T0 + DAYS(9) - 1), 0);
	assert_int_equal(overdue_id(q, T0 + DAYS(10) - 1), 0);
	assert_int_equal(overdue_id(q, T0 + DAYS(10)), 1);
	end(&q);
}

static void
a_deadline_counts_in_closed_groups_too(void **state)
{
	struct queue *q = new_queue(100);
	struct queue_spec s = spec_of(1);

	(void)state;
	s.deadline_us = T0 + MINUTES(10);
	add(q, s, T0);
	s = spec_of(2);
	s.due_us = T0 + HOURS(1);
	s.deadline_us = T0 + MINUTES(20);
	add(q, s, T0);
	assert_int_equal(queue_next_event_us(q, T0), T0 + MINUTES(10));
	assert_int_equal(overdue_id(q, T0 + MINUTES(10) - 1), 0);
	assert_int_equal(overdue_id(q, T0 + MINUTES(10)), 1);
	assert_int_equal(queue_next_event_us(q, T0 + MINUTES(10)), T0 + MINUTES(20));
	assert_int_equal(overdue_id(q, T0 + MINUTES(20)), 2);
	end(&q);
}

static void
what_is_overdue_is_never_handed_out_as_next_or_sibling(void **state)
{
	struct queue *q = new_queue(100);
	struct queue_item *item;

	(void)state;
	queue_open(q, GROUP(1), T0);
	for (uint64_t id = 1; id <= 3; id++) {
		struct queue_spec s = spec_of(id);
		s.msg_id.v = 9;
		s.deadline_us = id == 1 ? TIME_NEVER : T0 + SECONDS(1);
		add(q, s, T0);
	}
	item = queue_next(q, GROUP(1), CODE, T0 + SECONDS(1));
	assert_int_equal(item->rcpt_id.v, 1);
	assert_null(queue_sibling(q, item, T0 + SECONDS(1)));
	assert_int_equal(next_id(q, 1, CODE, T0 + SECONDS(1)), 0);
	queue_audit(q);
	assert_int_equal(queue_count(q, GROUP(1), CODE).ready, 0);
	assert_int_equal(overdue_id(q, T0 + SECONDS(1)), 2);
	assert_int_equal(overdue_id(q, T0 + SECONDS(1)), 3);
	queue_done(q, &item);
	end(&q);
}

static void
an_item_that_is_out_is_overdue_only_when_it_comes_back(void **state)
{
	struct queue *q = new_queue(100);
	struct queue_item *a, *b;

	(void)state;
	queue_open(q, GROUP(1), T0);
	for (uint64_t id = 1; id <= 2; id++) {
		struct queue_spec s = spec_of(id);
		s.deadline_us = id == 1 ? T0 + SECONDS(1) : TIME_NEVER;
		s.expire_after_us = id == 2 ? SECONDS(1) : DAYS(1);
		add(q, s, T0);
	}
	a = queue_next(q, GROUP(1), CODE, T0);
	b = queue_next(q, GROUP(1), CODE, T0);
	assert_int_equal(overdue_id(q, T0 + SECONDS(2)), 0);
	queue_audit(q);
	queue_put_back(q, &a);
	assert_int_equal(queue_defer(q, &b, T0 + HOURS(1), T0 + SECONDS(2)), RC_OK);
	assert_int_equal(overdue_id(q, T0 + SECONDS(2)), 1);
	assert_int_equal(overdue_id(q, T0 + SECONDS(2)), 2);
	end(&q);
}

static void
an_item_can_be_taken_by_id_from_any_state_but_out(void **state)
{
	struct queue *q = new_queue(100);
	struct queue_spec s = spec_of(1);
	struct queue_item *item;

	(void)state;
	add(q, s, T0);
	s = spec_of(2);
	s.due_us = T0 + 10;
	add(q, s, T0);
	s = spec_of(3);
	s.deadline_us = T0;
	add(q, s, T0);
	for (uint64_t id = 1; id <= 3; id++) {
		item = queue_take(q, RCPT(id), T0);
		assert_int_equal(item->rcpt_id.v, id);
		assert_null(queue_take(q, RCPT(id), T0));
		queue_audit(q);
		queue_done(q, &item);
		assert_null(queue_take(q, RCPT(id), T0));
	}
	end(&q);
}

static void
a_clock_that_steps_back_spends_no_life_and_breaks_nothing(void **state)
{
	struct queue *q = new_queue(100);
	struct queue_spec s = spec_of(1);
	struct queue_item *item;

	(void)state;
	queue_open(q, GROUP(1), T0);
	s.due_us = T0 + MINUTES(1);
	add(q, s, T0);
	assert_int_equal(next_id(q, 1, CODE, T0 - DAYS(2)), 0);
	queue_audit(q);
	item = queue_next(q, GROUP(1), CODE, T0 + MINUTES(1));
	assert_int_equal(item->rcpt_id.v, 1);
	/* Two days and a minute went by for the queue: a step forward is taken for time. */
	assert_int_equal(item->lived_us, DAYS(2));
	assert_int_equal(queue_defer(q, &item, T0, T0 - HOURS(1)), RC_OK);
	queue_audit(q);
	assert_int_equal(next_id(q, 1, CODE, T0 - 1), 0);
	assert_int_equal(next_id(q, 1, CODE, T0), 1);
	end(&q);
}

static void
everything_held_is_found_by_walking(void **state)
{
	struct queue *q = new_queue(1000);
	uint64_t sum = 0;
	struct queue_item *item;

	(void)state;
	for (uint64_t id = 1; id <= 250; id++)
		add(q, spec_of(id), T0);
	for (size_t at = 0; (item = queue_each(q, &at)) != NULL;)
		sum += item->rcpt_id.v;
	assert_int_equal(sum, 250 * 251 / 2);
	assert_in_range(queue_memory_bytes(q), 250 * sizeof(struct queue_item), 250 * 500);
	end(&q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_item_goes_out_when_due_and_not_before),
		cmocka_unit_test(an_id_is_held_once_in_whatever_state),
		cmocka_unit_test(inside_a_destination_whoever_was_due_first_goes_first),
		cmocka_unit_test(accounts_take_turns_however_much_they_have),
		cmocka_unit_test(inside_an_account_destinations_take_turns),
		cmocka_unit_test(put_back_goes_first_again_but_does_not_keep_its_turn),
		cmocka_unit_test(siblings_are_the_ready_recipients_of_the_same_message_and_group),
		cmocka_unit_test(
		    siblings_of_different_messages_are_told_apart_when_their_mix_is_the_same),
		cmocka_unit_test(a_closed_group_hands_out_nothing_and_says_nothing),
		cmocka_unit_test(life_is_spent_only_while_the_group_is_open),
		cmocka_unit_test(life_goes_on_while_waiting_and_is_known_when_handed_out),
		cmocka_unit_test(the_wait_before_a_scheduled_message_is_not_part_of_its_life),
		cmocka_unit_test(a_deadline_counts_in_closed_groups_too),
		cmocka_unit_test(what_is_overdue_is_never_handed_out_as_next_or_sibling),
		cmocka_unit_test(an_item_that_is_out_is_overdue_only_when_it_comes_back),
		cmocka_unit_test(an_item_can_be_taken_by_id_from_any_state_but_out),
		cmocka_unit_test(a_clock_that_steps_back_spends_no_life_and_breaks_nothing),
		cmocka_unit_test(everything_held_is_found_by_walking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop/loop.h"

/* What happened, one letter an event, and a loop to make it happen on. */
struct scene {
	struct loop *loop;
	char seen[32];
	size_t count;
	struct loop_timer timers[3];
	struct loop_task tasks[2];
	struct loop_watch watches[2];
	struct loop_hook hooks[2];
	int pairs[2][2];
	struct loop_timer guard;
};

static void
note(struct scene *s, char c)
{
	assert_true(s->count + 1 < sizeof(s->seen));
	s->seen[s->count++] = c;
}

static void
too_late(void *arg)
{
	(void)arg;
	fail_msg("nothing happened for ten seconds");
}

static int
setup(void **state)
{
	static struct scene s;

	s = (struct scene){ .loop = loop_new() };
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s.pairs[i]), 0);
	loop_timer_init(&s.guard, too_late, &s);
	loop_timer_set(s.loop, &s.guard, loop_now_us(s.loop) + SECONDS(10));
	*state = &s;
	return 0;
}

static int
teardown(void **state)
{
	struct scene *s = *state;

	for (size_t i = 0; i < 2; i++) {
		loop_watch_done(&s->watches[i]);
		close(s->pairs[i][0]);
		close(s->pairs[i][1]);
	}
	loop_free(&s->loop);
	return 0;
}

static void
note_a(void *arg)
{
	note(arg, 'a');
}
static void
note_b(void *arg)
{
	note(arg, 'b');
}
static void
note_and_stop(void *arg)
{
	struct scene *s = arg;

	note(s, '.');
	loop_stop(s->loop);
}

static void
timers_fire_in_order_of_time_not_of_setting(void **state)
{
	struct scene *s = *state;
	int64_t now = loop_now_us(s->loop);

	loop_timer_init(&s->timers[0], note_a, s);
	loop_timer_init(&s->timers[1], note_b, s);
	loop_timer_init(&s->timers[2], note_and_stop, s);
	loop_timer_set(s->loop, &s->timers[2], now + MS(6));
	loop_timer_set(s->loop, &s->timers[0], now + MS(4));
	loop_timer_set(s->loop, &s->timers[1], now + MS(2));
	assert_true(loop_timer_is_set(&s->timers[0]));
	loop_run(s->loop);
	assert_string_equal(s->seen, "ba.");
	assert_false(loop_timer_is_set(&s->timers[0]));
	assert_true(clock_monotonic_us() >= now + MS(6));
}

static void
a_timer_moved_later_does_not_fire_at_its_first_time(void **state)
{
	struct scene *s = *state;
	int64_t now = loop_now_us(s->loop);

	loop_timer_init(&s->timers[0], note_a, s);
	loop_timer_init(&s->timers[1], note_b, s);
	loop_timer_init(&s->timers[2], note_and_stop, s);
	loop_timer_set(s->loop, &s->timers[0], now + MS(1));
	loop_timer_set(s->loop, &s->timers[0], now + MS(4));
	loop_timer_set(s->loop, &s->timers[1], now + MS(2));
	loop_timer_set(s->loop, &s->timers[2], now + MS(6));
	loop_run(s->loop);
	assert_string_equal(s->seen, "ba.");
}

static void
cancel_the_other_and_stop(void *arg)
{
	struct scene *s = arg;

	note(s, 'x');
	loop_timer_cancel(s->loop, &s->timers[1]);
	loop_stop(s->loop);
}

static void
a_timer_cancelled_by_one_due_with_it_never_fires(void **state)
{
	struct scene *s = *state;
	int64_t now = loop_now_us(s->loop);

	loop_timer_init(&s->timers[0], cancel_the_other_and_stop, s);
	loop_timer_init(&s->timers[1], note_b, s);
	loop_timer_set(s->loop, &s->timers[0], now - 2);
	loop_timer_set(s->loop, &s->timers[1], now - 1);
	loop_run(s->loop);
	assert_string_equal(s->seen, "x");
}

static void
again_at_once(void *arg)
{
	struct scene *s = arg;

	note(s, 'a');
	if (s->count < 6)
		loop_timer_set(s->loop, &s->timers[0], 0);
	else
		loop_stop(s->loop);
}

static void
a_timer_that_sets_itself_for_now_lets_the_turn_end(void **state)
{
	struct scene *s = *state;

	loop_timer_init(&s->timers[0], again_at_once, s);
	loop_timer_set(s->loop, &s->timers[0], 0);
	loop_hook_add(s->loop, &s->hooks[0], note_b, s);
	loop_run(s->loop);
	assert_string_equal(s->seen, "abababab");
}

static void
defer_again(void *arg)
{
	struct scene *s = arg;

	note(s, 'a');
	if (s->count < 4)
		loop_defer(s->loop, &s->tasks[0]);
	else
		loop_stop(s->loop);
}

static void
a_task_deferred_by_a_task_runs_in_the_next_turn_without_waiting(void **state)
{
	struct scene *s = *state;

	loop_task_init(&s->tasks[0], defer_again, s);
	loop_defer(s->loop, &s->tasks[0]);
	loop_hook_add(s->loop, &s->hooks[0], note_b, s);
	loop_run(s->loop);
	assert_string_equal(s->seen, "ababab");
}

static void
a_task_queued_twice_runs_once_and_a_cancelled_one_not_at_all(void **state)
{
	struct scene *s = *state;

	loop_task_init(&s->tasks[0], note_a, s);
	loop_task_init(&s->tasks[1], note_b, s);
	loop_timer_init(&s->timers[0], note_and_stop, s);
	loop_defer(s->loop, &s->tasks[0]);
	loop_defer(s->loop, &s->tasks[1]);
	loop_defer(s->loop, &s->tasks[0]);
	loop_task_cancel(&s->tasks[1]);
	loop_timer_set(s->loop, &s->timers[0], loop_now_us(s->loop) + MS(2));
	loop_run(s->loop);
	assert_string_equal(s->seen, "a.");
}

static void
read_one(void *arg, unsigned what)
{
	struct scene *s = arg;
	char c;

	assert_int_equal(what, LOOP_READ);
	assert_int_equal(read(s->pairs[0][0], &c, 1), 1);
	note(s, c);
	if (c == '.')
		loop_stop(s->loop);
}

static void
a_watch_reports_readiness_until_everything_is_read(void **state)
{
	struct scene *s = *state;

	assert_int_equal(write(s->pairs[0][1], "xyz.", 4), 4);
	loop_watch_init(&s->watches[0], s->loop, s->pairs[0][0], read_one, s);
	loop_watch_set(&s->watches[0], LOOP_READ);
	loop_run(s->loop);
	assert_string_equal(s->seen, "xyz.");
}

static void
finish_both(void *arg, unsigned what)
{
	struct scene *s = arg;

	(void)what;
	note(s, 'f');
	loop_watch_done(&s->watches[0]);
	loop_watch_done(&s->watches[1]);
	loop_stop(s->loop);
}

static void
a_watch_finished_by_another_ready_in_the_same_turn_is_not_called(void **state)
{
	struct scene *s = *state;

	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(write(s->pairs[i][1], "x", 1), 1);
		loop_watch_init(&s->watches[i], s->loop, s->pairs[i][0], finish_both, s);
		loop_watch_set(&s->watches[i], LOOP_READ);
	}
	loop_run(s->loop);
	assert_string_equal(s->seen, "f");
}

static void
switch_sides(void *arg, unsigned what)
{
	struct scene *s = arg;

	note(s, what == LOOP_WRITE ? 'w' : 'r');
	if (what == LOOP_WRITE)
		loop_watch_set(&s->watches[0], LOOP_READ);
	else
		loop_stop(s->loop);
}

static void
a_watch_reports_only_what_it_is_interested_in(void **state)
{
	struct scene *s = *state;

	assert_int_equal(write(s->pairs[0][1], "x", 1), 1);
	loop_watch_init(&s->watches[0], s->loop, s->pairs[0][0], switch_sides, s);
	loop_watch_set(&s->watches[0], LOOP_WRITE);
	loop_run(s->loop);
	assert_string_equal(s->seen, "wr");
}

static void
defer_and_leave_unread(void *arg, unsigned what)
{
	struct scene *s = arg;

	(void)what;
	note(s, 'r');
	loop_defer(s->loop, &s->tasks[0]);
}

static void
tasks_run_although_a_watch_stays_ready(void **state)
{
	struct scene *s = *state;

	assert_int_equal(write(s->pairs[0][1], "x", 1), 1);
	loop_watch_init(&s->watches[0], s->loop, s->pairs[0][0], defer_and_leave_unread, s);
	loop_watch_set(&s->watches[0], LOOP_READ);
	loop_task_init(&s->tasks[0], defer_again, s);
	loop_defer(s->loop, &s->tasks[0]);
	loop_run(s->loop);
	assert_string_equal(s->seen, "rara");
}

static void
remove_second_hook(void *arg)
{
	struct scene *s = arg;

	note(s, 'h');
	loop_hook_remove(&s->hooks[1]);
	loop_stop(s->loop);
}

static void
a_hook_removed_by_the_one_before_it_is_not_called(void **state)
{
	struct scene *s = *state;

	loop_task_init(&s->tasks[0], note_a, s);
	loop_defer(s->loop, &s->tasks[0]);
	loop_hook_add(s->loop, &s->hooks[0], remove_second_hook, s);
	loop_hook_add(s->loop, &s->hooks[1], note_b, s);
	loop_run(s->loop);
	assert_string_equal(s->seen, "ah");
}

static void
free_runs_what_is_still_deferred(void **state)
{
	struct scene *s = *state;
	struct loop *other = loop_new();

	loop_task_init(&s->tasks[0], note_a, s);
	loop_defer(other, &s->tasks[0]);
	loop_free(&other);
	assert_null(other);
	assert_string_equal(s->seen, "a");
}

static void
stopping_before_running_ends_at_once(void **state)
{
	struct scene *s = *state;

	loop_hook_add(s->loop, &s->hooks[0], note_a, s);
	loop_stop(s->loop);
	loop_run(s->loop);
	assert_string_equal(s->seen, "");
}

#define IN_SCENE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_SCENE(timers_fire_in_order_of_time_not_of_setting),
		IN_SCENE(a_timer_moved_later_does_not_fire_at_its_first_time),
		IN_SCENE(a_timer_cancelled_by_one_due_with_it_never_fires),
		IN_SCENE(a_timer_that_sets_itself_for_now_lets_the_turn_end),
		IN_SCENE(a_task_deferred_by_a_task_runs_in_the_next_turn_without_waiting),
		IN_SCENE(a_task_queued_twice_runs_once_and_a_cancelled_one_not_at_all),
		IN_SCENE(a_watch_reports_readiness_until_everything_is_read),
		IN_SCENE(a_watch_finished_by_another_ready_in_the_same_turn_is_not_called),
		IN_SCENE(a_watch_reports_only_what_it_is_interested_in),
		IN_SCENE(tasks_run_although_a_watch_stays_ready),
		IN_SCENE(a_hook_removed_by_the_one_before_it_is_not_called),
		IN_SCENE(free_runs_what_is_still_deferred),
		IN_SCENE(stopping_before_running_ends_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "net/pair_test.h"

#include <malloc.h>

/* Both ends live in this process, so each pair counts twice. */
#define PAIRS        200u
#define BUDGET_BYTES 4096u

struct crowd {
	struct pair pairs[PAIRS];
	struct loop *loop;
	struct loop_hook look;
	struct loop_timer guard;
};

static void
too_late(void *arg)
{
	(void)arg;
	fail_msg("not all connections talked");
}

static void
stop_when_all_have_talked(void *arg)
{
	struct crowd *c = arg;

	for (size_t i = 0; i < PAIRS; i++) {
		if (c->pairs[i].a.got_bytes != 3000 || c->pairs[i].b.got_bytes != 3000)
			return;
	}
	loop_stop(c->loop);
}

static void
a_connection_that_has_talked_and_is_idle_costs_less_than_four_kilobytes(void **state)
{
	static struct crowd c;
	char bytes[3000] = { 0 };

	(void)state;
	c.loop = loop_new();
	loop_hook_add(c.loop, &c.look, stop_when_all_have_talked, &c);
	loop_timer_init(&c.guard, too_late, &c);
	loop_timer_set(c.loop, &c.guard, loop_now_us(c.loop) + SECONDS(20));
	size_t before = mallinfo2().uordblks;
	for (size_t i = 0; i < PAIRS; i++) {
		c.pairs[i].loop = c.loop;
		pair_connect(&c.pairs[i], NULL, NULL);
		conn_write(c.pairs[i].a.conn, str_make(bytes, sizeof(bytes)));
		conn_write(c.pairs[i].b.conn, str_make(bytes, sizeof(bytes)));
	}
	loop_run(c.loop);
	size_t each = (mallinfo2().uordblks - before) / (2 * (size_t)PAIRS);
	print_message("%zu bytes each\n", each);
	assert_true(each < BUDGET_BYTES);
	for (size_t i = 0; i < PAIRS; i++) {
		conn_free(&c.pairs[i].a.conn);
		conn_free(&c.pairs[i].b.conn);
	}
	loop_hook_remove(&c.look);
	loop_timer_cancel(c.loop, &c.guard);
	loop_free(&c.loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_connection_that_has_talked_and_is_idle_costs_less_than_four_kilobytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

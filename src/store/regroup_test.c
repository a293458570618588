#include "base/buf.h"
#include "store/regroup.h"
#include "store/test_store.h"

/* Routes that tell apart who sends: each sender is a group of its own. */
static void
by_sender(void *arg, const struct store_row *row, struct buf *key)
{
	(void)arg;
	buf_add(key, row->sender);
}

struct slice_call {
	struct store_call call;
	struct store_regroup r;
	bool fails; /* after its work is done */
};

static enum rc
run_slice(struct store_tx *tx, void *arg, struct fault *f)
{
	struct slice_call *c = arg;
	enum rc rc = store_regroup_run(tx, &c->r, f);

	return rc == RC_OK && c->fails ? fault_set(f, RC_DB, "told to fail") : rc;
}

/* One slice; its result. */
static enum rc
ask(struct bed *b, struct slice_call *c)
{
	c->call.run = run_slice;
	c->call.arg = c;
	c->r.key = by_sender;
	return bed_ask(b, &c->call.op, STORE_CALL);
}

/* Slices of `max` rows until all are done; how many rows moved. */
static uint32_t
regroup(struct bed *b, uint64_t group, uint32_t max)
{
	struct slice_call c = { .r = { .group = { group }, .max = max } };
	uint32_t moved = 0;

	do {
		if (ask(b, &c) != RC_OK)
			fail_msg("regroup: %s", c.call.op.fault.text);
		moved += c.r.moved;
		c.r.from = c.r.next;
	} while (!c.r.is_done);
	return moved;
}

static void
put(struct bed *b, const char *sender, enum store_state born, uint32_t rcpts)
{
	struct store_message *m = bed_message("x", rcpts);

	m->sender = arena_str(&m->arena, str_from(sender));
	m->created_us = 1000;
	for (uint32_t i = 0; i < rcpts; i++) {
		m->rcpts[i].group_key = STR("all");
		m->rcpts[i].born = born;
	}
	bed_accept(b, m);
}

static int64_t
rows_in(struct bed *b, const char *key)
{
	struct store_reader *r = bed_reader(b);
	sqlite3_stmt *st = store_db_stmt(
	    r->db, "SELECT count(*) FROM recipient JOIN grp g ON g.id = grp WHERE g.key = ?1");
	int64_t n = -1;

	store_db_text(st, 1, str_from(key));
	assert_int_equal(store_db_value(r->db, st, 0, &n, NULL), RC_OK);
	store_reader_free(&r);
	return n;
}

static void
rows_go_to_the_group_that_the_callback_names(void **state)
{
	static const uint32_t sizes[] = { 1, 3, 64 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct bed b;
		bed_up(&b);
		put(&b, "a@x", STORE_QUEUED, 7);
		put(&b, "b@x", STORE_QUEUED, 5);
		put(&b, "all", STORE_QUEUED, 4);
		bed_hush(&b);
		assert_int_equal(regroup(&b, 1, sizes[i]), 12);
		assert_int_equal(rows_in(&b, "a@x"), 7);
		assert_int_equal(rows_in(&b, "b@x"), 5);
		assert_int_equal(rows_in(&b, "all"), 4);
		assert_int_equal(regroup(&b, 1, sizes[i]), 0);
		bed_audit(&b);
		bed_down(&b);
	}
}

static void
the_dispatcher_hears_of_rows_in_their_new_groups(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	put(&b, "a@x", STORE_QUEUED, 2);
	bed_hush(&b);
	regroup(&b, 1, 64);
	struct store_notice *n = bed_hear_notice(&b, STORE_GROUP);
	uint64_t group = n->group.v;
	assert_true(str_eq(n->key, STR("a@x")));
	store_notice_free(&n);
	n = bed_hear_notice(&b, STORE_MORE);
	assert_int_equal(n->group.v, group);
	assert_int_equal(n->due_us, 1000);
	store_notice_free(&n);
	bed_down(&b);
}

static void
what_waits_for_a_person_moves_too_and_stays_as_it_is(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	put(&b, "a@x", STORE_HELD, 3);
	put(&b, "b@x", STORE_CAPTURED, 2);
	put(&b, "c@x", STORE_QUEUED, 1);
	assert_int_equal(regroup(&b, 0, 2), 5);
	assert_int_equal(rows_in(&b, "a@x"), 3);
	assert_int_equal(rows_in(&b, "b@x"), 2);
	assert_int_equal(rows_in(&b, "all"), 1);
	struct store_totals t = bed_totals(&b);
	assert_int_equal(t.captured, 2);
	assert_int_equal(t.queued, 4);
	bed_audit(&b);
	bed_down(&b);
}

static void
a_slice_that_fails_leaves_nothing_behind(void **state)
{
	struct bed b;
	struct slice_call c = { .r = { .group = { 1 }, .max = 64 }, .fails = true };

	(void)state;
	bed_up(&b);
	put(&b, "a@x", STORE_QUEUED, 2);
	assert_int_equal(ask(&b, &c), RC_DB);
	assert_int_equal(rows_in(&b, "all"), 2);
	/* The new group is unknown again, to the disk and to memory. */
	put(&b, "d@x", STORE_QUEUED, 1);
	assert_int_equal(regroup(&b, 1, 64), 3);
	assert_int_equal(rows_in(&b, "a@x"), 2);
	assert_int_equal(rows_in(&b, "d@x"), 1);
	bed_again(&b);
	bed_start(&b);
	bed_audit(&b);
	bed_down(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_go_to_the_group_that_the_callback_names),
		cmocka_unit_test(the_dispatcher_hears_of_rows_in_their_new_groups),
		cmocka_unit_test(what_waits_for_a_person_moves_too_and_stays_as_it_is),
		cmocka_unit_test(a_slice_that_fails_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

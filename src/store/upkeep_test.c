/* Run without the writer thread, so that time is the test's own. */
#include "store/test_store.h"

#include "store/private.h"

static void
run_op(struct bed *b, struct store_op *op, enum store_op_kind kind)
{
	struct fault fault = { 0 };

	op->kind = kind;
	if (store_batch_run(b->store, &op, 1, &fault) != RC_OK)
		fail_msg("%s", fault.text);
	assert_int_equal(op->rc, RC_OK);
}

static struct msg_id
accept_one(struct bed *b, struct store_message *m)
{
	struct store_accept op = { .msg = m };

	run_op(b, &op.op, STORE_ACCEPT);
	return op.msg_id;
}

/* Every recipient of message `id` is sent at `at_us`. */
static void
finish_message(struct bed *b, struct msg_id id, int64_t at_us, uint32_t known_segment)
{
	struct store_reader *r = bed_reader(b);
	struct arena a = { 0 };
	struct store_message_row row;
	struct store_attempt facts = { .at_us = at_us, .code = 250 };

	assert_int_equal(store_query_message(r, id, &a, &row, NULL), RC_OK);
	for (uint32_t i = 0; i < row.n_rcpts; i++) {
		struct store_result result = { .rcpt = { row.first_rcpt + i },
			.msg = id,
			.account = row.account,
			.n_rcpts = row.n_rcpts,
			.segment = known_segment != 0 ? known_segment : row.content.segment,
			.from = STORE_QUEUED,
			.to = STORE_SENT,
			.at_us = at_us,
			.attempts = 1,
			.facts = &facts };
		struct store_outcome op = { .results = &result, .n = 1 };
		run_op(b, &op.op, STORE_OUTCOME);
	}
	store_reader_free(&r);
	arena_done(&a);
}

/* Slices until there is nothing to do, with the clock moved on by `step_us` each. */
static void
keep_up(struct bed *b, int64_t step_us)
{
	static int64_t now_us;
	int idle = 0;

	for (int i = 0; i < 10000 && idle < 3; i++) {
		now_us += step_us;
		idle = store_upkeep_slice(b->store, now_us, true) ? 0 : idle + 1;
	}
	assert_int_equal(idle, 3);
}

static size_t
segment_files(struct bed *b)
{
	char path[128];
	size_t n = 0;
	struct dirent *e;

	snprintf(path, sizeof(path), "%s/content", b->dir);
	DIR *d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		n += strstr(e->d_name, ".seg") != NULL;
	closedir(d);
	return n;
}

static struct store_message *
large_message(char fill)
{
	struct store_message *m = bed_message("", 1);

	blob_unref(&m->content);
	m->content = blob_new(10000);
	memset(m->content->p, fill, m->content->n);
	return m;
}

static struct bed
small_segments(void)
{
	struct bed b;

	bed_init(&b);
	b.opts.segment_bytes = 65536;
	bed_open(&b);
	return b;
}

static void
a_segment_goes_when_its_last_message_is_done(void **state)
{
	struct msg_id ids[20];

	(void)state;
	struct bed b = small_segments();
	for (int i = 0; i < 20; i++)
		ids[i] = accept_one(&b, large_message('a'));
	assert_int_equal(segment_files(&b), 4);
	for (int i = 0; i < 20; i++)
		finish_message(&b, ids[i], clock_wall_us(), 0);
	keep_up(&b, MS(20));
	assert_int_equal(segment_files(&b), 1); /* the current one stays */
	bed_again(&b);
	assert_int_equal(segment_files(&b), 1);
	bed_down(&b);
}

static void
content_outlives_its_last_recipient_by_the_retention(void **state)
{
	struct msg_id ids[12];
	struct bed b;

	(void)state;
	bed_init(&b);
	b.opts.segment_bytes = 65536;
	b.opts.retain_content_us = HOURS(1);
	bed_open(&b);
	for (int i = 0; i < 12; i++)
		ids[i] = accept_one(&b, large_message('a'));
	for (int i = 0; i < 6; i++)
		finish_message(&b, ids[i], clock_wall_us() - MINUTES(59), 0);
	keep_up(&b, SECONDS(11));
	assert_int_equal(segment_files(&b), 2);
	bed_down(&b);

	b = small_segments();
	b.store->opts.retain_content_us = HOURS(1);
	for (int i = 0; i < 12; i++)
		ids[i] = accept_one(&b, large_message('a'));
	for (int i = 0; i < 6; i++)
		finish_message(&b, ids[i], clock_wall_us() - MINUTES(61), 0);
	keep_up(&b, SECONDS(11));
	assert_int_equal(segment_files(&b), 1);
	bed_down(&b);
}

static struct blob *
read_content(struct bed *b, struct msg_id id, struct store_content at)
{
	struct store_reader *r = bed_reader(b);
	struct blob *content = NULL;
	struct fault fault = { 0 };

	if (store_reader_content(r, id, at, &content, &fault) != RC_OK)
		fail_msg("%s", fault.text);
	store_reader_free(&r);
	return content;
}

static struct store_content
place_of(struct bed *b, struct msg_id id)
{
	struct store_reader *r = bed_reader(b);
	struct arena a = { 0 };
	struct store_message_row row;

	assert_int_equal(store_query_message(r, id, &a, &row, NULL), RC_OK);
	store_reader_free(&r);
	arena_done(&a);
	return row.content;
}

static struct store_message *
tiny_message(void)
{
	return bed_message("tiny", 1);
}

static void
a_message_that_outlives_its_segment_is_moved_and_found_at_its_old_place(void **state)
{
	struct msg_id old, id[60];
	struct bed b = small_segments();

	(void)state;
	old = accept_one(&b, large_message('o'));
	for (int i = 0; i < 60; i++)
		id[i] = accept_one(&b, i < 40 ? tiny_message() : large_message('n'));
	struct store_content before = place_of(&b, old);
	for (int i = 0; i < 60; i++)
		finish_message(&b, id[i], clock_wall_us(), 0);
	keep_up(&b, SECONDS(11));
	struct store_content after = place_of(&b, old);
	assert_int_not_equal(after.segment, before.segment);
	assert_int_equal(segment_files(&b), 1);
	struct blob *content = read_content(&b, old, before);
	assert_int_equal(content->n, 10000);
	assert_int_equal(content->p[9999], 'o');
	blob_unref(&content);
	assert_int_equal(b.store->segments.moved.count, 1);

	/* Its outcome, told with the old place, frees the new one; across a restart too. */
	bed_again(&b);
	assert_int_equal(b.store->segments.moved.count, 1);
	finish_message(&b, old, clock_wall_us(), before.segment);
	assert_int_equal(b.store->segments.moved.count, 0);
	struct store_segment *g = map_get(&b.store->segments.by_id, after.segment);
	assert_non_null(g);
	assert_int_equal(g->live, 0);
	bed_down(&b);
}

static void
damaged_content_is_noticed(void **state)
{
	struct bed b = small_segments();
	char path[128];
	struct store_reader *r;
	struct blob *content = NULL;
	struct fault fault = { 0 };

	(void)state;
	struct msg_id id = accept_one(&b, large_message('x'));
	struct store_content at = place_of(&b, id);
	snprintf(path, sizeof(path), "%s/content/%08u.seg", b.dir, at.segment);
	int fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, "y", 1, at.offset + 5000), 1);
	close(fd);
	r = bed_reader(&b);
	assert_int_equal(store_reader_content(r, id, at, &content, &fault), RC_IO);
	assert_non_null(strstr(fault.text, "damaged"));
	assert_null(content);
	store_reader_free(&r);
	bed_down(&b);
}

static void
files_without_a_row_are_removed_at_start(void **state)
{
	struct bed b = small_segments();
	char path[128];

	(void)state;
	accept_one(&b, large_message('x'));
	snprintf(path, sizeof(path), "%s/content/00000777.seg", b.dir);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	assert_int_equal(segment_files(&b), 2);
	bed_again(&b);
	assert_int_equal(segment_files(&b), 1);
	bed_down(&b);
}

static int64_t
count(struct bed *b, const char *sql)
{
	int64_t n = -1;

	assert_int_equal(
	    store_db_value(&b->store->db, store_db_stmt(&b->store->db, sql), -1, &n, NULL), RC_OK);
	return n;
}

static void
history_goes_by_age_and_what_waits_stays(void **state)
{
	struct bed b;
	int64_t now = clock_wall_us();
	struct msg_id id[4];

	(void)state;
	bed_init(&b);
	bed_open(&b);
	for (int i = 0; i < 4; i++) {
		struct store_message *m = bed_message("x", i == 0 ? 3 : 1);
		m->created_us = i < 3 ? now - DAYS(40) : now;
		id[i] = accept_one(&b, m);
	}
	finish_message(&b, id[0], now - DAYS(31), 0); /* old and done long ago */
	finish_message(&b, id[1], now - DAYS(2), 0);  /* old but done lately */
	finish_message(&b, id[3], now, 0);            /* id[2] still waits */
	keep_up(&b, SECONDS(11));
	assert_int_equal(count(&b, "SELECT count(*) FROM message"), 3);
	assert_int_equal(count(&b, "SELECT count(*) FROM recipient"), 3);
	assert_int_equal(count(&b, "SELECT count(*) FROM attempt"), 2);
	struct store_totals t = bed_totals(&b);
	assert_int_equal(t.accepted, 6);
	assert_int_equal(t.sent, 5);
	bed_down(&b);
}

static void
ids_are_not_used_again_after_all_history_is_gone(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b);
	bed_open(&b);
	struct store_message *m = bed_message("x", 1);
	m->created_us = 1;
	struct msg_id id = accept_one(&b, m);
	finish_message(&b, id, 2, 0);
	keep_up(&b, SECONDS(11));
	assert_int_equal(count(&b, "SELECT count(*) FROM message"), 0);
	bed_again(&b);
	assert_true(accept_one(&b, bed_message("x", 1)).v > id.v);
	assert_int_equal(count(&b, "SELECT max(id) FROM recipient"), 2);
	bed_down(&b);
}

static void
old_keys_are_forgotten(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b);
	bed_open(&b);
	for (uint8_t i = 0; i < 3; i++) {
		struct store_message *m = bed_message("x", 1);
		m->has_key = true;
		memset(m->key, i, sizeof(m->key));
		accept_one(&b, m);
	}
	assert_int_equal(
	    store_db_exec(&b.store->db, "UPDATE idem SET created_us = 1 WHERE msg < 3", NULL),
	    RC_OK);
	keep_up(&b, SECONDS(11));
	assert_int_equal(count(&b, "SELECT count(*) FROM idem"), 1);
	bed_down(&b);
}

static void
a_straggler_in_the_dispatchers_hands_does_not_hold_the_floor(void **state)
{
	struct bed b;
	struct group_id group = { 1 };
	struct store_grant grant = { .opened = &group, .n_opened = 1, .credits = { 10, 10 } };

	(void)state;
	bed_init(&b);
	bed_open(&b);
	b.store->dispatcher = b.box;
	store_window_grant(&b.store->window, &grant);
	accept_one(&b, bed_message("x", 1));
	b.store->next_rcpt += 600000;
	accept_one(&b, bed_message("x", 1));
	assert_int_equal(b.store->births.floor, 1);
	keep_up(&b, MS(20));
	assert_true(b.store->births.floor > 600000);
	assert_int_equal(count(&b, "SELECT count(*) FROM recipient WHERE due_us IS NOT NULL"), 2);
	bed_down(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_segment_goes_when_its_last_message_is_done),
		cmocka_unit_test(content_outlives_its_last_recipient_by_the_retention),
		cmocka_unit_test(
		    a_message_that_outlives_its_segment_is_moved_and_found_at_its_old_place),
		cmocka_unit_test(damaged_content_is_noticed),
		cmocka_unit_test(files_without_a_row_are_removed_at_start),
		cmocka_unit_test(history_goes_by_age_and_what_waits_stays),
		cmocka_unit_test(ids_are_not_used_again_after_all_history_is_gone),
		cmocka_unit_test(old_keys_are_forgotten),
		cmocka_unit_test(a_straggler_in_the_dispatchers_hands_does_not_hold_the_floor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

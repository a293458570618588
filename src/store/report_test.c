#include "store/test_store.h"

#include "store/config_mailbox.h"
#include "store/report.h"

static enum rc
call(struct bed *b, store_call_fn *run, void *arg)
{
	struct store_call op = { .run = run, .arg = arg };

	return bed_ask(b, &op.op, STORE_CALL);
}

static enum rc
add_report(struct store_tx *tx, void *arg, struct fault *fault)
{
	return store_report_add(tx, arg, fault);
}

static enum rc
prune(struct store_tx *tx, void *arg, struct fault *fault)
{
	return store_report_prune(tx, *(int64_t *)arg, 100, fault);
}

/* A message of two recipients, sent, with this Message-ID and envelope id. */
static struct store_message *
sent(struct bed *b, const char *message_id, const char *envid, int64_t created_us)
{
	struct store_message *m = bed_message("Hi\r\n", 2);

	m->message_id = str_from(message_id);
	m->envid = str_from(envid);
	m->created_us = created_us;
	bed_accept(b, m);
	m = bed_hear_fresh(b);
	(void)bed_finish(b, m);
	struct store_result results[2] = { bed_result(m, 0, STORE_QUEUED, STORE_SENT),
		bed_result(m, 1, STORE_QUEUED, STORE_SENT) };
	bed_outcome(b, results, 2);
	return m;
}

static void
a_report_is_kept_once_and_counted(void **state)
{
	struct bed b;
	struct arena a = { 0 };
	struct store_report_row row = { .rcpt = { 1 },
		.version = { 3 },
		.at_us = clock_wall_us(),
		.lane = STREAM_BULK,
		.action = STORE_REPORT_FAILED,
		.attribution = 2,
		.matched = STORE_MATCH_ENVID,
		.status = STR_INIT("5.1.1"),
		.text = STR_INIT("no such user"),
		.mailbox = STR_INIT("home"),
		.source = STR_INIT("abc") };

	(void)state;
	bed_up(&b);
	bed_grant(&b);
	struct store_message *m = sent(&b, "<1@x>", "", clock_wall_us());
	row.rcpt = m->rcpts[1].id;
	assert_int_equal(call(&b, add_report, &row), RC_OK);
	assert_int_equal(call(&b, add_report, &row), RC_EXISTS);
	row.source = STR("def");
	row.action = STORE_REPORT_DELIVERED;
	assert_int_equal(call(&b, add_report, &row), RC_OK);

	struct store_reader *r = bed_reader(&b);
	struct store_report_list list = { .first = m->rcpts[0].id, .n_rcpts = 2, .max = 10 };
	assert_int_equal(store_report_list(r, &list, &a, NULL), RC_OK);
	assert_int_equal(list.n, 2);
	assert_int_equal(list.rows[0].rcpt.v, m->rcpts[1].id.v);
	assert_int_equal(list.rows[0].matched, STORE_MATCH_ENVID);
	assert_true(str_eq(list.rows[0].status, STR("5.1.1")));
	assert_true(str_eq(list.rows[0].text, STR("no such user")));
	struct store_report_stats stats = { .until_hour = INT32_MAX, .max = 10 };
	assert_int_equal(store_report_stats(r, &stats, &a, NULL), RC_OK);
	assert_int_equal(stats.n, 2);
	assert_int_equal(stats.rows[0].count, 1);
	assert_int_equal(stats.rows[0].lane, STREAM_BULK);
	/* The accounting is as it was. */
	assert_int_equal(bed_state(&b, row.rcpt), STORE_SENT);
	bed_audit(&b);

	int64_t later = row.at_us + 1;
	assert_int_equal(call(&b, prune, &later), RC_OK);
	assert_int_equal(store_report_list(r, &list, &a, NULL), RC_OK);
	assert_int_equal(list.n, 0);
	store_reader_free(&r);
	store_message_free(&m);
	arena_done(&a);
	bed_down(&b);
}

static enum rc
find(struct store_reader *r, struct store_report_search *q)
{
	enum rc rc;

	while ((rc = store_report_find(r, q, NULL)) == RC_AGAIN)
		;
	return rc;
}

static void
a_message_is_found_by_its_ids_within_its_time(void **state)
{
	struct bed b;
	int64_t now = clock_wall_us();
	struct store_message *m[5];
	static const char *const ids[] = { "<a@x>", "<b@x>", "<c@x>", "<b@x>", "<e@x>" };

	(void)state;
	bed_up(&b);
	bed_grant(&b);
	for (int i = 0; i < 5; i++)
		m[i] = sent(&b, ids[i], i == 2 ? "env+2" : "", now - HOURS(10 - i));
	struct store_reader *r = bed_reader(&b);
	struct store_report_search q = { .message_id = STR("b@x"), .until_us = now };
	assert_int_equal(find(r, &q), RC_OK);
	assert_int_equal(q.msg.v, m[3]->id.v);
	q = (struct store_report_search){ .message_id = STR("<b@x>"), .until_us = now - HOURS(8) };
	assert_int_equal(find(r, &q), RC_OK);
	assert_int_equal(q.msg.v, m[1]->id.v);
	q = (struct store_report_search){
		.message_id = STR("b@x"), .since_us = now - HOURS(9) + 1, .until_us = now - HOURS(8)
	};
	assert_int_equal(find(r, &q), RC_NOT_FOUND);
	q = (struct store_report_search){ .envid = STR("env+2"), .until_us = now };
	assert_int_equal(find(r, &q), RC_OK);
	assert_int_equal(q.msg.v, m[2]->id.v);
	q = (struct store_report_search){ .message_id = STR("z@x"), .until_us = now };
	assert_int_equal(find(r, &q), RC_NOT_FOUND);
	q = (struct store_report_search){ .until_us = now };
	assert_int_equal(find(r, &q), RC_NOT_FOUND);
	q = (struct store_report_search){ .address = STR("R1@EXAMPLE.net"), .until_us = now };
	assert_int_equal(find(r, &q), RC_OK);
	assert_int_equal(q.rcpt.v, m[4]->rcpts[1].id.v);
	q = (struct store_report_search){ .address = STR("r9@example.net"), .until_us = now };
	assert_int_equal(find(r, &q), RC_NOT_FOUND);
	store_reader_free(&r);
	for (int i = 0; i < 5; i++)
		store_message_free(&m[i]);
	bed_down(&b);
}

/* ---- mailboxes ---- */

static enum rc
put_mailbox(struct store_tx *tx, void *arg, struct fault *fault)
{
	return store_config_mailbox_put(tx, arg, fault);
}
static enum rc
remove_mailbox(struct store_tx *tx, void *arg, struct fault *fault)
{
	return store_config_mailbox_remove(tx, *(uint64_t *)arg, fault);
}
static enum rc
put_cursor(struct store_tx *tx, void *arg, struct fault *fault)
{
	return store_config_mailbox_cursor_put(tx, arg, fault);
}
static enum rc
add_probe(struct store_tx *tx, void *arg, struct fault *fault)
{
	return store_config_probe_add(tx, arg, fault);
}
static enum rc
note_looked(struct store_tx *tx, void *arg, struct fault *fault)
{
	return store_config_mailbox_looked(tx, *(uint64_t *)arg, 77, STR("login refused"), fault);
}

static void
mailboxes_keep_their_place_and_lose_it_when_removed(void **state)
{
	struct bed b;
	struct arena a = { 0 };
	struct store_mailbox_row row = { .name = STR_INIT("home"),
		.host = STR_INIT("imap.example"),
		.port = 993,
		.tls = STR_INIT("implicit"),
		.user = STR_INIT("u"),
		.secret = STR_INIT("\1\0\2"),
		.auth = STR_INIT("password"),
		.address = STR_INIT("u@example"),
		.for_bounces = true,
		.receive = STR_INIT("a@x\nb@x") };
	struct store_mailbox_row other = row;
	struct store_mailbox_row *rows;
	struct store_mailbox_cursor *cursors;
	uint32_t n;

	(void)state;
	bed_up(&b);
	assert_int_equal(call(&b, put_mailbox, &row), RC_OK);
	other.name = STR("HOME");
	assert_int_equal(call(&b, put_mailbox, &other), RC_EXISTS);
	row.for_probe = true;
	assert_int_equal(call(&b, put_mailbox, &row), RC_OK);
	assert_int_equal(call(&b, note_looked, &row.id), RC_OK);
	struct store_mailbox_cursor cursor = { row.id, STR("INBOX"), 17, 5 };
	assert_int_equal(call(&b, put_cursor, &cursor), RC_OK);
	cursor.uid = 9;
	assert_int_equal(call(&b, put_cursor, &cursor), RC_OK);
	struct store_reader *r = bed_reader(&b);
	assert_int_equal(store_config_mailbox_list(r, &a, &rows, &n, NULL), RC_OK);
	assert_int_equal(n, 1);
	assert_true(rows[0].for_probe && rows[0].for_bounces && rows[0].port == 993);
	assert_int_equal(rows[0].secret.n, 3);
	assert_int_equal(rows[0].looked_us, 77);
	assert_true(str_eq(rows[0].trouble, STR("login refused")));
	assert_int_equal(store_config_mailbox_cursor_list(r, &a, &cursors, &n, NULL), RC_OK);
	assert_int_equal(n, 1);
	assert_int_equal(cursors[0].uid, 9);
	assert_int_equal(call(&b, remove_mailbox, &row.id), RC_OK);
	assert_int_equal(call(&b, remove_mailbox, &row.id), RC_NOT_FOUND);
	assert_int_equal(store_config_mailbox_cursor_list(r, &a, &cursors, &n, NULL), RC_OK);
	assert_int_equal(n, 0);
	/* A reading that ends after the mailbox is gone leaves nothing behind. */
	assert_int_equal(call(&b, put_cursor, &cursor), RC_OK);
	assert_int_equal(store_config_mailbox_cursor_list(r, &a, &cursors, &n, NULL), RC_OK);
	assert_int_equal(n, 0);
	store_reader_free(&r);
	arena_done(&a);
	bed_down(&b);
}

static void
the_newest_probes_of_a_version_are_kept(void **state)
{
	struct bed b;
	struct arena a = { 0 };
	struct store_probe_row row = { .version = { 3 },
		.preserves_date = STORE_SEEN_NO,
		.preserves_message_id = STORE_SEEN_YES,
		.summary = STR_INIT("s"),
		.report = STR_INIT("{}") };
	struct store_probe_row last;

	(void)state;
	bed_up(&b);
	for (int64_t i = 1; i <= 30; i++) {
		row.at_us = i;
		row.passed = i == 30;
		assert_int_equal(call(&b, add_probe, &row), RC_OK);
	}
	struct store_reader *r = bed_reader(&b);
	assert_int_equal(
	    store_config_probe_last(r, (struct version_id){ 3 }, &a, &last, NULL), RC_OK);
	assert_int_equal(last.at_us, 30);
	assert_true(last.passed);
	assert_int_equal(last.preserves_date, STORE_SEEN_NO);
	assert_int_equal(last.preserves_message_id, STORE_SEEN_YES);
	assert_int_equal(
	    store_config_probe_last(r, (struct version_id){ 4 }, &a, &last, NULL), RC_NOT_FOUND);
	int64_t kept;
	assert_int_equal(store_db_value(r->db, store_db_stmt(r->db, "SELECT count(*) FROM probe"),
			     0, &kept, NULL),
	    RC_OK);
	assert_int_equal(kept, 20);
	store_reader_free(&r);
	arena_done(&a);
	bed_down(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_report_is_kept_once_and_counted),
		cmocka_unit_test(a_message_is_found_by_its_ids_within_its_time),
		cmocka_unit_test(mailboxes_keep_their_place_and_lose_it_when_removed),
		cmocka_unit_test(the_newest_probes_of_a_version_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

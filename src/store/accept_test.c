#include "store/test_store.h"

#include "store/config_account.h"

static void
an_accepted_message_can_be_read_back_after_a_restart(void **state)
{
	struct bed b;
	struct arena a = { 0 };
	struct store_message_row row;
	struct blob *content = NULL;

	(void)state;
	bed_up(&b);
	struct store_message *m = bed_message("Subject: x\r\n\r\nHi\r\n", 2);
	m->tag = STR("welcome");
	m->envid = STR("QQ314159");
	struct msg_id id = bed_accept(&b, m);
	bed_again(&b);
	struct store_reader *r = bed_reader(&b);
	assert_int_equal(store_query_message(r, id, &a, &row, NULL), RC_OK);
	assert_true(str_eq(row.sender, STR("a@example.com")));
	assert_true(str_eq(row.tag, STR("welcome")));
	assert_true(str_eq(row.envid, STR("QQ314159")));
	assert_int_equal(row.deadline_us, TIME_NEVER);
	assert_int_equal(row.n_rcpts, 2);
	assert_int_equal(row.counts[STORE_QUEUED], 2);
	assert_true(str_eq(row.first_address, STR("r0@example.net")));
	assert_int_equal(store_reader_content(r, id, row.content, &content, NULL), RC_OK);
	assert_true(str_eq(blob_str(content), STR("Subject: x\r\n\r\nHi\r\n")));
	blob_unref(&content);
	store_reader_free(&r);
	arena_done(&a);
	bed_down(&b);
}

static void
ids_rise_and_are_not_used_again_after_a_restart(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	struct msg_id one = bed_accept(&b, bed_message("1", 1));
	struct msg_id two = bed_accept(&b, bed_message("2", 1));
	assert_true(two.v > one.v);
	bed_again(&b);
	bed_start(&b);
	struct msg_id three = bed_accept(&b, bed_message("3", 1));
	assert_true(three.v > two.v);
	bed_down(&b);
}

static void
a_recipient_of_an_open_group_is_handed_over_with_its_content(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	bed_grant(&b);
	bed_accept(&b, bed_message("Hello\r\n", 2));
	struct store_notice *n = bed_hear_notice(&b, STORE_GROUP);
	assert_int_equal(n->group.v, 1);
	assert_true(str_eq(n->key, STR("default")));
	store_notice_free(&n);
	struct store_message *m = bed_hear_fresh(&b);
	assert_int_equal(m->n_handed, 2);
	assert_int_equal(m->rcpts[1].id.v, m->rcpts[0].id.v + 1);
	assert_int_equal(m->rcpts[0].group.v, 1);
	assert_true(str_eq(blob_str(m->content), STR("Hello\r\n")));
	store_message_free(&m);
	assert_null(bed_hear(&b));
	bed_down(&b);
}

static void
what_does_not_fit_the_window_is_told_once_and_waits_on_disk(void **state)
{
	struct bed b;

	(void)state;
	bed_up(&b);
	for (int i = 0; i < 3; i++)
		bed_accept(&b, bed_message("x", 2));
	struct store_notice *n = bed_hear_notice(&b, STORE_MORE);
	assert_int_equal(n->group.v, 1);
	assert_int_equal(n->lane, STREAM_TRANSACTIONAL);
	store_notice_free(&n);
	assert_null(bed_hear(&b));

	struct store_refill refill = { .group = { 1 }, .before_us = TIME_NEVER, .max = 100 };
	assert_int_equal(bed_ask(&b, &refill.op, STORE_REFILL), RC_OK);
	assert_int_equal(refill.n, 6);
	store_refill_done(&refill);
	bed_accept(&b, bed_message("x", 1));
	n = bed_hear_notice(&b, STORE_MORE);
	store_notice_free(&n);
	bed_down(&b);
}

static void
credits_are_spent_one_for_each_recipient(void **state)
{
	struct bed b;
	struct group_id group = { 1 };
	struct store_grant grant = { .opened = &group, .n_opened = 1, .credits = { 3, 0 } };

	(void)state;
	bed_up(&b);
	assert_int_equal(bed_ask(&b, &grant.op, STORE_GRANT), RC_OK);
	bed_accept(&b, bed_message("x", 2));
	bed_accept(&b, bed_message("x", 2));
	struct store_message *m = bed_hear_fresh(&b);
	assert_int_equal(m->n_handed, 2);
	store_message_free(&m);
	m = bed_hear_fresh(&b);
	assert_int_equal(m->n_handed, 1);
	assert_true(m->rcpts[0].handed);
	assert_false(m->rcpts[1].handed);
	store_message_free(&m);
	bed_down(&b);
}

static void
mail_for_later_is_not_handed_over_and_is_due_then(void **state)
{
	struct bed b;
	int64_t later = clock_wall_us() + HOURS(1);
	struct store_refill refill = { .group = { 1 }, .max = 10 };

	(void)state;
	bed_up(&b);
	bed_grant(&b);
	struct store_message *m = bed_message("x", 1);
	m->send_at_us = later;
	bed_accept(&b, m);
	assert_null(bed_hear_kind(&b, STORE_FRESH));
	refill.before_us = later - 1;
	assert_int_equal(bed_ask(&b, &refill.op, STORE_REFILL), RC_OK);
	assert_int_equal(refill.n, 0);
	assert_int_equal(refill.next_due_us, later);
	refill.before_us = later;
	assert_int_equal(bed_ask(&b, &refill.op, STORE_REFILL), RC_OK);
	assert_int_equal(refill.n, 1);
	assert_int_equal(refill.rows[0].due_us, later);
	store_refill_done(&refill);
	bed_down(&b);
}

static void
captured_and_suppressed_recipients_are_counted_and_never_handed_over(void **state)
{
	struct bed b;
	struct store_refill refill = { .group = { 1 }, .before_us = TIME_NEVER, .max = 10 };

	(void)state;
	bed_up(&b);
	bed_grant(&b);
	struct store_message *m = bed_message("x", 3);
	m->rcpts[0].born = STORE_CAPTURED;
	m->rcpts[1].born = STORE_SUPPRESSED;
	m->rcpts[2].born = STORE_HELD;
	bed_accept(&b, m);
	assert_null(bed_hear_kind(&b, STORE_FRESH));
	assert_int_equal(bed_ask(&b, &refill.op, STORE_REFILL), RC_OK);
	assert_int_equal(refill.n, 0);
	store_refill_done(&refill);
	struct store_totals t = bed_totals(&b);
	assert_int_equal(t.accepted, 3);
	assert_int_equal(t.captured, 1);
	assert_int_equal(t.suppressed, 1);
	assert_int_equal(t.queued, 1);
	bed_down(&b);
}

static struct store_message *
keyed(uint8_t key, bool sticky)
{
	struct store_message *m = bed_message("x", 1);

	m->has_key = true;
	m->key_is_sticky = sticky;
	memset(m->key, key, sizeof(m->key));
	return m;
}

static void
a_repeated_submission_gets_the_first_id_until_it_is_confirmed(void **state)
{
	struct bed b;
	uint8_t keys[1][STORE_KEY_SIZE];
	struct store_confirm confirm = { .keys = (const uint8_t(*)[32])keys, .n = 1 };
	struct store_accept again = { .msg = keyed(5, false) };

	(void)state;
	memset(keys, 5, sizeof(keys));
	bed_up(&b);
	struct msg_id first = bed_accept(&b, keyed(5, false));
	bed_again(&b);
	bed_start(&b);
	assert_int_equal(bed_ask(&b, &again.op, STORE_ACCEPT), RC_OK);
	assert_true(again.duplicate);
	assert_int_equal(again.msg_id.v, first.v);
	assert_int_equal(bed_totals(&b).accepted, 1);
	assert_int_equal(bed_ask(&b, &confirm.op, STORE_CONFIRM), RC_OK);
	again.msg = keyed(5, false);
	assert_int_equal(bed_ask(&b, &again.op, STORE_ACCEPT), RC_OK);
	assert_false(again.duplicate);
	assert_int_not_equal(again.msg_id.v, first.v);
	assert_int_equal(bed_totals(&b).accepted, 2);
	bed_down(&b);
}

static void
a_sticky_key_outlives_confirmation(void **state)
{
	struct bed b;
	uint8_t keys[1][STORE_KEY_SIZE];
	struct store_confirm confirm = { .keys = (const uint8_t(*)[32])keys, .n = 1 };
	struct store_accept again = { .msg = keyed(6, true) };

	(void)state;
	memset(keys, 6, sizeof(keys));
	bed_up(&b);
	struct msg_id first = bed_accept(&b, keyed(6, true));
	assert_int_equal(bed_ask(&b, &confirm.op, STORE_CONFIRM), RC_OK);
	assert_int_equal(bed_ask(&b, &again.op, STORE_ACCEPT), RC_OK);
	assert_true(again.duplicate);
	assert_int_equal(again.msg_id.v, first.v);
	bed_down(&b);
}

static void
two_of_the_same_key_in_one_group_become_one_message(void **state)
{
	struct bed b;
	struct store_accept op[8] = { 0 };
	int stored = 0;

	(void)state;
	bed_init(&b);
	bed_open(&b);
	for (int i = 0; i < 8; i++) {
		op[i].msg = keyed(9, false);
		bed_post(&b, &op[i].op, STORE_ACCEPT);
	}
	bed_start(&b); /* finds all eight */
	for (int i = 0; i < 8; i++)
		assert_int_equal(bed_reply(&b)->rc, RC_OK);
	for (int i = 0; i < 8; i++) {
		stored += !op[i].duplicate;
		assert_int_equal(op[i].msg_id.v, op[0].msg_id.v);
	}
	assert_int_equal(stored, 1);
	assert_int_equal(bed_totals(&b).accepted, 1);
	bed_down(&b);
}

static enum rc
put_account(struct store_tx *tx, void *arg, struct fault *fault)
{
	return store_config_account_put(tx, arg, fault);
}

static void
a_disabled_account_is_refused_and_taken_again_when_enabled(void **state)
{
	struct bed b;
	struct store_account_row row = { .name = STR_INIT("shop"), .disabled = true };
	struct store_call call = { .run = put_account, .arg = &row };
	struct store_accept op = { 0 };

	(void)state;
	bed_up(&b);
	assert_int_equal(bed_ask(&b, &call.op, STORE_CALL), RC_OK);
	op.msg = bed_message("x", 1);
	op.msg->account = row.id;
	assert_int_equal(bed_ask(&b, &op.op, STORE_ACCEPT), RC_DENIED);
	assert_null(op.msg);
	bed_again(&b);
	bed_start(&b);
	op.msg = bed_message("x", 1);
	op.msg->account = row.id;
	assert_int_equal(bed_ask(&b, &op.op, STORE_ACCEPT), RC_DENIED);
	row.disabled = false;
	assert_int_equal(bed_ask(&b, &call.op, STORE_CALL), RC_OK);
	op.msg = bed_message("x", 1);
	op.msg->account = row.id;
	assert_int_equal(bed_ask(&b, &op.op, STORE_ACCEPT), RC_OK);
	bed_down(&b);
}

static enum rc
put_and_fail(struct store_tx *tx, void *arg, struct fault *fault)
{
	enum rc rc = store_config_account_put(tx, arg, fault);

	return rc == RC_OK ? fault_set(fault, RC_DENIED, "not today") : rc;
}

static void
a_call_that_fails_is_undone_and_takes_nobody_along(void **state)
{
	struct bed b;
	struct store_account_row row = { .name = STR_INIT("shop") };
	struct store_call call = { .run = put_and_fail, .arg = &row };
	struct store_accept accept = { .msg = bed_message("x", 1) };
	struct arena a = { 0 };
	struct store_account_row *rows;
	uint32_t n = 99;

	(void)state;
	bed_init(&b);
	bed_open(&b);
	bed_post(&b, &accept.op, STORE_ACCEPT);
	bed_post(&b, &call.op, STORE_CALL);
	bed_start(&b);
	bed_reply(&b);
	bed_reply(&b);
	assert_int_equal(accept.op.rc, RC_OK);
	assert_int_equal(call.op.rc, RC_DENIED);
	assert_string_equal(call.op.fault.text, "not today");
	struct store_reader *r = bed_reader(&b);
	assert_int_equal(store_config_account_list(r, &a, &rows, &n, NULL), RC_OK);
	assert_int_equal(n, 0);
	assert_int_equal(store_metrics(b.store)->replayed, 0);
	store_reader_free(&r);
	arena_done(&a);
	bed_down(&b);
}

static void
a_transactional_message_does_not_wait_for_bulk(void **state)
{
	enum { BULK = 2000 };
	struct bed b;
	struct store_accept *bulk = MEM_NEW_ARRAY(struct store_accept, BULK);
	struct store_accept code = { .msg = bed_message("code", 1) };
	int before = 0;

	(void)state;
	bed_init(&b);
	bed_open(&b);
	for (int i = 0; i < BULK; i++) {
		bulk[i].msg = bed_message("news", 1);
		bulk[i].msg->stream = STREAM_BULK;
		bed_post(&b, &bulk[i].op, STORE_ACCEPT);
	}
	bed_post(&b, &code.op, STORE_ACCEPT);
	bed_start(&b);
	while (bed_reply(&b) != &code.op)
		before++;
	/* It is in the first group, behind at most one slice. */
	assert_true(before <= 256);
	for (int i = before; i < BULK; i++)
		assert_int_equal(bed_reply(&b)->rc, RC_OK);
	assert_int_equal(bed_totals(&b).accepted, BULK + 1);
	bed_down(&b);
	free(bulk);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_accepted_message_can_be_read_back_after_a_restart),
		cmocka_unit_test(ids_rise_and_are_not_used_again_after_a_restart),
		cmocka_unit_test(a_recipient_of_an_open_group_is_handed_over_with_its_content),
		cmocka_unit_test(what_does_not_fit_the_window_is_told_once_and_waits_on_disk),
		cmocka_unit_test(credits_are_spent_one_for_each_recipient),
		cmocka_unit_test(mail_for_later_is_not_handed_over_and_is_due_then),
		cmocka_unit_test(
		    captured_and_suppressed_recipients_are_counted_and_never_handed_over),
		cmocka_unit_test(a_repeated_submission_gets_the_first_id_until_it_is_confirmed),
		cmocka_unit_test(a_sticky_key_outlives_confirmation),
		cmocka_unit_test(two_of_the_same_key_in_one_group_become_one_message),
		cmocka_unit_test(a_disabled_account_is_refused_and_taken_again_when_enabled),
		cmocka_unit_test(a_call_that_fails_is_undone_and_takes_nobody_along),
		cmocka_unit_test(a_transactional_message_does_not_wait_for_bulk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

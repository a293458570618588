/* For tests: a store in a directory of its own, and a thread that asks it and waits. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/blob.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/message.h"
#include "store/metrics.h"
#include "store/private.h"
#include "store/query_message.h"
#include "store/query_queue.h"
#include "store/store.h"

#define TEST_WAIT_US SECONDS(20)

struct bed {
	char dir[64];
	struct store_opts opts;
	struct store *store;
	struct mailbox *box; /* as the dispatcher's: replies, and what the writer says by itself */
	struct mailbox_item *replies, **replies_end; /* taken from it, not looked at yet */
	struct mailbox_item *heard, **heard_end;
};

static inline void
bed_open(struct bed *b)
{
	struct fault fault = { 0 };

	b->opts.dir = b->dir;
	if (store_open(&b->opts, &b->store, &fault) != RC_OK)
		fail_msg("store_open: %s", fault.text);
}

static inline void
bed_start(struct bed *b)
{
	store_start(b->store, b->box);
}

static inline void
bed_init(struct bed *b)
{
	*b = (struct bed){ .dir = "/tmp/store-test-XXXXXX" };
	log_set_level(LOG_ERROR);
	assert_non_null(mkdtemp(b->dir));
	b->box = mailbox_new();
	b->replies_end = &b->replies;
	b->heard_end = &b->heard;
}

/* Opened and started. */
static inline void
bed_up(struct bed *b)
{
	bed_init(b);
	bed_open(b);
	bed_start(b);
}

static inline void
bed_forget(struct mailbox_item *item)
{
	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct store_op *op = store_op_of(item);
		if (op->kind == STORE_FRESH) {
			struct store_message *m = CONTAINER_OF(op, struct store_message, op);
			store_message_free(&m);
		} else {
			struct store_notice *n = CONTAINER_OF(op, struct store_notice, op);
			store_notice_free(&n);
		}
		item = next;
	}
}

/* Takes what has come, at least one item unless `wait_us` pass. The writer posts what belongs to
 * one group at once, so what it said about an operation is here when its reply is. */
static inline void
bed_take(struct bed *b, int64_t wait_us)
{
	struct mailbox_item *item = mailbox_wait(b->box, wait_us), *next;

	for (; item != NULL; item = next) {
		next = item->next;
		item->next = NULL;
		bool said = store_op_of(item)->kind >= STORE_FRESH;
		struct mailbox_item ***end = said ? &b->heard_end : &b->replies_end;
		**end = item;
		*end = &item->next;
	}
}

static inline void
bed_hush(struct bed *b)
{
	bed_take(b, 0);
	bed_forget(b->heard);
	b->heard = NULL;
	b->heard_end = &b->heard;
}

static inline void
bed_remove(const char *dir)
{
	char path[512];
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof(path), "%.200s/%.250s", dir, e->d_name);
		if (unlink(path) != 0)
			bed_remove(path);
	}
	if (d != NULL)
		closedir(d);
	rmdir(dir);
}

static inline void
bed_down(struct bed *b)
{
	store_close(&b->store);
	bed_hush(b);
	mailbox_free(&b->box);
	bed_remove(b->dir);
}

/* Stops as a clean shutdown does, and starts again. */
static inline void
bed_again(struct bed *b)
{
	store_close(&b->store);
	bed_hush(b);
	bed_open(b);
}

/* Posts without waiting. */
static inline void
bed_post(struct bed *b, struct store_op *op, enum store_op_kind kind)
{
	op->kind = kind;
	op->reply = b->box;
	store_post(b->store, op);
}

/* Waits for one reply. */
static inline struct store_op *
bed_reply(struct bed *b)
{
	int64_t until = clock_monotonic_us() + TEST_WAIT_US;

	while (b->replies == NULL && clock_monotonic_us() < until)
		bed_take(b, TEST_WAIT_US);
	ASSERT(b->replies != NULL);
	struct store_op *op = store_op_of(b->replies);
	b->replies = op->item.next;
	if (b->replies == NULL)
		b->replies_end = &b->replies;
	return op;
}

/* Posts and waits for the answer. */
static inline enum rc
bed_ask(struct bed *b, struct store_op *op, enum store_op_kind kind)
{
	bed_post(b, op, kind);
	struct store_op *back = bed_reply(b);
	assert_ptr_equal(back, op);
	return op->rc;
}

/* The next thing the writer said by itself, or NULL. */
static inline struct store_op *
bed_hear(struct bed *b)
{
	if (b->heard == NULL)
		return NULL;
	struct store_op *op = store_op_of(b->heard);
	b->heard = op->item.next;
	if (b->heard == NULL)
		b->heard_end = &b->heard;
	op->item.next = NULL;
	return op;
}

/* The next of kind `kind`; what comes before it is dropped. NULL: none. */
static inline struct store_op *
bed_hear_kind(struct bed *b, enum store_op_kind kind)
{
	struct store_op *op;

	while ((op = bed_hear(b)) != NULL && op->kind != kind)
		bed_forget(&op->item);
	return op;
}

/* The same, but there must be one. */
static inline struct store_message *
bed_hear_fresh(struct bed *b)
{
	struct store_op *op = bed_hear_kind(b, STORE_FRESH);

	ASSERT(op != NULL);
	return CONTAINER_OF(op, struct store_message, op);
}
static inline struct store_notice *
bed_hear_notice(struct bed *b, enum store_op_kind kind)
{
	struct store_op *op = bed_hear_kind(b, kind);

	ASSERT(op != NULL);
	return CONTAINER_OF(op, struct store_notice, op);
}

static inline struct store_message *
bed_message(const char *content, uint32_t rcpts)
{
	struct store_message *m = store_message_new();

	store_message_add_rcpts(m, rcpts);
	m->account.v = 1;
	m->created_us = clock_wall_us();
	m->sender = STR("a@example.com");
	m->message_id = STR("<1@example.com>");
	m->subject = STR("Hello");
	m->client = STR("192.0.2.1");
	m->content = blob_from(str_from(content));
	for (uint32_t i = 0; i < rcpts; i++) {
		m->rcpts[i].address = arena_strf(&m->arena, "r%u@example.net", i);
		m->rcpts[i].group_key = STR("default");
		m->rcpts[i].domain_hash = 7;
	}
	return m;
}

/* Accepts `m`; fails the test unless it is taken. */
static inline struct msg_id
bed_accept(struct bed *b, struct store_message *m)
{
	struct store_accept op = { .msg = m };

	if (bed_ask(b, &op.op, STORE_ACCEPT) != RC_OK)
		fail_msg("not accepted: %s", op.op.fault.text);
	assert_null(op.msg);
	return op.msg_id;
}

/* Opens group 1 (the first one ever made) with many credits. */
static inline void
bed_grant(struct bed *b)
{
	struct group_id group = { 1 };
	struct store_grant op = {
		.opened = &group, .n_opened = 1, .credits = { 1000000, 1000000 }
	};

	assert_int_equal(bed_ask(b, &op.op, STORE_GRANT), RC_OK);
}

/* Accepts a message of `n` recipients and takes it as the dispatcher would. */
static inline struct store_message *
bed_fresh(struct bed *b, uint32_t n)
{
	bed_accept(b, bed_message("Hi\r\n", n));
	return bed_hear_fresh(b);
}

static inline uint64_t
bed_finish(struct bed *b, const struct store_message *m)
{
	struct store_finish op = { .version = { 3 }, .at_us = clock_wall_us(), .n = m->n_rcpts };
	struct rcpt_id *ids = MEM_NEW_ARRAY(struct rcpt_id, m->n_rcpts);

	for (uint32_t i = 0; i < m->n_rcpts; i++)
		ids[i] = m->rcpts[i].id;
	op.rcpts = ids;
	if (bed_ask(b, &op.op, STORE_FINISH) != RC_OK)
		fail_msg("finish: %s", op.op.fault.text);
	free(ids);
	return op.first_attempt;
}

static inline struct store_result
bed_result(const struct store_message *m, uint32_t i, enum store_state from, enum store_state to)
{
	return (struct store_result){ .rcpt = m->rcpts[i].id,
		.msg = m->id,
		.account = m->account,
		.lane = m->stream,
		.n_rcpts = m->n_rcpts,
		.segment = m->at.segment,
		.from = from,
		.to = to,
		.due_us = TIME_NEVER,
		.at_us = clock_wall_us(),
		.attempts = 1 };
}

static inline void
bed_outcome(struct bed *b, struct store_result *results, uint32_t n)
{
	struct store_outcome op = { .results = results, .n = n };

	if (bed_ask(b, &op.op, STORE_OUTCOME) != RC_OK)
		fail_msg("outcome: %s", op.op.fault.text);
}

static inline struct store_reader *
bed_reader(struct bed *b)
{
	struct store_reader *r = NULL;
	struct fault fault = { 0 };

	if (store_reader_new(b->store, &r, &fault) != RC_OK)
		fail_msg("reader: %s", fault.text);
	return r;
}

static inline struct store_totals
bed_totals(struct bed *b)
{
	struct store_reader *r = bed_reader(b);
	struct store_totals t;

	assert_int_equal(store_query_totals(r, (struct account_id){ 0 }, &t, NULL), RC_OK);
	assert_true(store_query_totals_balance(&t));
	store_reader_free(&r);
	return t;
}

static inline enum store_state
bed_state(struct bed *b, struct rcpt_id id)
{
	struct store_reader *r = bed_reader(b);
	struct arena a = { 0 };
	struct store_recipient_row row;

	assert_int_equal(store_query_recipient(r, id, &a, &row, NULL), RC_OK);
	store_reader_free(&r);
	arena_done(&a);
	return row.state;
}

/* Checks what must hold between the tables at every commit; for stores whose history is whole. Each
 * statement counts the rows that break a rule. */
static inline void
bed_audit(struct bed *b)
{
	static const char *const rules[] = {
		/* totals are what the rows say */
		"SELECT count(*) FROM totals t WHERE accepted + generated <>"
		" (SELECT count(*) FROM recipient WHERE account = t.account)",
		"SELECT count(*) FROM totals t WHERE queued <> (SELECT count(*) FROM recipient"
		" WHERE account = t.account AND state IN (0, 2))",
		"SELECT count(*) FROM totals t WHERE in_doubt <> (SELECT count(*) FROM recipient"
		" WHERE account = t.account AND state = 1)",
		"SELECT count(*) FROM totals t WHERE captured <> (SELECT count(*) FROM recipient"
		" WHERE account = t.account AND state = 3)",
		"SELECT count(*) FROM totals t WHERE sent <> (SELECT count(*) FROM recipient"
		" WHERE account = t.account AND state = 4)",
		/* a final recipient is done and not due; an open one is not done */
		"SELECT count(*) FROM recipient WHERE (state >= 4) <> (done_us IS NOT NULL)"
		" OR (state >= 4 AND due_us IS NOT NULL)",
		/* open counts of messages, live counts of segments */
		"SELECT count(*) FROM message m WHERE n_rcpt > 1 AND open_rcpt <>"
		" (SELECT count(*) FROM recipient WHERE msg = m.id AND state < 4)",
		"SELECT count(*) FROM segment g WHERE live <> (SELECT count(*) FROM message m WHERE"
		" segment = g.id AND EXISTS (SELECT 1 FROM recipient WHERE msg = m.id AND state < 4))",
		/* recipients are where their message says; the newest attempt is the recipient's
		   own */
		"SELECT count(*) FROM message m WHERE n_rcpt <> (SELECT count(*) FROM recipient"
		" WHERE msg = m.id AND id >= m.first_rcpt AND id < m.first_rcpt + m.n_rcpt)",
		"SELECT count(*) FROM recipient r JOIN attempt a ON a.id = r.last_attempt"
		" WHERE a.rcpt <> r.id",
		"SELECT count(*) FROM attempt WHERE prev >= id",
		/* nothing that a restart must find lies below its floor */
		"SELECT count(*) FROM attempt WHERE code IS NULL AND id <"
		" (SELECT value FROM meta WHERE key = 'finish_floor')",
		"SELECT count(*) FROM recipient WHERE state = 0 AND due_us IS NULL AND id <"
		" (SELECT value FROM meta WHERE key = 'birth_floor')",
	};
	struct store_reader *r = bed_reader(b);

	for (size_t i = 0; i < COUNT_OF(rules); i++) {
		int64_t broken = -1;
		assert_int_equal(
		    store_db_value(r->db, store_db_stmt(r->db, rules[i]), -1, &broken, NULL),
		    RC_OK);
		if (broken != 0)
			fail_msg("%lld rows break: %s", (long long)broken, rules[i]);
	}
	store_reader_free(&r);
}

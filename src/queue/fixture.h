/* What the tests of this folder share: short ways to add an item and to say what came out. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "queue/queue.h"

/* A moment far from zero. */
#define T0         DAYS(20000)

#define GROUP(n)   ((struct group_id){ (n) })
#define ACCOUNT(n) ((struct account_id){ (n) })
#define RCPT(n)    ((struct rcpt_id){ (n) })
#define CODE       STREAM_TRANSACTIONAL
#define BULK       STREAM_BULK

static inline struct queue *
new_queue(size_t capacity)
{
	return queue_new(&(struct queue_limits){ .capacity = capacity });
}

/* A transactional item of group 1, account 1, destination 1, its own message, due at once. */
static inline struct queue_spec
spec_of(uint64_t id)
{
	return (struct queue_spec){
		.rcpt_id = { id },
		.msg_id = { id },
		.account_id = { 1 },
		.group_id = { 1 },
		.lane = STREAM_TRANSACTIONAL,
		.dest = 1,
		.deadline_us = TIME_NEVER,
		.expire_after_us = DAYS(5),
	};
}

static inline void
add(struct queue *q, struct queue_spec s, int64_t now_us)
{
	assert_int_equal(queue_add(q, &s, now_us, NULL), RC_OK);
}

/* The id of what queue_next gives, which is done with at once; 0 for nothing. */
static inline uint64_t
next_id(struct queue *q, uint64_t group, enum stream lane, int64_t now_us)
{
	struct queue_item *item = queue_next(q, GROUP(group), lane, now_us);

	if (item == NULL)
		return 0;
	uint64_t id = item->rcpt_id.v;
	queue_done(q, &item);
	assert_null(item);
	return id;
}

static inline uint64_t
overdue_id(struct queue *q, int64_t now_us)
{
	struct queue_item *item = queue_overdue(q, now_us);

	if (item == NULL)
		return 0;
	uint64_t id = item->rcpt_id.v;
	queue_done(q, &item);
	return id;
}

static inline void
end(struct queue **q)
{
	queue_audit(*q);
	queue_free(q);
	assert_null(*q);
}

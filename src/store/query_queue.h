/* What waits, for people: the open recipients, counts, totals and statistics.
 *
 * All functions read through a reader (store/reader.h); strings live in the arena given. */
#pragma once

#include "base/arena.h"
#include "base/fault.h"
#include "mail/ids.h"
#include "store/query_message.h"
#include "store/reader.h"
#include "store/store.h"

/* Which recipients; zero and false mean any. */
struct store_queue_filter {
	bool by_state; /* then only `state`, an open one */
	enum store_state state;
	bool by_lane;
	enum stream lane;
	struct account_id account;
	struct group_id group;
	struct str sender;  /* an address, or @domain (any case) */
	struct str address; /* likewise */
	struct str tag;
};

/* A place in the list; zero is before everything. Opaque but for that: may be stored as it is. */
struct store_queue_position {
	uint8_t phase;
	int64_t key[5];
};

struct store_queue_row {
	struct store_recipient_row rcpt;
	int64_t created_us;
	int64_t deadline_us;
	struct store_content content;
	uint32_t n_rcpts;
	struct str sender;
	struct str subject;
	struct str tag;
};

struct store_queue_list {
	struct store_queue_filter filter;
	struct store_queue_position at; /* go on after this; moves on */
	uint32_t max;
	/* results */
	struct store_queue_row *rows;
	uint32_t n;
	bool end; /* there are no more */
};

/* Open recipients. May return fewer rows, or none, before the end, when the time of one read is
 * used up: call again. A recipient that moves while pages are read can come twice or not at all. */
enum rc store_query_queue(
    struct store_reader *r, struct store_queue_list *q, struct arena *a, struct fault *fault);

/* Rows with a due time, by group and lane: at most `max` entries. Counting stops at
 * STORE_BACKLOG_MAX rows. */
enum rc store_query_backlog(struct store_reader *r, uint32_t max, struct arena *a,
    struct store_backlog **rows_out, uint32_t *n_out, struct fault *fault);
/* Recipients in doubt, held and captured, by state, and since when the oldest is there (created,
 * wall; 0: none). *counted_out is an array of STORE_STATE_COUNT. */
struct store_aside {
	uint64_t rows;
	int64_t oldest_us;
};
enum rc store_query_aside(
    struct store_reader *r, struct store_aside out[static STORE_STATE_COUNT], struct fault *fault);

/* The accounting of promise P1: accepted + generated = the sum of the others. */
struct store_totals {
	struct account_id account;
	uint64_t accepted, generated;
	uint64_t queued, in_doubt, captured; /* held ones count as queued */
	uint64_t sent, bounced, expired, failed, cancelled, suppressed, unknown;
};
/* One account's, zero where it never had mail; account none: the sum of all. */
enum rc store_query_totals(struct store_reader *r, struct account_id account,
    struct store_totals *out, struct fault *fault);
bool store_query_totals_balance(const struct store_totals *t);

struct store_stat_row {
	int64_t hour; /* since the epoch */
	struct version_id version;
	enum stream lane;
	enum store_state state; /* what the attempts led to; QUEUED: another try */
	uint8_t attribution;
	uint64_t count;
};
struct store_stat_list {
	int64_t since_hour, until_hour; /* the latter excluded */
	struct version_id version;      /* none: all */
	uint32_t max;
	/* results */
	struct store_stat_row *rows;
	uint32_t n;
};

/* By hour, version, lane, state, attribution. */
enum rc store_query_stats(
    struct store_reader *r, struct store_stat_list *q, struct arena *a, struct fault *fault);

/* The key text of a group. RC_NOT_FOUND. */
enum rc store_query_group(struct store_reader *r, struct group_id id, struct arena *a,
    struct str *key_out, struct fault *fault);

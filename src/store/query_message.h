/* Messages and their stories, for people: lists, one message with its recipients, and every
 * attempt.
 *
 * All functions read through a reader (store/reader.h); strings live in the arena given. */
#pragma once

#include "base/arena.h"
#include "base/fault.h"
#include "mail/ids.h"
#include "store/message.h"
#include "store/reader.h"

struct store_message_row {
	struct msg_id id;
	struct account_id account;
	struct credential_id credential;
	struct msg_id about; /* none: about no other */
	enum stream stream;
	enum store_kind kind;
	struct store_content content;
	uint32_t flags;
	uint32_t n_rcpts;
	/* the ids of its recipients are first_rcpt ... first_rcpt + n_rcpts - 1 */
	uint64_t first_rcpt;
	int64_t created_us;
	int64_t deadline_us; /* TIME_NEVER: none */
	int64_t send_at_us;  /* 0: at once */
	uint8_t ret;
	uint8_t doubt_policy;
	struct str sender;
	struct str envid;
	struct str message_id;
	struct str subject;
	struct str tag;
	struct str client;
	/* Of the recipients; a list tells the first one's, so that one line can be shown for each
	 * message. */
	uint32_t counts[STORE_STATE_COUNT];
	struct str first_address;
};

struct store_recipient_row {
	struct rcpt_id id;
	struct msg_id msg;
	struct account_id account;
	struct group_id group;
	enum stream lane;
	enum store_state state;
	int64_t due_us;  /* TIME_NEVER: none planned, or in the dispatcher's hands */
	int64_t done_us; /* 0: not done */
	int64_t lived_us;
	uint64_t domain_hash;
	uint64_t last_attempt; /* 0: none */
	uint16_t attempts;
	uint16_t doubts;
	uint8_t notify;
	struct str address;
	struct str orcpt;
};

struct store_attempt_row {
	uint64_t id;
	struct rcpt_id rcpt;
	bool is_open;               /* about to finish, outcome not known yet */
	struct store_attempt facts; /* as STORE_OUTCOME told them */
};

/* Which messages; zero means any. */
struct store_message_filter {
	struct account_id account;
	struct str sender; /* an address, or @domain (any case) */
	struct str tag;
	struct str message_id;
	int64_t since_us; /* created then or later */
	int64_t until_us; /* created before; 0: no bound */
};

/* A question and its answer. */
struct store_message_list {
	struct store_message_filter filter;
	struct msg_id before; /* go on below this one; none: from the newest */
	uint32_t max;
	/* results */
	struct store_message_row *rows;
	uint32_t n;
	struct msg_id next; /* the `before` to go on with; none: the end was reached */
};

/* Messages, newest first. Stops early, with fewer rows or none, when the time of one read is used
 * up. */
enum rc store_query_messages(
    struct store_reader *r, struct store_message_list *q, struct arena *a, struct fault *fault);

/* RC_NOT_FOUND: no such message, or its history is gone. */
enum rc store_query_message(struct store_reader *r, struct msg_id id, struct arena *a,
    struct store_message_row *out, struct fault *fault);

struct store_recipient_list {
	uint32_t skip; /* so many from the first one on */
	uint32_t max;
	/* results */
	struct store_recipient_row *rows;
	uint32_t n;
};

/* Recipients of one message, in its order. */
enum rc store_query_recipients(struct store_reader *r, const struct store_message_row *m,
    struct store_recipient_list *q, struct arena *a, struct fault *fault);
/* RC_NOT_FOUND. */
enum rc store_query_recipient(struct store_reader *r, struct rcpt_id id, struct arena *a,
    struct store_recipient_row *out, struct fault *fault);

struct store_attempt_list {
	uint32_t max;
	/* results */
	struct store_attempt_row *rows;
	uint32_t n;
};

/* The newest `max` attempts for one recipient, oldest first. RC_NOT_FOUND: no such recipient. */
enum rc store_query_attempts(struct store_reader *r, struct rcpt_id id,
    struct store_attempt_list *q, struct arena *a, struct fault *fault);

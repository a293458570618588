/* Operations: what is asked of the writer, and what it says by itself.
 *
 * Everything that changes the store is a struct that begins with a `struct store_op`. Fill it, post
 * it (store_post, or an outbox to store_mailbox); from then on it and all it points at belong to
 * the writer. After the commit, or the refusal, it comes back to `reply` with `rc`, `fault` and its
 * results filled in, and belongs to the poster again. With no `reply` it ends with a call of
 * `dispose` on the writer's thread, where that is set.
 *
 * The writer answers in the order in which it acted, once per group commit and destination, so
 * acks, refills and fresh messages reach the dispatcher in one order that agrees with the disk. Of
 * one sender's operations, FINISH, OUTCOME, REFILL, GRANT, CONFIRM and transactional ACCEPT keep
 * their order; bulk ACCEPT and CALL form lines of their own and never delay those.
 *
 * rc of a refusal: RC_LIMIT (disk nearly full), RC_IO (disk), RC_DB (the database), RC_DENIED
 * (account disabled), RC_CANCELLED (the store is closing). All but RC_DENIED are temporary. */
#pragma once

#include "base/arena.h"
#include "base/fault.h"
#include "loop/mailbox.h"
#include "mail/ids.h"
#include "mail/stream.h"
#include "store/state.h"

struct store_message;
struct store_recipient;
struct store_tx;

enum store_op_kind {
	/* asked of the writer */
	STORE_ACCEPT,
	STORE_FINISH,
	STORE_OUTCOME,
	STORE_REFILL,
	STORE_GRANT,
	STORE_CONFIRM,
	STORE_CALL,
	/* said by the writer, to the dispatcher's mailbox */
	STORE_FRESH, /* struct store_message */
	STORE_GROUP, /* struct store_notice: a new group, before anything that names it */
	STORE_MORE,  /* struct store_notice: rows on disk that no STORE_FRESH announced */
};

struct store_op {
	struct mailbox_item item;
	enum store_op_kind kind;
	struct mailbox *reply;              /* NULL: nobody waits */
	void (*dispose)(struct store_op *); /* instead of a reply; may be NULL */
	enum rc rc;
	struct fault fault;
};

static inline struct store_op *
store_op_of(struct mailbox_item *item)
{
	return CONTAINER_OF(item, struct store_op, item);
}

/* Takes one message in. `msg` moves to the writer whatever happens and is NULL afterwards. */
struct store_accept {
	struct store_op op;
	struct store_message *msg;
	/* results, when rc is RC_OK */
	struct msg_id msg_id; /* of the first one, when it is a duplicate */
	int64_t created_us;   /* likewise; with msg_id it makes the public id (store_public_id) */
	bool duplicate;       /* the key was known: nothing was stored */
};

/* "About to finish": the final dot may follow once this is committed. One row per recipient, which
 * is an open question until an OUTCOME answers it; after a crash each open one is in doubt. */
struct store_finish {
	struct store_op op;
	struct version_id version; /* through which it goes out */
	int64_t at_us;             /* wall */
	const struct rcpt_id *rcpts;
	uint32_t n; /* > 0 */
	/* result: the attempt of rcpts[i] is first_attempt + i */
	uint64_t first_attempt;
};

/* How one try went. `stage` and `attribution` are the numbers of those who judge; the store keeps
 * and counts them. Strings are cut to STORE_TEXT_MAX bytes. */
#define STORE_TEXT_MAX 512
struct store_attempt {
	int64_t at_us; /* wall, when it began */
	int64_t duration_us;
	struct version_id version;
	uint16_t code; /* SMTP reply code; 0: there was none */
	uint8_t stage;
	uint8_t attribution;
	struct str enhanced; /* "5.1.1" or empty */
	struct str text;     /* the reply, or the fault in words */
	struct str remote;   /* address and port spoken to */
	struct str tls;      /* version, cipher, how verified; empty: none */
	struct str peer;     /* the name it gave itself */
};

#define STORE_VIA_NONE INT64_MIN

/* What becomes of one recipient. The fields of the first part are as the dispatcher got them from
 * the store (STORE_FRESH, STORE_REFILL, recovery). */
struct store_result {
	struct rcpt_id rcpt;
	struct msg_id msg;
	struct account_id account;
	enum stream lane;
	uint32_t n_rcpts;      /* of the message */
	uint32_t segment;      /* of its content */
	enum store_state from; /* what the dispatcher takes it for */

	enum store_state to;
	int64_t due_us; /* wall; TIME_NEVER: not again by itself. Of open states only */
	int64_t at_us;  /* wall, now: done_us of a final state */
	int64_t lived_us;
	uint16_t attempts; /* in all, this one included */
	uint16_t doubts;
	struct group_id to_group; /* moved to another group; none: stays */
	/* The relay version it is bound to from now on, as in struct store_row; 0: stays as it is,
	 * STORE_VIA_NONE: none. */
	int64_t via;

	uint64_t attempt;                  /* from STORE_FINISH, 0: there was none */
	const struct store_attempt *facts; /* NULL: no try was made (hold, cancel, eviction ...) */

	/* result: the row was already final (an operator was faster). The attempt is recorded; the
	 * state stands, except that SENT replaces any other. */
	bool was_final;
};

/* The outcome of one transaction, or any set of changes. Never refused and never dropped: while the
 * disk will not take it, it waits in the writer, in order, and comes back only when it is
 * committed. */
struct store_outcome {
	struct store_op op;
	struct store_result *results;
	uint32_t n;
	/* Reports of ours, accepted in the same commit, then posted like fresh mail. Move to the
	 * writer. */
	struct store_message **generated;
	uint32_t n_generated;
};

/* A place in the order (account, due, id); zero is before everything. */
struct store_position {
	struct account_id account;
	int64_t due_us;
	struct rcpt_id rcpt;
};

/* All the dispatcher needs to queue and send one recipient, without the content. */
struct store_row {
	struct rcpt_id rcpt;
	struct msg_id msg;
	struct account_id account;
	struct credential_id credential;
	struct group_id group;
	enum stream lane;
	enum store_state state;
	/* Wall; 0 on a row in doubt: since a crash, and nobody has applied its policy yet.
	 * TIME_NEVER: waits for a person. */
	int64_t due_us;
	int64_t lived_us;
	int64_t created_us;
	int64_t deadline_us; /* TIME_NEVER: none */
	uint64_t domain_hash;
	/* Above 0, the relay version where it is in doubt: repeated there while that works. Below
	 * 0, the one that refused it for good: another shall try. 0: none. */
	int64_t via;
	uint32_t n_rcpts; /* of the message */
	uint32_t flags;
	uint32_t segment; /* the content, as in struct store_content */
	uint32_t offset;
	uint32_t bytes;
	uint16_t attempts;
	uint16_t doubts;
	uint8_t notify;
	uint8_t ret;
	uint8_t doubt_policy;
	uint8_t kind; /* enum store_kind */
	struct str address;
	struct str orcpt;
	struct str sender;
	struct str envid;
	struct str message_id;
};

/* Rows of one group and lane that are due, for the dispatcher's window. They stay on disk as they
 * are, so one that it already holds can come again: it drops ids that it has or whose outcome is
 * not acked. */
struct store_refill {
	struct store_op op;
	struct group_id group;
	enum stream lane;
	struct account_id only;      /* one account's rows; none: all accounts in turn */
	struct store_position after; /* continue after this row */
	int64_t before_us;           /* rows due up to then (wall) */
	uint32_t share; /* at most so many of one account; 0: no limit. Not with `only` */
	uint32_t max;   /* at most so many in all; clipped to STORE_REFILL_MAX */
	/* results, in the op's own arena: store_refill_done frees them */
	struct arena arena;
	struct store_row *rows;
	uint32_t n;
	struct store_position last; /* where to continue; zero once the end was reached */
	int64_t next_due_us; /* earliest due of what was passed over: not due, or over its account's
				share; TIME_NEVER: nothing was */
};
#define STORE_REFILL_MAX 512

/* Frees the results; the op may be posted again. */
void store_refill_done(struct store_refill *r);

/* What the writer may hand over in memory. `opened` and `closed` change the set of open groups (at
 * first all are closed); `credits` are added to what is left. Every recipient handed over spends
 * one. */
struct store_grant {
	struct store_op op;
	const struct group_id *opened;
	uint32_t n_opened;
	const struct group_id *closed;
	uint32_t n_closed;
	int64_t credits[STREAM_COUNT];
};

/* The clients went on, so they have read their 250: these keys no longer match. */
struct store_confirm {
	struct store_op op;
	const uint8_t (*keys)[32];
	uint32_t n;
};

/* Any other change, by the typed functions of config_*.h and the like. `run` is called on the
 * writer's thread, must not block, and is undone unless it returns RC_OK. It may run more than once
 * (when the group it travelled in fails), so it must not change what it cannot undo. */
typedef enum rc store_call_fn(struct store_tx *tx, void *arg, struct fault *fault);
struct store_call {
	struct store_op op;
	store_call_fn *run;
	void *arg;
};

/* STORE_GROUP, STORE_MORE: heap objects that become the dispatcher's; store_notice_free. */
struct store_notice {
	struct store_op op;
	struct group_id group;
	struct str key;   /* STORE_GROUP */
	enum stream lane; /* STORE_MORE: told once for a group and lane until its next STORE_REFILL,
			     or again ... */
	int64_t due_us;   /* ... when something is due earlier than what was told. Wall */
};
void store_notice_free(struct store_notice **n);

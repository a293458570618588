/* A message on its way into the store and from there to the dispatcher: one heap object.
 *
 * Whoever accepts mail builds it (submission, or the dispatcher for a bounce), hands it over inside
 * a STORE_ACCEPT or STORE_OUTCOME, and never sees it again. When it is committed and at least one
 * of its recipients fits the dispatcher's window, the writer fills in the ids and posts this same
 * object to the dispatcher, content still in memory; else the writer frees it. */
#pragma once

#include "base/arena.h"
#include "mail/ids.h"
#include "mail/stream.h"
#include "store/op.h"
#include "store/state.h"

struct blob;

#define STORE_KEY_SIZE 32

/* Why a message exists. Kept on disk. */
enum store_kind {
	STORE_SUBMITTED = 0,
	STORE_BOUNCE = 1, /* a delivery report of ours, failed or relayed */
	STORE_NOTICE = 2, /* a delay notice, a warning, a probe */
};

/* A set of these; kept on disk. */
enum store_flags {
	STORE_8BITMIME = 1, /* BODY=8BITMIME */
	STORE_SMTPUTF8 = 2,
	STORE_DELAY_NOTICE_SENT = 4,
};

/* Where a content lies. A hint: the store may move a long-lived message meanwhile, and finds it
 * again (store_reader_content, and the accounting of outcomes). */
struct store_content {
	uint32_t segment;
	uint32_t offset; /* of the record's header */
	uint32_t bytes;  /* of the content alone */
};

struct store_recipient {
	/* The builder's; all bytes live in the message's arena. */
	struct str address;    /* as it is written in RCPT TO, without angle brackets; not empty */
	struct str group_key;  /* what all routes treat alike; the writer turns it into `group` */
	struct str orcpt;      /* RFC 3461 §4.2, or empty */
	uint64_t domain_hash;  /* the destination, for fairness */
	uint8_t notify;        /* RFC 3461 §4.1, as the builder codes it */
	enum store_state born; /* QUEUED, HELD, CAPTURED, or a final one such as SUPPRESSED */

	/* The writer's. */
	struct rcpt_id id; /* consecutive within a message */
	struct group_id group;
	bool handed; /* the dispatcher has it from this object; else it comes by STORE_REFILL */
};

struct store_message {
	struct store_op op; /* STORE_FRESH on its way to the dispatcher; the writer's */
	struct arena arena; /* owns every string and the recipients */

	struct account_id account;
	struct credential_id credential; /* none for generated mail */
	enum stream stream;
	enum store_kind kind;
	struct msg_id about; /* the message a report is about, or none */
	struct str sender;   /* as in MAIL FROM, without angle brackets; empty: the null sender */
	struct store_recipient *rcpts;
	uint32_t n_rcpts;     /* > 0 */
	int64_t created_us;   /* wall */
	int64_t deadline_us;  /* wall; TIME_NEVER: only the usual expiry */
	int64_t send_at_us;   /* wall; 0 or past: at once */
	struct blob *content; /* one reference; never NULL */
	struct str message_id;
	struct str subject;
	struct str tag;
	struct str client; /* address of who submitted it, as text */
	struct str envid;  /* RFC 3461 §4.4, or empty */
	uint32_t flags;    /* set of enum store_flags */
	uint8_t ret;       /* RFC 3461 §4.3, as the builder codes it */
	uint8_t doubt_policy;

	/* A repeated submission is recognised by this key. An SMTP key lasts until its client's
	 * next command confirms that it read the reply (STORE_CONFIRM); a sticky one (HTTP
	 * Idempotency-Key) matches for 24 hours. */
	bool has_key;
	bool key_is_sticky;
	uint8_t key[STORE_KEY_SIZE];

	/* The writer's. */
	struct msg_id id;
	struct store_content at;
	uint32_t n_open;   /* recipients that are not final */
	uint32_t n_handed; /* recipients that are handed over in this object */
};

/* An empty message; the arena is ready for its strings. Times are 0 but deadline_us is TIME_NEVER.
 */
struct store_message *store_message_new(void);
/* Drops content and everything else. Takes NULL; nulls the pointer. Serves with AUTO. */
void store_message_free(struct store_message **m);
/* Room for `n` recipients, zeroed, in the message's arena; sets rcpts and n_rcpts. */
void store_message_add_rcpts(struct store_message *m, uint32_t n);

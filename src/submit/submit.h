/* The only door in: whatever hands mail to Posthouse (SMTP now, HTTP likewise) ends here in one
 * submission, and what may be submitted, by whom, in which form, is written here once.
 *
 * One `struct submit` a loop. It implements the SMTP server's ops, prepares a message (options,
 * repair, route), has the writer keep it, and answers when it is kept. Loop thread only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "codec/ip.h"
#include "codec/smtp_reply.h"
#include "mail/address.h"
#include "mail/ids.h"
#include "mail/repair.h"
#include "smtp/server.h"

struct account_book;
struct account_credential;
struct loop;
struct pool;
struct relay_book;
struct store;
struct store_message;
struct submit;

struct submit_opts {
	struct loop *loop;
	struct store *store;
	struct pool *pool;                  /* for passwords that take long to check */
	struct str hostname;                /* copied */
	size_t max_connections;             /* of all loops together; 0: no limit */
	size_t max_connections_per_address; /* likewise, outside trusted networks; 0: no limit */
	int64_t max_hold_us;                /* how far ahead mail may be scheduled */
	/* The server was drained, its last session is gone, and nothing waits for writer or pool.
	 */
	void (*on_drained)(void *arg);
	void *arg;
};

struct submit *submit_new(const struct submit_opts *opts);
/* The server that uses it must be gone. Takes NULL; nulls the pointer. */
void submit_free(struct submit **s);
/* New settings; references are taken. Before the first mail, and whenever they change. */
void submit_set_books(struct submit *s, struct relay_book *relays, struct account_book *accounts);
/* For smtp_server_new, with the submit as its arg. */
const struct smtp_server_ops *submit_smtp_ops(void);
/* Nothing is waiting for the writer or the pool. */
bool submit_is_idle(const struct submit *s);

/* ---- one submission ---- */

struct submit_rcpt {
	struct mail_addr addr;
	unsigned notify;  /* 0: not said */
	struct str orcpt; /* "type;address", or empty */
};

struct submit_request {
	struct account_id account;
	const struct account_credential *credential; /* NULL: from a trusted network */
	struct mail_addr sender;
	const struct submit_rcpt *rcpts;
	size_t n_rcpts;     /* > 0 */
	struct str content; /* CRLF lines, not dot-stuffed */
	bool smtputf8;
	struct str envid;
	uint8_t ret; /* 0: not said, else 1 + enum smtp_ret */
	int64_t send_at_us;
	int64_t now_us; /* wall */
	/* how it came in; queue_id, wall_us and the like are filled in here */
	struct mail_repair_facts facts;
};

/* Why not: as SMTP says it. */
struct submit_refusal {
	uint16_t code;
	struct smtp_enhanced enhanced;
	char text[320];
};

/* Turns a request into a message ready for the writer. False, with the refusal filled in, when
 * policy or the content forbids it. */
bool submit_prepare(struct submit *s, const struct submit_request *r, struct store_message **out,
    struct submit_refusal *refusal);

/* ---- numbers, for display; any thread; sums over all loops ---- */

/* clang-format off */
#define SUBMIT_REFUSALS(X) \
	X(AUTH, "auth") \
	X(SENDER, "sender") \
	X(RECIPIENT, "recipient") \
	X(CONTENT, "content") \
	X(STORE, "store") \
	X(CONNECTION, "connection")
/* clang-format on */
enum submit_refused {
#define X(name, text) SUBMIT_REFUSED_##name,
	SUBMIT_REFUSALS(X)
#undef X
	    SUBMIT_REFUSED_COUNT
};
const char *submit_refused_name(enum submit_refused r);

struct submit_metrics {
	_Atomic uint64_t connections; /* since start */
	_Atomic uint64_t sessions;    /* now */
	_Atomic uint64_t messages, recipients, bytes, duplicates;
	_Atomic uint64_t logins, failed_logins;
	_Atomic uint64_t refused[SUBMIT_REFUSED_COUNT];
};
struct submit_metrics *submit_metrics(void);

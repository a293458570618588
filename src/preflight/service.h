/* Preflights for the rest of the program: requests in by mailbox, reports back by mailbox.
 *
 * The service lives on the background loop. A request names a relay version by a book; what is in
 * use (senders, sizes, rates, capabilities) is read from the store, the secret is opened for the
 * length of the run. Runs go on side by side.
 *
 * Each request is answered exactly once, by being posted to its reply mailbox. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/fault.h"
#include "base/str.h"
#include "loop/mailbox.h"
#include "mail/ids.h"
#include "net/addr.h"
#include "preflight/preflight.h"

struct dialer;
struct loop;
struct pool;
struct preflight_service;
struct relay_book;
struct resolver;
struct seal_key;
struct store;

struct preflight_request {
	struct mailbox_request base; /* first; base.reply and base.arg are the asker's */

	/* Asked. Strings live in `arena`. */
	enum preflight_kind kind;
	struct relay_book *book;   /* a reference that the request owns */
	struct version_id version; /* what is checked */
	struct version_id against; /* what it must not be weaker than; none: nothing */
	struct str allow_weaker;   /* why it may be; empty: it may not */
	struct str snapshot;       /* name of the one that was taken; empty: none was */
	const struct str *rcpts;   /* asked for by RCPT, never sent to */
	size_t n_rcpts;
	unsigned connects; /* for P70; 0: the usual 20 */
	struct arena arena;

	/* Answered. With rc RC_OK the run came to its end, good or bad; RC_NOT_FOUND: the book does
	 * not have the version; RC_LIMIT: too much is asked at once; RC_CANCELLED: the program
	 * ends. */
	enum rc rc;
	struct fault fault;
	bool passed;                 /* nothing failed */
	bool hold;                   /* all that failed is a limit below the present demand */
	bool weaker;                 /* it is weaker, allowed or not */
	enum preflight_stage failed; /* where, unless passed */
	int64_t at_us;               /* wall, when it began */
	struct str summary;          /* one sentence */
	struct str report;           /* JSON, an object */
};

/* Zeroed but for the arena; free it whoever holds it. */
struct preflight_request *preflight_request_new(void);
/* Takes NULL, nulls the pointer. Serves with AUTO. */
void preflight_request_free(struct preflight_request **r);

struct preflight_service_opts {
	struct loop *loop; /* these three are the background thread's */
	struct resolver *resolver;
	struct dialer *dialer;
	struct pool *pool;
	struct store *store;
	const struct seal_key *seal;
	struct str hostname;          /* ours; copied */
	const struct net_addr *doors; /* where we take mail ourselves; copied */
	size_t n_doors;
	double patience; /* 1 in production */
};

/* Main thread, before the loop runs. */
struct preflight_service *preflight_service_new(const struct preflight_service_opts *opts);
/* Requests go here; any thread. */
struct mailbox *preflight_service_mailbox(struct preflight_service *s);
/* On the loop: breaks off what is under way and answers it, and refuses from then on. */
void preflight_service_drain(void *service);
/* Main thread, after the loop has ended and the pool is gone. */
void preflight_service_free(struct preflight_service **s);

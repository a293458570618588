/* Probes: real messages through one relay version, found again in real mailboxes.
 *
 * "Accepted" is not "delivered": for each sender identity and each mailbox a message is sent by the
 * production path and looked for over IMAP, in the inbox, in junk and elsewhere, until it is found
 * or its time is up. What arrived is compared with what was sent. Beside these, what we receive is
 * proven by mail from a mailbox that a relay can send as, and the way home of bounces by a message
 * to an address that does not exist. Probes are few, thirty at most and a handful a minute for each
 * mailbox, since bursts of tests get mailboxes blocked.
 *
 * A version has one run at a time. A run is kept in the store when it is over. */
#pragma once

#include "mailbox/service.h"

struct relay_book;

#define MAILBOX_PROBES_MAX 30u

enum mailbox_probe_want {
	MAILBOX_PROBE_RUN,   /* answered when it is over */
	MAILBOX_PROBE_START, /* answered when it has begun */
	MAILBOX_PROBE_LOOK,  /* answered at once: how far the run is. RC_NOT_FOUND: there is none */
};

struct mailbox_probe {
	struct mailbox_ask ask;
	enum mailbox_probe_want want;
	struct arena arena;      /* strings live in it */
	struct relay_book *book; /* one reference, the request's */
	struct version_id version;
	const struct str *senders; /* identities to prove; none: those that the version lists */
	size_t n_senders;
	struct str only;     /* name of the one mailbox to use; empty: all that are for probes */
	int64_t deadline_us; /* for each message to be found; 0: five minutes */

	/* Answered. rc RC_INVALID: nothing can be probed, the fault says what is missing;
	 * RC_EXISTS: a run of this version is under way (START). */
	bool is_over;
	bool passed;
	struct str summary; /* one sentence */
	struct str report;  /* JSON, an object; see docs/manual/mailboxes.md */
};

struct mailbox_probe *mailbox_probe_new(void);
/* Takes NULL; nulls the pointer. Serves with AUTO. */
void mailbox_probe_free(struct mailbox_probe **p);

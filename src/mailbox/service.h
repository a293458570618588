/* Mailboxes for the rest of the program: checked on demand, read for reports by the minute, and
 * used to prove that mail arrives.
 *
 * The service lives on the background loop. Requests begin with a struct mailbox_ask and are posted
 * to the service's mailbox from any thread; each is answered exactly once, by being posted to its
 * `reply`. Reading for reports needs no request: every mailbox that is there for bounces, or that a
 * relay names, is looked at in turn. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/fault.h"
#include "base/str.h"
#include "loop/mailbox.h"
#include "mail/ids.h"
#include "net/imap.h"
#include "relay/attribute.h"
#include "store/config_mailbox.h"
#include "store/report.h"

struct dialer;
struct loop;
struct mailbox_service;
struct pool;
struct seal_key;
struct store;

enum mailbox_ask_kind {
	MAILBOX_ASK_CHECK, /* struct mailbox_check */
	MAILBOX_ASK_PROBE, /* struct mailbox_probe, mailbox/probe.h */
	MAILBOX_ASK_READ,  /* struct mailbox_ask alone: look for reports now; answered at once */
};

/* How a request begins. With rc RC_OK it came to its end, good or bad; RC_CANCELLED: the program
 * ends; RC_LIMIT: too much is asked at once; others: as `fault` says. */
struct mailbox_ask {
	struct mailbox_request base; /* base.reply and base.arg are the asker's */
	enum mailbox_ask_kind kind;
	enum rc rc;
	struct fault fault;
};

/* One mailbox: can we log in, what folders are there. */
struct mailbox_check {
	struct mailbox_ask ask;
	struct arena arena;
	struct store_mailbox_row row; /* strings in `arena` */
	/* answered, in `arena` */
	bool passed;
	enum imap_stage stage; /* where it failed */
	struct str why;        /* one sentence, unless passed */
	struct str greeting;
	struct str tls;
	bool has_junk;
	struct mailbox_check_folder {
		struct str name; /* UTF-8 */
		enum imap_role role;
		bool counted; /* of inbox, junk and sent the messages are counted */
		uint64_t messages;
	} * folders;
	size_t n_folders;
};
struct mailbox_check *mailbox_check_new(void);
/* Takes NULL; nulls the pointer. Serves with AUTO. */
void mailbox_check_free(struct mailbox_check **c);

/* A recipient that was sent, and of which something became known later. Told once, when it is on
 * disk, on the background thread; valid during the call. */
struct mailbox_told {
	struct rcpt_id rcpt;
	struct version_id version;
	struct str rcpt_domain; /* in A-labels */
	enum stream lane;
	enum store_action action;
	enum store_match matched;
	const struct relay_verdict *verdict;
};
typedef void mailbox_report_fn(void *arg, const struct mailbox_told *told);

struct mailbox_service_opts {
	struct loop *loop; /* both are the background thread's */
	struct dialer *dialer;
	struct pool *pool;
	struct store *store;
	const struct seal_key *seal;
	struct str hostname;          /* ours; copied */
	int64_t poll_us;              /* between two readings for reports; 0: a minute */
	int64_t retain_us;            /* reports are kept so long; 0: 30 days */
	mailbox_report_fn *on_report; /* may be NULL */
	void *arg;
	double patience; /* 1 in production */
};

/* Main thread, before the loop runs and before the store is started. */
struct mailbox_service *mailbox_service_new(const struct mailbox_service_opts *opts);
/* Requests go here; any thread. */
struct mailbox *mailbox_service_mailbox(struct mailbox_service *s);
/* On the loop: breaks off what is under way and answers it, and refuses from then on. */
void mailbox_service_drain(void *service);
/* Main thread, after the loop has ended, the pool is gone and the store is closed. */
void mailbox_service_free(struct mailbox_service **s);

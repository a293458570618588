/* The hands of delivery on one loop: opens connections to relays, runs SMTP clients on them, has
 * the end of each message recorded before its dot leaves.
 *
 * A carrier decides nothing. The dispatcher (deliver.h) orders: open a connection, carry this job
 * on it, quit; the carrier reports: ready, the job is over, closed. Orders and reports are *notes*
 * posted between the dispatcher's mailbox and the carrier's; each note has one owner at a time.
 *
 * For every connection opened there is exactly one CARRIER_CLOSED; before it at most one
 * CARRIER_READY. Each job ordered comes back exactly once: just before CARRIER_CLOSED at the
 * latest, unless the writer still has its record then; such a job comes back when the writer has
 * answered. Loop thread only, but for carrier_mailbox. */
#pragma once

#include "base/arena.h"
#include "loop/mailbox.h"
#include "mail/ids.h"
#include "smtp/client.h"
#include "store/op.h"

struct carrier;
struct dialer;
struct loop;
struct relay_book;
struct seal_key;

enum carrier_kind {
	/* orders */
	CARRIER_OPEN, /* struct carrier_open */
	CARRIER_JOB,  /* struct deliver_job */
	CARRIER_QUIT, /* struct carrier_note: say QUIT when idle */
	CARRIER_STOP, /* struct carrier_note, any connection: all of them quit; carrier_is_idle
			 tells when done */
	/* reports */
	CARRIER_READY, /* struct carrier_report */
	CARRIER_DONE,  /* struct deliver_job */
	CARRIER_CLOSED /* struct carrier_report */
};

struct carrier_note {
	struct mailbox_item item;
	enum carrier_kind kind;
	struct conn_id conn; /* chosen by the dispatcher, unique in the process */
};

static inline struct carrier_note *
carrier_note_of(struct mailbox_item *item)
{
	return CONTAINER_OF(item, struct carrier_note, item);
}

struct carrier_open {
	struct carrier_note note;
	struct relay_book *book; /* one reference, moves along */
	struct version_id version;
};

struct carrier_report {
	struct carrier_note note;
	struct arena arena;      /* owns the texts */
	struct smtp_caps caps;   /* READY */
	struct smtp_verdict why; /* CLOSED */
	bool was_ready;
	bool dns_says_no_host; /* CLOSED before it was ready: the name does not exist */
	struct str remote, tls, peer;
	int64_t took_us; /* READY: dialling to login; CLOSED: its whole life */
};
void carrier_report_free(struct carrier_report **r);

/* One transaction on its way: made by the dispatcher, carried, given back. */
struct deliver_job {
	struct carrier_note note;
	struct smtp_job smtp;
	struct arena arena;
	struct version_id version;
	enum stream lane;
	int64_t began_us; /* wall */
	void *load;       /* the dispatcher's */
	/* the carrier's */
	struct store_finish finish;
	bool finish_is_out; /* the writer has it: the job cannot go back yet */
	bool is_over;
	bool conn_is_good; /* the connection can take the next job */
};

struct carrier_opts {
	struct loop *loop;
	struct dialer *dialer;
	struct mailbox *dispatcher;  /* reports go here */
	struct mailbox *writer;      /* "about to finish" goes here */
	struct str hostname;         /* for EHLO; copied */
	const struct seal_key *seal; /* opens relay secrets; borrowed */
	double patience;             /* see smtp_client_opts */
};

struct carrier *carrier_new(const struct carrier_opts *opts);
/* It must be idle. Takes NULL; nulls the pointer. */
void carrier_free(struct carrier **c);
/* Where orders go. Any thread may post. */
struct mailbox *carrier_mailbox(struct carrier *c);
/* No connection and no job is left. */
bool carrier_is_idle(const struct carrier *c);

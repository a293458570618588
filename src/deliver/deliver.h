/* The dispatcher: joins *when* (queue/) and *through whom* (relay/), and owns both.
 *
 * It hears of committed mail from the writer, of connections and finished jobs from the carriers,
 * of orders from the operator; it decides; it tells carriers what to do and the writer what came of
 * it. It does no I/O. One thread, one loop; other threads reach it through the mailboxes below.
 *
 * Rules it keeps:
 *   no recipient is with two jobs at a time; what the writer has not acknowledged is not taken in
 * again; an outcome is final once it is told to the writer, and the writer never drops one; a
 * relay's or identity's fault never ends a recipient (promise P3); a doubt is settled by its policy
 * alone (promise P2). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "loop/mailbox.h"
#include "mail/ids.h"
#include "queue/queue.h"
#include "queue/retry.h"
#include "relay/changeover.h"
#include "relay/desk.h"
#include "store/op.h"

struct deliver;
struct loop;
struct relay_book;
struct store;
struct store_reader;

struct deliver_opts {
	struct loop *loop;
	struct store *store; /* opened, not yet started */
	struct str hostname; /* reports come from MAILER-DAEMON here; copied */
	struct queue_limits window;
	struct queue_retry_schedule retry;
	int64_t expire_after_us[STREAM_COUNT];
	int64_t delay_notice_after_us; /* 0: none are sent */
	int64_t idle_us;               /* an idle connection quits after that */
	uint64_t seed;
	struct relay_book *book; /* one reference is taken */
	/* A relay announced something new and it is kept: settings should be published again. On
	 * the dispatcher's thread. */
	void (*on_learnt)(void *arg);
	/* A changeover wants something looked at, and counts its wants; the answer goes to
	 * deliver_changeover_answer. On the dispatcher's thread. May be NULL. */
	void (*on_want)(void *arg, uint64_t changeover, enum relay_want want, uint64_t since);
	/* Something to tell people about a changeover; it is in its history already. Likewise. */
	void (*on_changeover_news)(
	    void *arg, uint64_t changeover, const struct relay_changeover_news *news);
	void *arg;
};

struct deliver *deliver_new(const struct deliver_opts *opts);
void deliver_free(struct deliver **d);

/* For store_start: fresh mail, notices, and replies to the dispatcher's own operations. */
struct mailbox *deliver_store_mailbox(struct deliver *d);
/* For carriers: their reports. */
struct mailbox *deliver_report_mailbox(struct deliver *d);
/* Before the loop runs: one more carrier to order about. */
void deliver_add_carrier(struct deliver *d, struct mailbox *carrier);
/* Before the loop runs, after store_open: takes over what the last run left; `r` is only used
 * meanwhile. */
void deliver_recover(struct deliver *d, struct store_reader *r);

/* ---- orders: closures that run on the dispatcher's thread ---- */

struct deliver_order;
typedef void deliver_order_fn(struct deliver *d, struct deliver_order *o);

/* Begins a struct of the sender's. After `run` it is posted to `reply`, or, without one, `run`
 * disposes of it. */
struct deliver_order {
	struct mailbox_item item;
	deliver_order_fn *run;
	struct mailbox *reply;
};
/* Any thread. */
void deliver_post(struct deliver *d, struct deliver_order *o);

/* The rest is for `run` functions: dispatcher thread only. */

/* New settings; a reference is taken. */
void deliver_set_book(struct deliver *d, struct relay_book *book);
/* The store's group of a group of the queue: while its route changes over, mail of one group stands
 * in several there. */
struct group_id deliver_store_group(struct group_id in_queue);
struct relay_desk *deliver_desk(struct deliver *d);
struct queue *deliver_queue(struct deliver *d);
int64_t deliver_now_us(struct deliver *d);
/* Lets the desk's news of an order take effect. */
void deliver_settle(struct deliver *d);

/* What a person wants done with one recipient. */
enum deliver_wish {
	DELIVER_HOLD,
	DELIVER_RELEASE,
	DELIVER_RETRY,
	DELIVER_CANCEL,
	DELIVER_SENT,
	DELIVER_AGAIN,
	DELIVER_UNKNOWN
};
/* Carries the wish out for a recipient as the store shows it. RC_AGAIN: it is being sent this very
 * moment; RC_INVALID: its state does not allow it (the fault says what would). The change is told
 * to the writer. */
enum rc deliver_wish(
    struct deliver *d, enum deliver_wish wish, const struct store_row *row, struct fault *f);

/* Ends delivery in good order: no new jobs; connections quit once idle. `on_idle` runs when every
 * job is back and every connection closed. */
void deliver_stop(struct deliver *d, void (*on_idle)(void *arg), void *arg);

/* After its thread has ended and before store_close: gives the store's readers back. */
void deliver_close_readers(struct deliver *d);

/* ---- numbers, for display; any thread ---- */

#define DELIVER_LATENCY_BUCKETS 24
struct deliver_metrics {
	_Atomic uint64_t jobs;
	_Atomic uint64_t sent, deferred, bounced, expired, failed, in_doubt, unknown, repeated;
	_Atomic uint64_t connects, connect_failures;
	_Atomic uint64_t links;  /* connections now */
	_Atomic uint64_t window; /* recipients in memory now */
	_Atomic uint64_t ready[STREAM_COUNT];
	/* created_us of the oldest waiting in memory; 0: none */
	_Atomic int64_t oldest_us[STREAM_COUNT];
	/* accept to outcome of first attempts that were sent; bucket i counts those below 2^i * 100
	 * us */
	_Atomic uint64_t latency[STREAM_COUNT][DELIVER_LATENCY_BUCKETS];
};
const struct deliver_metrics *deliver_metrics(const struct deliver *d);

/* Messages between threads: many senders, one reader, no locks.
 *
 * A message is any struct with a `struct mailbox_item` in it; posting hands its ownership over.
 * Posting never blocks and never fails: what is bounded is how many messages senders may have
 * outstanding. The reader takes everything at once; messages of one sender arrive in the order
 * posted. The reader is woken (a system call) only when the mailbox turns from empty to non-empty.
 *
 * An outbox collects what one thread sends during a turn and posts it as one chain per destination,
 * so that a turn with a hundred messages wakes its reader once. */
#pragma once

#include <stdint.h>

#include "base/compiler.h"
#include "loop/loop.h"

struct mailbox_item {
	struct mailbox_item *next; /* the mailbox's while posted, then the reader's */
};

/* How a question to a service begins: it is posted to the service's mailbox and comes back to
 * `reply`, answered. */
struct mailbox_request {
	struct mailbox_item item;
	struct mailbox *reply;
	void *arg; /* the asker's */
};

/* Items in the order added; `{ 0 }` is empty. */
struct mailbox_chain {
	struct mailbox_item *newest; /* linked from newest to oldest */
	struct mailbox_item *oldest;
};

struct mailbox;

/* `first` and what follows by ->next, oldest first, now the reader's. Read ->next before giving an
 * item away. */
typedef void mailbox_fn(void *arg, struct mailbox_item *first);

struct mailbox *mailbox_new(void);
/* Detaches and frees; items still inside are the caller's to take first. Nobody may post any more.
 */
void mailbox_free(struct mailbox **mb);

/* Any thread. */
void mailbox_post(struct mailbox *mb, struct mailbox_item *item);
void mailbox_chain_add(struct mailbox_chain *chain, struct mailbox_item *item);
/* Posts all of `chain` at once and empties it; an empty chain does nothing. Any thread. */
void mailbox_post_chain(struct mailbox *mb, struct mailbox_chain *chain);

/* Reader only: everything there is now, oldest first, or NULL. */
struct mailbox_item *mailbox_take(struct mailbox *mb);
/* Reader in a plain thread: the same, waiting up to `timeout_us` (TIME_NEVER: for ever) for the
 * first item; NULL when none came. */
struct mailbox_item *mailbox_wait(struct mailbox *mb, int64_t timeout_us);
/* Reader on a loop: `on_items` is called with all that arrived, until mailbox_detach or _free. */
void mailbox_attach(struct mailbox *mb, struct loop *loop, mailbox_fn *on_items, void *arg);
void mailbox_detach(struct mailbox *mb);

struct outbox_slot {
	struct mailbox *to;
	struct mailbox_chain chain;
};

struct outbox {
	uint32_t magic;
	struct outbox_slot *slots; /* one for each destination ever used; few */
	size_t count;
	size_t cap;
	size_t last; /* slot used last */
	bool dirty;  /* some chain is not empty */
	struct loop_hook hook;
};

void outbox_init(struct outbox *o);
/* Flushes, detaches, frees. */
void outbox_done(struct outbox *o);
/* Takes `item` for `to`; it is posted by the next outbox_flush. */
void outbox_add(struct outbox *o, struct mailbox *to, struct mailbox_item *item);
void outbox_flush(struct outbox *o);
/* Flushes by itself at the end of every turn of `loop`. */
void outbox_attach(struct outbox *o, struct loop *loop);

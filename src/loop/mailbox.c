/* A stack that senders push on with one compare-and-swap and the reader empties with one exchange.
 *
 * Senders link newest to oldest, so a chain goes on with the same single step as one item; the
 * reader turns the order round once it owns the items. With a reader that only ever takes
 * everything, a node cannot come back under a sender's feet (no ABA).
 *
 * Waking: whoever pushes on an empty stack writes the eventfd. The reader clears the eventfd before
 * it takes, never after: an item pushed in between is taken now or has written again. What remains
 * is at worst one wake that finds nothing. */
#include "loop/mailbox.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

#define MAILBOX_MAGIC 0x3a11b0c5u

struct mailbox {
	uint32_t magic;
	int fd;                                /* eventfd */
	_Atomic(struct mailbox_item *) newest; /* any thread */
	struct loop_watch watch;               /* reader only, as is what follows */
	mailbox_fn *on_items;
	void *arg;
};

struct mailbox *
mailbox_new(void)
{
	struct mailbox *mb = MEM_NEW(struct mailbox);

	mb->magic = MAILBOX_MAGIC;
	mb->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ASSERT(mb->fd >= 0);
	atomic_init(&mb->newest, NULL);
	return mb;
}

void
mailbox_free(struct mailbox **mbp)
{
	struct mailbox *mb = *mbp;

	if (mb == NULL)
		return;
	*mbp = NULL;
	mailbox_detach(mb);
	close(mb->fd);
	mb->magic = 0;
	free(mb);
}

/* Puts `newest`..`oldest`, already linked, on top. */
static void
push(struct mailbox *mb, struct mailbox_item *newest, struct mailbox_item *oldest)
{
	struct mailbox_item *top = atomic_load_explicit(&mb->newest, memory_order_relaxed);

	do {
		oldest->next = top;
	} while (!atomic_compare_exchange_weak_explicit(
	    &mb->newest, &top, newest, memory_order_release, memory_order_relaxed));
	if (top != NULL)
		return;
	uint64_t one = 1;
	ssize_t n = write(mb->fd, &one, sizeof(one));
	/* EAGAIN only with 2^64 - 1 unread wakes. */
	ASSERT(n == (ssize_t)sizeof(one) || errno == EAGAIN);
}

void
mailbox_post(struct mailbox *mb, struct mailbox_item *item)
{
	push(mb, item, item);
}

void
mailbox_chain_add(struct mailbox_chain *chain, struct mailbox_item *item)
{
	item->next = chain->newest;
	chain->newest = item;
	if (chain->oldest == NULL)
		chain->oldest = item;
}

void
mailbox_post_chain(struct mailbox *mb, struct mailbox_chain *chain)
{
	if (chain->newest == NULL)
		return;
	struct mailbox_chain c = *chain;
	*chain = (struct mailbox_chain){ 0 };
	push(mb, c.newest, c.oldest);
}

struct mailbox_item *
mailbox_take(struct mailbox *mb)
{
	/* An empty mailbox is asked often; looking does not take the cache line from the senders.
	 */
	if (atomic_load_explicit(&mb->newest, memory_order_relaxed) == NULL)
		return NULL;
	struct mailbox_item *item =
	    atomic_exchange_explicit(&mb->newest, NULL, memory_order_acquire);
	struct mailbox_item *first = NULL;
	while (item != NULL) {
		struct mailbox_item *older = item->next;
		item->next = first;
		first = item;
		item = older;
	}
	return first;
}

static void
clear_wake(struct mailbox *mb)
{
	uint64_t count;
	ssize_t n = read(mb->fd, &count, sizeof(count));

	ASSERT(n == (ssize_t)sizeof(count) || errno == EAGAIN);
}

struct mailbox_item *
mailbox_wait(struct mailbox *mb, int64_t timeout_us)
{
	/* Under load this finds items without a system call; the eventfd stays set and costs one
	 * empty round when the reader next goes to sleep. */
	struct mailbox_item *first = mailbox_take(mb);

	if (first != NULL || timeout_us <= 0)
		return first;
	int64_t until_us =
	    timeout_us == TIME_NEVER ? TIME_NEVER : clock_monotonic_us() + timeout_us;
	for (;;) {
		struct pollfd p = { .fd = mb->fd, .events = POLLIN };
		struct timespec ts = { 0 };
		if (until_us != TIME_NEVER) {
			int64_t left_us = until_us - clock_monotonic_us();
			if (left_us <= 0)
				return mailbox_take(mb);
			ts.tv_sec = left_us / SECONDS(1);
			ts.tv_nsec = left_us % SECONDS(1) * 1000;
		}
		int n = ppoll(&p, 1, until_us != TIME_NEVER ? &ts : NULL, NULL);
		ASSERT(n >= 0 || errno == EINTR);
		if (n <= 0)
			continue;
		clear_wake(mb);
		first = mailbox_take(mb);
		if (first != NULL)
			return first;
	}
}

static void
on_wake(void *arg, unsigned what)
{
	struct mailbox *mb = FROM_ARG(struct mailbox, arg, MAILBOX_MAGIC);

	(void)what;
	clear_wake(mb);
	struct mailbox_item *first = mailbox_take(mb);
	if (first != NULL)
		mb->on_items(mb->arg, first);
}

void
mailbox_attach(struct mailbox *mb, struct loop *loop, mailbox_fn *on_items, void *arg)
{
	mailbox_detach(mb);
	mb->on_items = on_items;
	mb->arg = arg;
	loop_watch_init(&mb->watch, loop, mb->fd, on_wake, mb);
	loop_watch_set(&mb->watch, LOOP_READ);
}

void
mailbox_detach(struct mailbox *mb)
{
	loop_watch_done(&mb->watch);
}

/* One thread, one loop, and a short list of who lives there.
 *
 * Orders to drain and to stop travel as notes through the same mailbox, so that they keep their
 * order; services have mailboxes of their own. Once the thread has ended, posts to any of them are
 * harmless and stay unread. */
#include "daemon/background.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "daemon/private.h"
#include "net/dialer.h"
#include "net/resolver.h"

#define SERVICES_MAX 16

struct hosted {
	background_fn *drain;
	background_fn *end;
	void *service;
};

struct background {
	struct loop *loop;
	struct resolver *resolver;
	struct dialer *dialer;
	struct mailbox *notes;
	struct loop_thread *thread; /* NULL: not started, or joined */
	struct hosted hosted[SERVICES_MAX];
	size_t n_hosted;
	bool drain_asked; /* main thread only */
};

struct order {
	struct daemon_note note;
	struct background *background;
};

static void
run_notes(void *arg, struct mailbox_item *item)
{
	(void)arg;
	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct daemon_note *n = CONTAINER_OF(item, struct daemon_note, item);
		n->run(n);
		item = next;
	}
}

enum rc
background_new(struct background **out, struct fault *f)
{
	struct background *b = MEM_NEW(struct background);

	b->loop = loop_new();
	b->notes = mailbox_new();
	mailbox_attach(b->notes, b->loop, run_notes, b);
	enum rc rc = resolver_new(b->loop, NULL, &b->resolver, f);
	if (rc != RC_OK) {
		background_free(&b);
		return rc;
	}
	b->dialer = dialer_new(b->loop, b->resolver);
	*out = b;
	return RC_OK;
}

void
background_free(struct background **bp)
{
	struct background *b = TAKE(*bp);

	if (b == NULL)
		return;
	ASSERT(b->thread == NULL);
	while (b->n_hosted != 0) {
		struct hosted *h = &b->hosted[--b->n_hosted];
		h->end(h->service);
	}
	dialer_free(&b->dialer);
	resolver_free(&b->resolver);
	mailbox_free(&b->notes);
	loop_free(&b->loop);
	free(b);
}

struct loop *
background_loop(const struct background *b)
{
	return b->loop;
}

struct resolver *
background_resolver(const struct background *b)
{
	return b->resolver;
}

struct dialer *
background_dialer(const struct background *b)
{
	return b->dialer;
}

void
background_host(struct background *b, background_fn *drain, background_fn *end, void *service)
{
	ASSERT(b->thread == NULL && b->n_hosted < SERVICES_MAX);
	b->hosted[b->n_hosted++] = (struct hosted){ drain, end, service };
}

static void
run_loop(void *arg)
{
	loop_run(arg);
}

void
background_start(struct background *b)
{
	b->thread = loop_thread_start("background", run_loop, b->loop);
}

static void
give_order(struct background *b, void (*run)(struct daemon_note *n))
{
	struct order *o = MEM_NEW(struct order);

	*o = (struct order){ { .run = run }, b };
	daemon_tell(b->notes, &o->note);
}

static void
drain_all(struct daemon_note *n)
{
	struct order *o = CONTAINER_OF(n, struct order, note);
	struct background *b = o->background;

	for (size_t i = 0; i < b->n_hosted; i++)
		if (b->hosted[i].drain != NULL)
			b->hosted[i].drain(b->hosted[i].service);
	free(o);
}

static void
stop_loop(struct daemon_note *n)
{
	struct order *o = CONTAINER_OF(n, struct order, note);

	loop_stop(o->background->loop);
	free(o);
}

void
background_drain(struct background *b)
{
	if (b->drain_asked)
		return;
	b->drain_asked = true;
	give_order(b, drain_all);
}

void
background_join(struct background *b)
{
	if (b->thread == NULL)
		return;
	background_drain(b);
	give_order(b, stop_loop);
	loop_thread_join(&b->thread);
}

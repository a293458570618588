/* The service's post office: requests in, jobs and writes out and back.
 *
 * After draining, what comes back from pool or writer is dropped; what still lies in the mailboxes
 * when the loop has ended is dropped by mailbox_service_free. */
#include "mailbox/service.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mailbox/private.h"
#include "mailbox/probe.h"
#include "store/reader.h"

/* ---- answers ---- */

void
mailbox_answer(struct mailbox_ask *ask, enum rc rc, const struct fault *f)
{
	ask->rc = rc;
	if (f != NULL)
		ask->fault = *f;
	mailbox_post(ask->base.reply, &ask->base.item);
}

void
mailbox_work_begin(
    struct mailbox_service *s, struct mailbox_work *w, void (*cancel)(struct mailbox_work *w))
{
	w->cancel = cancel;
	list_push_back(&s->work, &w->link);
	s->n_work++;
}

void
mailbox_work_end(struct mailbox_service *s, struct mailbox_work *w)
{
	if (!list_is_linked(&w->link))
		return;
	list_remove(&w->link);
	s->n_work--;
}

/* ---- the pool and the writer ---- */

static void
run_job(struct pool_job *job)
{
	struct mailbox_job *j = CONTAINER_OF(job, struct mailbox_job, job);
	AUTO(store_reader_free) struct store_reader *r = NULL;

	j->rc = store_reader_new(j->service->opts.store, &r, &j->fault);
	if (j->rc == RC_OK)
		j->run(j, r);
}

void
mailbox_job_post(struct mailbox_job *j, struct mailbox_service *s)
{
	j->service = s;
	j->job = (struct pool_job){ .run = run_job, .reply = s->from_pool };
	pool_post(s->opts.pool, &j->job);
}

static void
on_pool(void *arg, struct mailbox_item *item)
{
	struct mailbox_service *s = FROM_ARG(struct mailbox_service, arg, MAILBOX_SERVICE_MAGIC);

	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct mailbox_job *j = CONTAINER_OF(pool_job_of(item), struct mailbox_job, job);
		if (s->drained)
			j->drop(j);
		else
			j->done(j);
		item = next;
	}
}

static enum rc
run_write(struct store_tx *tx, void *arg, struct fault *f)
{
	struct mailbox_write *w = arg;

	return w->run(w, tx, f);
}

void
mailbox_write_post(struct mailbox_write *w, struct mailbox_service *s)
{
	w->service = s;
	w->call = (struct store_call){
		.op = { .kind = STORE_CALL, .reply = s->from_writer }, .run = run_write, .arg = w
	};
	store_post(s->opts.store, &w->call.op);
}

static void
on_writer(void *arg, struct mailbox_item *item)
{
	struct mailbox_service *s = FROM_ARG(struct mailbox_service, arg, MAILBOX_SERVICE_MAGIC);

	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct store_call *call = CONTAINER_OF(store_op_of(item), struct store_call, op);
		struct mailbox_write *w = CONTAINER_OF(call, struct mailbox_write, call);
		if (s->drained)
			w->drop(w);
		else
			w->done(w);
		item = next;
	}
}

/* ---- requests ---- */

static void
one_ask(struct mailbox_service *s, struct mailbox_ask *a)
{
	struct fault f = { 0 };

	if (s->drained) {
		mailbox_answer(a, fault_set(&f, RC_CANCELLED, "the service is ending"), &f);
		return;
	}
	if (s->n_work >= MAILBOX_ASKS_MAX) {
		(void)fault_set(&f, RC_LIMIT,
		    "too many checks and probes are under way; try again in a minute");
		mailbox_answer(a, RC_LIMIT, &f);
		return;
	}
	switch (a->kind) {
	case MAILBOX_ASK_CHECK:
		mailbox_check_run(s, CONTAINER_OF(a, struct mailbox_check, ask));
		return;
	case MAILBOX_ASK_PROBE:
		mailbox_probe_run(s, CONTAINER_OF(a, struct mailbox_probe, ask));
		return;
	case MAILBOX_ASK_READ:
		mailbox_reader_now(s->reader);
		mailbox_answer(a, RC_OK, NULL);
		return;
	}
	UNREACHABLE();
}

static void
on_asks(void *arg, struct mailbox_item *item)
{
	struct mailbox_service *s = FROM_ARG(struct mailbox_service, arg, MAILBOX_SERVICE_MAGIC);

	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct mailbox_request *base = CONTAINER_OF(item, struct mailbox_request, item);
		one_ask(s, CONTAINER_OF(base, struct mailbox_ask, base));
		item = next;
	}
}

/* ---- life ---- */

struct mailbox_service *
mailbox_service_new(const struct mailbox_service_opts *opts)
{
	struct mailbox_service *s = MEM_NEW(struct mailbox_service);

	s->magic = MAILBOX_SERVICE_MAGIC;
	s->opts = *opts;
	s->opts.hostname = arena_str(&s->arena, opts->hostname);
	if (s->opts.poll_us <= 0)
		s->opts.poll_us = MINUTES(1);
	if (s->opts.retain_us <= 0)
		s->opts.retain_us = DAYS(30);
	if (s->opts.patience <= 0)
		s->opts.patience = 1;
	list_init(&s->work);
	mailbox_keys_init(&s->keys, opts->seal);
	s->asks = mailbox_new();
	s->from_pool = mailbox_new();
	s->from_writer = mailbox_new();
	mailbox_attach(s->asks, opts->loop, on_asks, s);
	mailbox_attach(s->from_pool, opts->loop, on_pool, s);
	mailbox_attach(s->from_writer, opts->loop, on_writer, s);
	s->reader = mailbox_reader_new(s);
	return s;
}

struct mailbox *
mailbox_service_mailbox(struct mailbox_service *s)
{
	return s->asks;
}

void
mailbox_service_drain(void *service)
{
	struct mailbox_service *s =
	    FROM_ARG(struct mailbox_service, service, MAILBOX_SERVICE_MAGIC);
	struct mailbox_work *w;

	s->drained = true;
	mailbox_reader_stop(s->reader);
	/* Whoever is cancelled takes itself off. */
	while ((w = LIST_FIRST(&s->work, struct mailbox_work, link)) != NULL)
		w->cancel(w);
}

void
mailbox_service_free(struct mailbox_service **sp)
{
	struct mailbox_service *s = TAKE(*sp);

	if (s == NULL)
		return;
	if (!s->drained) /* the thread never ran */
		mailbox_service_drain(s);
	on_pool(s, mailbox_take(s->from_pool));
	on_writer(s, mailbox_take(s->from_writer));
	mailbox_reader_free(&s->reader);
	mailbox_free(&s->asks);
	mailbox_free(&s->from_pool);
	mailbox_free(&s->from_writer);
	mailbox_keys_done(&s->keys);
	arena_done(&s->arena);
	s->magic = 0;
	free(s);
}

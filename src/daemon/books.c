/* Settings on their way from the store to everybody who reads them.
 *
 * A publication is read in the pool, taken by the main thread, and mailed to the dispatcher and
 * every loop, each with references of its own. One thread reads them, so a later publication never
 * overtakes an earlier one. */
#include "api/books.h"

#include <stdlib.h>

#include "account/book.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/private.h"
#include "deliver/deliver.h"
#include "relay/book.h"
#include "store/reader.h"
#include "store/store.h"

static enum rc
read_books(
    struct store *s, struct relay_book **relays, struct account_book **accounts, struct fault *f)
{
	AUTO(store_reader_free) struct store_reader *r = NULL;
	enum rc rc = store_reader_new(s, &r, f);

	return rc == RC_OK ? api_books_read(r, relays, accounts, f) : rc;
}

enum rc
books_load(struct daemon *d, struct fault *f)
{
	return read_books(d->store, &d->relays, &d->accounts, f);
}

/* ---- to the loops ---- */

struct take_books {
	struct daemon_note note;
	struct worker *worker;
	struct relay_book *relays;
	struct account_book *accounts;
};

static void
take_books(struct daemon_note *n)
{
	struct take_books *t = CONTAINER_OF(n, struct take_books, note);

	submit_set_books(t->worker->submit, t->relays, t->accounts);
	relay_book_unref(&t->relays);
	account_book_unref(&t->accounts);
	free(t);
}

struct set_book {
	struct deliver_order order;
	struct relay_book *book;
};

static void
set_book(struct deliver *deliver, struct deliver_order *o)
{
	struct set_book *s = CONTAINER_OF(o, struct set_book, order);

	deliver_set_book(deliver, s->book);
	relay_book_unref(&s->book);
	free(s);
}

static void
hand_out(struct daemon *d)
{
	struct set_book *s = MEM_NEW(struct set_book);

	s->order.run = set_book;
	s->book = relay_book_ref(d->relays);
	deliver_post(d->deliver, &s->order);
	for (size_t i = 0; i < d->n_workers; i++) {
		struct take_books *t = MEM_NEW(struct take_books);
		*t = (struct take_books){ { .run = take_books }, &d->workers[i],
			relay_book_ref(d->relays), account_book_ref(d->accounts) };
		daemon_tell(d->workers[i].notes, &t->note);
	}
	worker_publish_all(d); /* what is announced follows the default route */
	if (d->door != NULL)
		submit_set_books(d->door, d->relays, d->accounts);
}

/* ---- publications ---- */

struct publication {
	struct daemon_note note;
	struct pool_job job;
	struct daemon *daemon;
	struct relay_book *relays;
	struct account_book *accounts;
	enum rc rc;
	struct fault fault;
	void (*done)(void *arg, enum rc rc, const struct fault *f);
	void *arg;
};

static void
read_in_pool(struct pool_job *j)
{
	struct publication *p = CONTAINER_OF(j, struct publication, job);

	p->rc = read_books(p->daemon->store, &p->relays, &p->accounts, &p->fault);
	daemon_tell(p->daemon->notes, &p->note);
}

static void
on_read(struct daemon_note *n)
{
	struct publication *p = CONTAINER_OF(n, struct publication, note);
	struct daemon *d = p->daemon;

	if (p->rc == RC_OK) {
		relay_book_unref(&d->relays);
		account_book_unref(&d->accounts);
		d->relays = TAKE(p->relays);
		d->accounts = TAKE(p->accounts);
		hand_out(d);
	} else {
		log_event(LOG_ERROR, NULL, "settings.unreadable",
		    "the settings were changed but cannot be used: %s", p->fault.text);
	}
	if (p->done != NULL)
		p->done(p->arg, p->rc, &p->fault);
	free(p);
}

void
books_publish(
    struct daemon *d, void (*done)(void *arg, enum rc rc, const struct fault *f), void *arg)
{
	struct publication *p = MEM_NEW(struct publication);

	*p = (struct publication){ .note = { .run = on_read },
		.job = { .run = read_in_pool },
		.daemon = d,
		.done = done,
		.arg = arg };
	pool_post(d->books_pool, &p->job);
}

/* One loop thread: its listeners, SMTP server, submit door, carrier, resolver and dialer.
 *
 * Everything is built by the main thread before the thread starts, and taken down by it after the
 * thread has ended; in between, only notes reach it. */
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/private.h"
#include "deliver/carrier.h"
#include "deliver/deliver.h"
#include "net/dialer.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "relay/book.h"
#include "store/store.h"

void
daemon_tell(struct mailbox *to, struct daemon_note *n)
{
	mailbox_post(to, &n->item);
}

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

static bool
default_route_has_utf8(const struct daemon *d)
{
	return relay_book_has_smtputf8(d->relays);
}

/* Announced is what the default route can carry: the smaller SIZE, SMTPUTF8 only where it is known
 * or unknown to be taken. */
struct smtp_server_opts
worker_server_opts(const struct daemon *d)
{
	struct smtp_server_opts o = smtp_server_opts_default(str_from(d->config.hostname));
	uint64_t relay_max = relay_book_max_size(d->relays);

	o.max_size = d->config.max_message_size;
	if (relay_max != 0 && relay_max < o.max_size)
		o.max_size = relay_max;
	if (!default_route_has_utf8(d))
		o.extensions &= ~(unsigned)SMTP_SERVER_SMTPUTF8;
	o.max_rcpts = d->config.max_recipients;
	o.auth_required = true;
	o.auth_requires_tls = d->config.auth_requires_tls;
	o.normalize = d->config.normalize;
	o.trusted = d->config.trusted;
	o.n_trusted = d->config.n_trusted;
	o.tls = d->tls;
	memcpy(o.scram_fake_key, d->scram_fake_key.k, sizeof(o.scram_fake_key));
	return o;
}

/* Server settings on their way to a loop, with a reference of their own to the certificate. */
struct publication {
	struct daemon_note note;
	struct worker *worker;
	struct tls_ctx *tls;
	struct smtp_server_opts opts;
};

static void
take_opts(struct daemon_note *n)
{
	struct publication *p = CONTAINER_OF(n, struct publication, note);

	smtp_server_publish(p->worker->server, &p->opts);
	tls_ctx_unref(&p->tls);
	free(p);
}

void
worker_publish_all(struct daemon *d)
{
	for (size_t i = 0; i < d->n_workers; i++) {
		struct publication *p = MEM_NEW(struct publication);
		*p = (struct publication){ { .run = take_opts }, &d->workers[i],
			tls_ctx_ref(d->tls), worker_server_opts(d) };
		daemon_tell(d->workers[i].notes, &p->note);
	}
}

enum rc
worker_init(struct worker *w, struct daemon *d, struct fault *f)
{
	struct submit_opts door;
	struct smtp_server_opts server = worker_server_opts(d);

	*w = (struct worker){ .magic = WORKER_MAGIC, .daemon = d };
	w->loop = loop_new();
	w->notes = mailbox_new();
	mailbox_attach(w->notes, w->loop, run_notes, w);
	enum rc rc = resolver_new(w->loop, NULL, &w->resolver, f);
	if (rc != RC_OK)
		return rc;
	w->dialer = dialer_new(w->loop, w->resolver);
	struct carrier_opts hands = {
		.loop = w->loop,
		.dialer = w->dialer,
		.dispatcher = deliver_report_mailbox(d->deliver),
		.writer = store_mailbox(d->store),
		.hostname = str_from(d->config.hostname),
		.seal = d->seal,
		.patience = 1,
	};
	w->carrier = carrier_new(&hands);
	deliver_add_carrier(d->deliver, carrier_mailbox(w->carrier));
	door = (struct submit_opts){
		.loop = w->loop,
		.store = d->store,
		.pool = d->pool,
		.hostname = str_from(d->config.hostname),
		.max_connections = d->config.max_connections,
		.max_connections_per_address = d->config.max_connections_per_address,
		.max_hold_us = server.max_hold_us,
		.on_drained = daemon_worker_drained,
		.arg = w,
	};
	w->submit = submit_new(&door);
	submit_set_books(w->submit, d->relays, d->accounts);
	w->server = smtp_server_new(w->loop, &server, submit_smtp_ops(), w->submit);
	return RC_OK;
}

void
worker_done(struct worker *w)
{
	for (size_t i = 0; i < w->n_listeners; i++)
		listener_free(&w->listeners[i]);
	free(w->listeners);
	smtp_server_free(&w->server);
	submit_free(&w->submit);
	carrier_free(&w->carrier);
	dialer_free(&w->dialer);
	resolver_free(&w->resolver);
	mailbox_free(&w->notes);
	loop_free(&w->loop);
}

/* ---- listening ---- */

static void
on_accept(void *arg, int fd, const struct net_addr *peer)
{
	struct door_port *port = arg;
	struct smtp_server_peer p = { .addr = *peer, .implicit_tls = port->implicit_tls };

	smtp_server_accept(port->worker->server, fd, &p);
}

static void
on_stalled(void *arg, const struct fault *why)
{
	(void)arg;
	log_event(LOG_WARN, NULL, "smtp.stalled", "new connections have to wait: %s", why->text);
}

static const struct listener_ops listener_ops = { .on_accept = on_accept,
	.on_stalled = on_stalled };

/* Sockets that are shared among loops could be shared with another program too, which would take
 * half of the connections unseen: one that is not shared tells whether the address is free. */
static enum rc
check_free(const struct net_addr *at, struct fault *f)
{
	struct listener_opts alone = { 0 };
	int fd = -1;
	enum rc rc = at->port != 0 ? listener_open(at, &alone, &fd, f) : RC_DONE;

	if (rc == RC_OK)
		close(fd);
	return rc == RC_DONE ? RC_OK : rc;
}

/* One socket for each worker; with port 0 the first one's port serves for all. */
static enum rc
listen_at(struct daemon *d, struct net_addr *at, bool implicit_tls, struct fault *f)
{
	enum rc rc = check_free(at, f);

	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < d->n_workers; i++) {
		struct worker *w = &d->workers[i];
		struct listener_opts opts = { .is_shared = d->n_workers > 1 };
		int fd;
		rc = listener_open(at, &opts, &fd, f);
		if (rc != RC_OK)
			return rc;
		if (at->port == 0 && !listener_local_addr(fd, at)) {
			close(fd);
			return fault_sys(f, RC_IO, "the listening socket has no address");
		}
		struct door_port *port = ARENA_NEW(&d->config.arena, struct door_port);
		*port = (struct door_port){ w, implicit_tls };
		w->listeners =
		    mem_realloc(w->listeners, (w->n_listeners + 1) * sizeof(struct listener *));
		w->listeners[w->n_listeners++] = listener_new(w->loop, fd, &listener_ops, port);
	}
	return RC_OK;
}

enum rc
worker_listen_all(struct daemon *d, struct fault *f)
{
	for (size_t i = 0; i < d->config.smtp.n; i++) {
		enum rc rc = listen_at(d, &d->config.smtp.v[i], false, f);
		if (rc != RC_OK)
			return rc;
	}
	for (size_t i = 0; i < d->config.smtps.n; i++) {
		enum rc rc = listen_at(d, &d->config.smtps.v[i], true, f);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

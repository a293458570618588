/* One loop's connections to relays.
 *
 *   OPEN order -> dialling -> client talks to IDLE -> READY report -> jobs ... -> CLOSED report
 *
 * A job that was handed to the writer for its "about to finish" record stays here until the writer
 * has answered, even when its connection has died meanwhile: the record must be answered by an
 * outcome, and the job carries the attempt's number. So a job goes back when it is over *and*
 * nothing of it is out.
 *
 * TLS contexts are made once for each file of certificate authorities and kept; sessions are
 * resumed within this loop. The secret of a relay is opened for the length of its login only. */
#include "deliver/carrier.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/blob.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "crypto/seal.h"
#include "net/addr.h"
#include "net/dialer.h"
#include "net/tls.h"
#include "relay/book.h"
#include "relay/desk.h"

#define CARRIER_MAGIC 0xca221e12u
#define CONN_MAGIC    0xc0221e12u
#define TLS_SESSIONS  256

struct tls_choice {
	struct list link;
	char *ca_file; /* NULL: the system's */
	struct tls_ctx *ctx;
};

struct carrier {
	uint32_t magic;
	struct carrier_opts opts;
	char *hostname;
	struct mailbox *orders;
	struct mailbox *acks; /* "about to finish" records coming back */
	struct outbox outbox;
	struct map conns; /* conn_id -> struct carrier_conn */
	size_t finishing; /* records that are out */
	struct list tls;  /* struct tls_choice */
	struct tls_cache *sessions;
};

struct carrier_conn {
	uint32_t magic;
	struct carrier *owner;
	struct conn_id id;
	struct relay_book *book;
	struct version_id version;
	struct dial *dial;          /* while dialling */
	struct smtp_client *client; /* afterwards */
	struct deliver_job *job;
	bool was_ready;
	bool quit_wanted;
	int64_t opened_us;
	struct buf secret; /* opened for the login */
	char remote[NET_ADDR_TEXT_SIZE];
};

static struct carrier_conn *
conn_of(void *arg)
{
	return FROM_ARG(struct carrier_conn, arg, CONN_MAGIC);
}

static void
report(struct carrier *c, struct carrier_note *n)
{
	outbox_add(&c->outbox, c->opts.dispatcher, &n->item);
}

/* ---- jobs going back ---- */

static void
give_back(struct carrier *c, struct deliver_job *job)
{
	job->is_over = true;
	if (job->finish_is_out)
		return;
	job->note.kind = CARRIER_DONE;
	report(c, &job->note);
}

static void
never_tried(struct carrier *c, struct deliver_job *job)
{
	for (size_t i = 0; i < job->smtp.n_rcpts; i++)
		job->smtp.rcpts[i].verdict = (struct smtp_verdict){ .outcome = SMTP_NOT_TRIED };
	job->conn_is_good = false;
	give_back(c, job);
}

/* ---- the end of a connection ---- */

static void
conn_end(struct carrier_conn *k, const struct smtp_verdict *why, bool no_host)
{
	struct carrier *c = k->owner;
	struct carrier_report *r = MEM_NEW(struct carrier_report);

	r->note = (struct carrier_note){ .kind = CARRIER_CLOSED, .conn = k->id };
	r->why = *why;
	r->why.text = arena_str(&r->arena, why->text);
	r->was_ready = k->was_ready;
	r->dns_says_no_host = no_host;
	r->remote = arena_str(&r->arena, str_from(k->remote));
	r->took_us = clock_monotonic_us() - k->opened_us;
	if (k->job != NULL)
		never_tried(c, TAKE(k->job));
	report(c, &r->note);
	map_remove(&c->conns, k->id.v);
	dialer_cancel(&k->dial);
	buf_wipe(&k->secret);
	relay_book_unref(&k->book);
	k->magic = 0;
	free(k);
}

static void
conn_failed(struct carrier_conn *k, enum smtp_stage stage, enum smtp_trouble trouble,
    struct str text, bool no_host)
{
	struct smtp_verdict why = {
		.outcome = SMTP_BROKEN, .stage = stage, .trouble = trouble, .text = text
	};

	conn_end(k, &why, no_host);
}

/* ---- the client's events ---- */

static void
on_ready(struct smtp_client *client, void *arg)
{
	struct carrier_conn *k = conn_of(arg);
	const struct smtp_client_facts *facts = smtp_client_facts(client);
	struct carrier_report *r = MEM_NEW(struct carrier_report);

	k->was_ready = true;
	buf_wipe(&k->secret);
	r->note = (struct carrier_note){ .kind = CARRIER_READY, .conn = k->id };
	r->caps = facts->caps;
	r->remote = arena_str(&r->arena, str_from(k->remote));
	r->tls = arena_str(&r->arena, facts->tls);
	r->peer = arena_str(&r->arena, facts->greeting);
	r->took_us = clock_monotonic_us() - k->opened_us;
	report(k->owner, &r->note);
}

static void
on_about_to_finish(struct smtp_client *client, struct smtp_job *smtp, void *arg)
{
	struct carrier_conn *k = conn_of(arg);
	struct deliver_job *job = CONTAINER_OF(smtp, struct deliver_job, smtp);
	struct store_finish *f = &job->finish;
	struct rcpt_id *ids = ARENA_NEW_ARRAY(&job->arena, struct rcpt_id, smtp->n_granted);
	uint32_t n = 0;

	(void)client;
	for (size_t i = 0; i < smtp->n_rcpts; i++) {
		if (smtp->rcpts[i].verdict.outcome == SMTP_NOT_TRIED)
			ids[n++] = smtp->rcpts[i].id;
	}
	ASSERT(n == smtp->n_granted && n > 0);
	*f = (struct store_finish){
		.op = { .kind = STORE_FINISH, .reply = k->owner->acks },
		.version = job->version,
		.at_us = clock_wall_us(),
		.rcpts = ids,
		.n = n,
	};
	job->finish_is_out = true;
	k->owner->finishing++;
	outbox_add(&k->owner->outbox, k->owner->opts.writer, &f->op.item);
}

/* Writes the attempts' numbers beside their recipients: those that were named, in the order named.
 */
static void
note_attempts(struct deliver_job *job)
{
	const struct store_finish *f = &job->finish;
	uint32_t n = 0;

	for (size_t i = 0; i < job->smtp.n_rcpts && n < f->n; i++) {
		if (job->smtp.rcpts[i].id.v == f->rcpts[n].v)
			job->smtp.rcpts[i].attempt = f->first_attempt + n++;
	}
}

static void
on_acks(void *arg, struct mailbox_item *item)
{
	struct carrier *c = FROM_ARG(struct carrier, arg, CARRIER_MAGIC);

	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct store_finish *f = CONTAINER_OF(store_op_of(item), struct store_finish, op);
		struct deliver_job *job = CONTAINER_OF(f, struct deliver_job, finish);
		struct carrier_conn *k = map_get(&c->conns, job->note.conn.v);
		bool recorded = f->op.rc == RC_OK;

		c->finishing--;
		job->finish_is_out = false;
		if (recorded)
			note_attempts(job);
		if (job->is_over)
			give_back(c, job);
		else if (k != NULL && k->job == job)
			smtp_client_grant(k->client, recorded);
		item = next;
	}
}

static void
on_job_done(struct smtp_client *client, struct smtp_job *smtp, void *arg)
{
	struct carrier_conn *k = conn_of(arg);
	struct deliver_job *job = CONTAINER_OF(smtp, struct deliver_job, smtp);

	ASSERT(k->job == job);
	k->job = NULL;
	job->conn_is_good = smtp_client_is_idle(client);
	give_back(k->owner, job);
}

static void
on_closed(struct smtp_client *client, const struct smtp_verdict *why, void *arg)
{
	(void)client;
	conn_end(conn_of(arg), why, false);
}

static const struct smtp_client_ops client_ops = {
	.on_ready = on_ready,
	.on_about_to_finish = on_about_to_finish,
	.on_job_done = on_job_done,
	.on_closed = on_closed,
};

/* ---- opening ---- */

static enum rc
tls_for(struct carrier *c, struct str ca_file, struct tls_ctx **out, struct fault *f)
{
	struct tls_choice *t;

	LIST_FOREACH(t, &c->tls, struct tls_choice, link) {
		if (str_eq(str_from(t->ca_file), ca_file)) {
			*out = t->ctx;
			return RC_OK;
		}
	}
	char *path = ca_file.n != 0 ? str_dup0(ca_file) : NULL;
	struct tls_ctx *ctx;
	enum rc rc = tls_ctx_new_client(path, &ctx, f);
	if (rc != RC_OK) {
		free(path);
		return rc;
	}
	t = MEM_NEW(struct tls_choice);
	t->ca_file = path;
	t->ctx = ctx;
	list_push_back(&c->tls, &t->link);
	*out = ctx;
	return RC_OK;
}

static enum smtp_tls
tls_mode(enum relay_tls tls)
{
	switch (tls) {
	case RELAY_TLS_IMPLICIT: return SMTP_TLS_IMPLICIT;
	case RELAY_TLS_STARTTLS: return SMTP_TLS_STARTTLS;
	case RELAY_TLS_NONE: return SMTP_TLS_NONE;
	}
	UNREACHABLE();
}

/* The relay's secret, opened into k->secret. False: it cannot be, and the connection was ended. */
static bool
open_secret(struct carrier_conn *k, const struct relay_version_row *v)
{
	struct fault f = { 0 };
	char bound[64];

	if (v->user.n == 0 || v->secret.n == 0)
		return true;
	snprintf(bound, sizeof(bound), "relay %llu", (unsigned long long)v->relay.v);
	if (seal_open(k->owner->opts.seal, v->secret, str_from(bound), &k->secret, &f) == RC_OK)
		return true;
	conn_failed(k, SMTP_STAGE_AUTH, SMTP_TROUBLE_NO_AUTH,
	    STR("the stored secret cannot be opened; set it again with 'posthouse relay secret'"),
	    false);
	return false;
}

static void
start_client(struct carrier_conn *k, int fd)
{
	struct carrier *c = k->owner;
	const struct relay_version_row *v = relay_book_version(k->book, k->version);
	struct fault f = { 0 };
	struct tls_ctx *ctx = NULL;
	char key[320];

	if (v->tls != RELAY_TLS_NONE && tls_for(c, v->ca_file, &ctx, &f) != RC_OK) {
		close(fd);
		conn_failed(k, SMTP_STAGE_TLS, SMTP_TROUBLE_CERTIFICATE, str_from(f.text), false);
		return;
	}
	if (!open_secret(k, v)) {
		close(fd);
		return;
	}
	snprintf(key, sizeof(key), "%.*s:%u", STR_ARG(v->host), (unsigned)v->port);
	struct smtp_client_opts opts = {
		.hostname = str_from(c->hostname),
		.peer_name = v->tls_name.n != 0 ? v->tls_name : v->host,
		.tls = tls_mode(v->tls),
		.tls_ctx = ctx,
		.tls_cache = c->sessions,
		.tls_key = str_from(key),
		.user = v->user,
		.secret = buf_str(&k->secret),
		.mechanism = v->auth == RELAY_AUTH_ANY ? (struct str){ 0 }
						       : str_from(relay_auth_name(v->auth)),
		.plain_ok = v->tls == RELAY_TLS_NONE,
		.patience = c->opts.patience,
	};
	k->client = smtp_client_new(c->opts.loop, fd, &opts, &client_ops, k);
	if (k->quit_wanted)
		smtp_client_quit(k->client);
}

static void
on_dialled(void *arg, const struct dial_result *r)
{
	struct carrier_conn *k = conn_of(arg);

	k->dial = NULL;
	if (r->fd < 0) {
		enum smtp_trouble trouble =
		    r->fault->rc == RC_TIMEOUT ? SMTP_TROUBLE_TIMEOUT : SMTP_TROUBLE_CLOSED;
		bool dns = r->fault->rc == RC_NOT_FOUND || r->fault->rc == RC_DNS;
		conn_failed(k, dns ? SMTP_STAGE_DNS : SMTP_STAGE_CONNECT, trouble,
		    str_from(r->fault->text), r->fault->rc == RC_NOT_FOUND);
		return;
	}
	net_addr_format(&r->addr, k->remote);
	start_client(k, r->fd);
}

static void
do_open(struct carrier *c, struct carrier_open *o)
{
	struct carrier_conn *k = MEM_NEW(struct carrier_conn);
	const struct relay_version_row *v = relay_book_version(o->book, o->version);

	ASSERT(v != NULL);
	*k = (struct carrier_conn){ .magic = CONN_MAGIC,
		.owner = c,
		.id = o->note.conn,
		.book = o->book,
		.version = o->version,
		.opened_us = clock_monotonic_us() };
	buf_init(&k->secret, SEAL_SECRET_MAX);
	ASSERT(map_put(&c->conns, k->id.v, k) == NULL);
	k->dial = dialer_dial(c->opts.dialer, v->host, v->port, NULL, on_dialled, k);
	free(o);
}

/* ---- orders ---- */

static void
do_quit(struct carrier_conn *k)
{
	k->quit_wanted = true;
	if (k->client != NULL) {
		smtp_client_quit(k->client);
	} else {
		struct smtp_verdict why = { .outcome = SMTP_NOT_TRIED,
			.text = STR("given up before it was connected") };
		conn_end(k, &why, false);
	}
}

static void
do_stop(struct carrier *c)
{
	size_t at = 0;
	size_t n = 0;
	struct carrier_conn *k;
	struct carrier_conn **all = MEM_NEW_ARRAY(struct carrier_conn *, c->conns.count);

	while ((k = map_next(&c->conns, &at, NULL)) != NULL)
		all[n++] = k;
	for (size_t i = 0; i < n; i++)
		do_quit(all[i]);
	free(all);
}

static void
do_job(struct carrier *c, struct deliver_job *job)
{
	struct carrier_conn *k = map_get(&c->conns, job->note.conn.v);

	job->is_over = job->finish_is_out = false;
	if (k == NULL || k->client == NULL || k->job != NULL || !smtp_client_is_idle(k->client)) {
		never_tried(c, job);
		return;
	}
	k->job = job;
	smtp_client_send(k->client, &job->smtp);
}

static void
one_order(struct carrier *c, struct carrier_note *n)
{
	struct carrier_conn *k;

	switch (n->kind) {
	case CARRIER_OPEN: do_open(c, CONTAINER_OF(n, struct carrier_open, note)); return;
	case CARRIER_JOB: do_job(c, CONTAINER_OF(n, struct deliver_job, note)); return;
	case CARRIER_QUIT:
		k = map_get(&c->conns, n->conn.v);
		free(n);
		if (k != NULL)
			do_quit(k);
		return;
	case CARRIER_STOP:
		free(n);
		do_stop(c);
		return;
	case CARRIER_READY:
	case CARRIER_DONE:
	case CARRIER_CLOSED: break;
	}
	UNREACHABLE();
}

static void
on_orders(void *arg, struct mailbox_item *item)
{
	struct carrier *c = FROM_ARG(struct carrier, arg, CARRIER_MAGIC);

	while (item != NULL) {
		struct mailbox_item *next = item->next;
		one_order(c, carrier_note_of(item));
		item = next;
	}
}

/* ---- life ---- */

struct carrier *
carrier_new(const struct carrier_opts *opts)
{
	struct carrier *c = MEM_NEW(struct carrier);

	c->magic = CARRIER_MAGIC;
	c->opts = *opts;
	c->hostname = str_dup0(opts->hostname);
	c->orders = mailbox_new();
	c->acks = mailbox_new();
	c->sessions = tls_cache_new(TLS_SESSIONS);
	list_init(&c->tls);
	outbox_init(&c->outbox);
	outbox_attach(&c->outbox, opts->loop);
	mailbox_attach(c->orders, opts->loop, on_orders, c);
	mailbox_attach(c->acks, opts->loop, on_acks, c);
	return c;
}

/* Orders that came when there was nothing left to order about. */
static void
forget_orders(struct carrier *c)
{
	struct mailbox_item *item = mailbox_take(c->orders);

	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct carrier_note *n = carrier_note_of(item);
		ASSERT(n->kind == CARRIER_STOP || n->kind == CARRIER_QUIT);
		free(n);
		item = next;
	}
}

void
carrier_free(struct carrier **cp)
{
	struct carrier *c = *cp;
	struct tls_choice *t;

	if (c == NULL)
		return;
	*cp = NULL;
	ASSERT(carrier_is_idle(c));
	outbox_done(&c->outbox);
	forget_orders(c);
	mailbox_free(&c->orders);
	mailbox_free(&c->acks);
	LIST_FOREACH(t, &c->tls, struct tls_choice, link) {
		tls_ctx_unref(&t->ctx);
		free(t->ca_file);
		free(t);
	}
	tls_cache_free(&c->sessions);
	map_done(&c->conns);
	free(c->hostname);
	c->magic = 0;
	free(c);
}

struct mailbox *
carrier_mailbox(struct carrier *c)
{
	return c->orders;
}

bool
carrier_is_idle(const struct carrier *c)
{
	return c->conns.count == 0 && c->finishing == 0;
}

void
carrier_report_free(struct carrier_report **rp)
{
	struct carrier_report *r = *rp;

	if (r == NULL)
		return;
	*rp = NULL;
	arena_done(&r->arena);
	free(r);
}

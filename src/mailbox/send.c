/* The production path without queue and records: dialer, SMTP client with the version's settings,
 * one transaction. Being no queued mail it needs no "about to finish": the dot is granted at once.
 */
#include "mailbox/send.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/blob.h"
#include "base/clock.h"
#include "base/mem.h"
#include "mailbox/private.h"
#include "net/dialer.h"
#include "relay/book.h"

#define SENDER_MAGIC 0x5e2de12bu

struct mailbox_sender {
	uint32_t magic;
	struct mailbox_service *service;
	struct relay_book *book;
	struct version_id version;
	struct dial *dial;
	struct smtp_client *client; /* NULL: not connected */
	struct buf secret;
	bool was_ready;           /* the present connection */
	bool is_dead;             /* could not be opened, for the reason in `death` */
	bool is_leaving;          /* freed by its owner; goes with the connection */
	struct mailbox_work work; /* while it is leaving, so that it can be hurried */
	struct smtp_verdict death;
	struct arena life; /* of `death` */
	/* The message under way. */
	bool busy;
	bool is_handed; /* to the client */
	struct arena arena;
	struct smtp_job job;
	struct smtp_job_rcpt rcpt;
	struct blob *content;
	mailbox_sent_fn *on_sent;
	void *arg;
	struct loop_task later; /* an answer that is known within the call */
};

static struct mailbox_sender *
sender_of(void *arg)
{
	return FROM_ARG(struct mailbox_sender, arg, SENDER_MAGIC);
}

static void
message_done(struct mailbox_sender *s, const struct smtp_verdict *v)
{
	mailbox_sent_fn *on_sent = s->on_sent;
	struct arena arena = s->arena; /* the verdict's text lives in it */
	struct smtp_verdict verdict = *v;

	if (!s->busy)
		return;
	s->busy = s->is_handed = false;
	s->arena = (struct arena){ 0 };
	blob_unref(&s->content);
	if (!s->is_leaving)
		on_sent(s->arg, &verdict);
	arena_done(&arena);
}

static void
die(struct mailbox_sender *s, const struct smtp_verdict *why)
{
	s->is_dead = true;
	s->death = *why;
	s->death.text = arena_str(&s->life, why->text);
	message_done(s, &s->death);
}

static void
free_now(struct mailbox_sender *s)
{
	loop_task_cancel(&s->later);
	dialer_cancel(&s->dial);
	blob_unref(&s->content);
	buf_wipe(&s->secret);
	relay_book_unref(&s->book);
	arena_done(&s->arena);
	arena_done(&s->life);
	s->magic = 0;
	free(s);
}

static void dial(struct mailbox_sender *s);

/* ---- the client ---- */

static void
send_now(struct mailbox_sender *s)
{
	if (!s->busy)
		return;
	s->is_handed = true;
	smtp_client_send(s->client, &s->job);
}

static void
on_ready(struct smtp_client *c, void *arg)
{
	struct mailbox_sender *s = sender_of(arg);

	(void)c;
	s->was_ready = true;
	buf_wipe(&s->secret);
	send_now(s);
}

static void
on_about_to_finish(struct smtp_client *c, struct smtp_job *job, void *arg)
{
	(void)job;
	(void)arg;
	smtp_client_grant(c, true);
}

static void
on_job_done(struct smtp_client *c, struct smtp_job *job, void *arg)
{
	struct mailbox_sender *s = sender_of(arg);

	(void)c;
	message_done(s, &job->rcpts[0].verdict);
}

static void
on_closed(struct smtp_client *c, const struct smtp_verdict *why, void *arg)
{
	struct mailbox_sender *s = sender_of(arg);

	(void)c;
	s->client = NULL;
	buf_wipe(&s->secret);
	if (s->is_leaving) {
		mailbox_work_end(s->service, &s->work);
		free_now(s);
	} else if (!s->was_ready) {
		die(s, why);
	} else if (s->busy && !s->is_handed) {
		dial(s); /* a kept connection that ended in between */
	} else {
		message_done(s, why);
	}
}

static const struct smtp_client_ops ops = {
	.on_ready = on_ready,
	.on_about_to_finish = on_about_to_finish,
	.on_job_done = on_job_done,
	.on_closed = on_closed,
};

/* ---- opening ---- */

static void
fail(struct mailbox_sender *s, enum smtp_stage stage, enum smtp_trouble trouble, struct str text)
{
	struct smtp_verdict why = {
		.outcome = SMTP_BROKEN, .stage = stage, .trouble = trouble, .text = text
	};

	die(s, &why);
}

static void
start_client(struct mailbox_sender *s, int fd)
{
	const struct relay_version_row *v = relay_book_version(s->book, s->version);
	struct smtp_client_opts opts = { 0 };
	struct fault f = { 0 };

	if (mailbox_keys_smtp(&s->service->keys, v, &s->secret, &opts, &f) != RC_OK) {
		close(fd);
		fail(s, f.rc == RC_TLS ? SMTP_STAGE_TLS : SMTP_STAGE_AUTH, SMTP_TROUBLE_OURS,
		    str_from(f.text));
		return;
	}
	opts.hostname = s->service->opts.hostname;
	opts.patience = s->service->opts.patience;
	s->client = smtp_client_new(s->service->opts.loop, fd, &opts, &ops, s);
}

static void
on_dialled(void *arg, const struct dial_result *r)
{
	struct mailbox_sender *s = sender_of(arg);

	s->dial = NULL;
	if (r->fd >= 0) {
		start_client(s, r->fd);
		return;
	}
	bool dns = r->fault->rc == RC_NOT_FOUND || r->fault->rc == RC_DNS;
	fail(s, dns ? SMTP_STAGE_DNS : SMTP_STAGE_CONNECT,
	    r->fault->rc == RC_TIMEOUT ? SMTP_TROUBLE_TIMEOUT : SMTP_TROUBLE_CLOSED,
	    str_from(r->fault->text));
}

static void
dial(struct mailbox_sender *s)
{
	const struct relay_version_row *v = relay_book_version(s->book, s->version);

	s->was_ready = false;
	s->dial = dialer_dial(s->service->opts.dialer, v->host, v->port, NULL, on_dialled, s);
}

static void
answer_dead(void *arg)
{
	struct mailbox_sender *s = sender_of(arg);

	message_done(s, &s->death);
}

/* ---- what the owner calls ---- */

struct mailbox_sender *
mailbox_sender_new(
    struct mailbox_service *service, struct relay_book *book, struct version_id version)
{
	struct mailbox_sender *s = MEM_NEW(struct mailbox_sender);

	*s = (struct mailbox_sender){ .magic = SENDER_MAGIC,
		.service = service,
		.book = relay_book_ref(book),
		.version = version };
	ASSERT(relay_book_version(book, version) != NULL);
	buf_init(&s->secret, 65536);
	loop_task_init(&s->later, answer_dead, s);
	return s;
}

/* The program ends: no time for goodbyes. */
static void
hurry(struct mailbox_work *w)
{
	struct mailbox_sender *s = CONTAINER_OF(w, struct mailbox_sender, work);

	mailbox_work_end(s->service, &s->work);
	smtp_client_abort(s->client, STR("the service is ending"));
}

void
mailbox_sender_free(struct mailbox_sender **sp)
{
	struct mailbox_sender *s = TAKE(*sp);

	if (s == NULL)
		return;
	s->is_leaving = true;
	if (s->client == NULL) {
		free_now(s);
		return;
	}
	mailbox_work_begin(s->service, &s->work, hurry);
	if (smtp_client_is_idle(s->client))
		smtp_client_quit(s->client);
	else
		smtp_client_abort(s->client, STR("no longer wanted"));
}

bool
mailbox_sender_is_busy(const struct mailbox_sender *s)
{
	return s->busy;
}

void
mailbox_sender_send(struct mailbox_sender *s, struct str from, struct str to, struct str content,
    mailbox_sent_fn *on_sent, void *arg)
{
	ASSERT(!s->busy);
	s->busy = true;
	s->on_sent = on_sent;
	s->arg = arg;
	s->content = blob_from(content);
	s->rcpt = (struct smtp_job_rcpt){ .path = arena_str(&s->arena, to) };
	s->job = (struct smtp_job){ .sender = arena_str(&s->arena, from),
		.content = s->content,
		.rcpts = &s->rcpt,
		.n_rcpts = 1,
		.arena = &s->arena };
	if (s->is_dead) {
		loop_defer(s->service->opts.loop, &s->later);
	} else if (s->client != NULL && smtp_client_is_idle(s->client)) {
		send_now(s);
	} else if (s->client == NULL && s->dial == NULL) {
		dial(s);
	}
	/* Else it is about to be ready, or closing: then it is opened once more. */
}

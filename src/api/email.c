/* POST /emails: a message in, answered when it is kept.
 *
 * What SMTP asks at MAIL and RCPT (may this account send now, does any relay carry this sender) is
 * asked here before the message is prepared, in the same words. */
#include "api/email.h"

#include <stdatomic.h>

#include "account/book.h"
#include "base/blob.h"
#include "crypto/hash.h"
#include "relay/book.h"
#include "store/message.h"

/* Composing more than this would keep everybody else waiting. */
#define COMPOSE_HERE_MAX ((size_t)256 << 10)
#define KEY_MAX          256

#define COUNT(what, n)   atomic_fetch_add_explicit(&submit_metrics()->what, (n), memory_order_relaxed)

struct email_task {
	struct store_accept accept;
	struct api_call *call;
	struct api_email email;
};

/* ---- to the writer and back ---- */

static void
put_key(struct api_call *c, struct store_message *m)
{
	struct str key =
	    c->request != NULL ? http_header(c->request, "Idempotency-Key") : (struct str){ 0 };
	struct hash_stream h = { 0 };

	m->has_key = key.n != 0;
	m->key_is_sticky = true;
	if (key.n == 0)
		return;
	hash_stream_init(&h);
	hash_stream_add(&h, STR("http\n"));
	hash_stream_add(&h, str_make((const char *)&m->account, sizeof(m->account)));
	hash_stream_add(&h, key);
	hash_stream_end(&h, m->key);
	hash_stream_done(&h);
}

static bool
may_send(struct api_call *c, const struct api_email *m, struct fault *f)
{
	const struct api_opts *o = &c->api->opts;
	const struct account_row *account =
	    account_book_account(o->accounts(o->arg), ACCOUNT_LOCAL);
	uint64_t size_max = relay_book_max_size(c->relays);
	struct relay_decision d;

	if (account != NULL && account->paused)
		return fault_set(f, RC_DENIED,
			   "account 'local' is paused; 'posthouse account edit local' resumes it") ==
		       RC_OK;
	if (m->n_rcpts > o->max_recipients)
		return fault_set(f, RC_INVALID,
			   "a message may have at most %u recipients; send several",
			   o->max_recipients) == RC_OK;
	if (size_max != 0 && m->content.n > size_max)
		return fault_set(f, RC_INVALID,
			   "the message has %zu bytes, but the default route's relay takes at most %llu",
			   m->content.n, (unsigned long long)size_max) == RC_OK;
	if (!blob_budget_has(m->content.n * 2))
		return fault_set(f, RC_LIMIT,
			   "too much mail is under way at this moment; try again shortly") == RC_OK;
	for (size_t i = 0; i < m->n_rcpts && !m->sender.is_null; i++) {
		relay_book_route(c->relays, ACCOUNT_LOCAL, &m->sender,
		    m->rcpts[i].addr.domain_ascii, STREAM_TRANSACTIONAL, &d);
		if (d.refusal == RELAY_REFUSAL_NO_SENDER)
			return fault_set(f, RC_DENIED, "%.255s", d.why) == RC_OK;
	}
	return true;
}

static bool
prepare(struct api_call *c, const struct api_email *m, struct store_message **out, struct fault *f)
{
	const struct http_peer *peer = c->request != NULL ? &c->request->peer : NULL;
	bool is_remote = peer != NULL && peer->door != HTTP_DOOR_CONTROL;
	struct submit_refusal refusal;
	struct submit_request r = {
		.account = ACCOUNT_LOCAL,
		.sender = m->sender,
		.rcpts = m->rcpts,
		.n_rcpts = m->n_rcpts,
		.content = m->content,
		.smtputf8 = m->sender.needs_utf8,
		.now_us = clock_wall_us(),
		.facts = { .door = is_remote ? MAIL_DOOR_HTTP : MAIL_DOOR_LOCAL,
		    .tls = peer != NULL && peer->door == HTTP_DOOR_TLS,
		    .authenticated = true,
		    .client_ip = is_remote ? peer->text : (struct str){ 0 } },
	};

	for (size_t i = 0; i < m->n_rcpts; i++)
		r.smtputf8 |= m->rcpts[i].addr.needs_utf8;
	if (!submit_prepare(c->api->opts.submit, &r, out, &refusal)) {
		COUNT(refused[SUBMIT_REFUSED_CONTENT], 1);
		(void)!fault_set(
		    f, refusal.code >= 500 ? RC_INVALID : RC_AGAIN, "%.255s", refusal.text);
		return false;
	}
	return true;
}

void
api_email_submit(struct api_call *c, const struct api_email *m)
{
	struct email_task *t = ARENA_NEW(&c->arena, struct email_task);
	struct store_message *msg;
	struct fault f = { 0 };

	if (!may_send(c, m, &f) || !prepare(c, m, &msg, &f)) {
		api_fail_with(c, &f);
		return;
	}
	put_key(c, msg);
	if (c->request == NULL) /* an alarm: it finds its way while a relay is changed over */
		msg->kind = STORE_NOTICE;
	if (msg->client.n == 0)
		msg->client = c->request != NULL ? STR("control socket") : STR("posthouse");
	COUNT(messages, 1);
	COUNT(recipients, msg->n_rcpts);
	COUNT(bytes, msg->content->n);
	t->call = c;
	t->accept.op.kind = STORE_ACCEPT;
	t->accept.op.reply = c->api->from_writer;
	t->accept.msg = msg;
	store_post(c->api->opts.store, &t->accept.op);
}

void
api_email_kept(struct api *a, struct store_op *op)
{
	struct email_task *t =
	    CONTAINER_OF(CONTAINER_OF(op, struct store_accept, op), struct email_task, accept);
	struct api_call *c = t->call;
	char id[STORE_PUBLIC_ID_SIZE];

	if (a->stopping) {
		api_call_free(c);
		return;
	}
	if (op->rc != RC_OK) {
		struct fault f = op->fault;
		COUNT(refused[SUBMIT_REFUSED_STORE], 1);
		f.rc = op->rc;
		api_fail_with(c, &f);
		return;
	}
	if (t->accept.duplicate)
		COUNT(duplicates, 1);
	store_public_id(a->opts.store, t->accept.msg_id, t->accept.created_us, id);
	json_writer_object(&c->json);
	json_writer_put_str(&c->json, "id", str_from(id));
	json_writer_end(&c->json);
	api_done(c);
}

/* ---- the request ---- */

static enum rc
build(struct api_call *c, struct fault *f)
{
	struct email_task *t = c->data;
	size_t max = c->api->opts.max_message_bytes;
	struct str type = http_header(c->request, "Content-Type");
	enum rc rc;

	if (str_starts_nocase(type, STR("message/rfc822")))
		return api_email_raw(c->request, max, &c->arena, &t->email, f);
	rc = json_parse(c->request->body, (size_t)64 << 20, &c->body, f);
	if (rc == RC_LIMIT)
		rc = RC_INVALID;
	return rc == RC_OK ? api_email_compose(c->body, max, &c->arena, &t->email, f) : rc;
}

static void
submit(struct api_call *c)
{
	struct email_task *t = c->data;

	api_email_submit(c, &t->email);
}

void
api_email_send(struct api_call *c)
{
	struct fault f = { 0 };

	c->data = ARENA_NEW(&c->arena, struct email_task);
	if (http_header(c->request, "Idempotency-Key").n > KEY_MAX) {
		api_fail(c, RC_INVALID, "Idempotency-Key must have at most %d characters", KEY_MAX);
		return;
	}
	if (c->request->body.n > COMPOSE_HERE_MAX) {
		api_work(c, build, submit);
		return;
	}
	enum rc rc = build(c, &f);
	if (rc == RC_OK) {
		submit(c);
		return;
	}
	f.rc = rc;
	api_fail_with(c, &f);
}

/* Submission by SMTP: the answers to the server's questions.
 *
 * Who somebody is, is asked of the present books at every MAIL, so that pausing a credential stops
 * it at once, in the middle of a session too. A message is answered when the writer says that it is
 * kept.
 *
 * The idempotency key of an accepted message stays open until the session's next command shows that
 * the client has read its 250; a client that was cut off there sends again, and gets the first
 * message's id. */
#include <stdatomic.h>
#include <stdlib.h>

#include "account/book.h"
#include "base/blob.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "relay/book.h"
#include "store/message.h"
#include "store/op.h"
#include "store/store.h"
#include "submit/crowd.h"
#include "submit/private.h"

/* What the door hangs on a session. */
struct door {
	bool key_open;
	uint8_t key[STORE_KEY_SIZE];
};

/* An operation on its way through the writer, and whom to answer. */
struct smtp_accept {
	struct store_accept op; /* first: acks are told apart by their kind */
	struct smtp_server *server;
	struct smtp_server_ticket ticket;
	bool has_key;
	uint8_t key[STORE_KEY_SIZE];
};

struct confirm {
	struct store_confirm op;
	uint8_t keys[CONFIRM_BATCH][STORE_KEY_SIZE];
};

struct submit *
submit_of(void *arg)
{
	return FROM_ARG(struct submit, arg, SUBMIT_MAGIC);
}

void
submit_answer(struct smtp_server_session *s, struct smtp_server_ticket t, uint16_t code,
    struct smtp_enhanced e, struct str text)
{
	struct smtp_server_reply r = { code, e, text };

	smtp_server_answer(smtp_server_session_server(s), t, &r);
}

struct ip
submit_peer_of(const struct smtp_server_facts *f)
{
	struct ip ip;

	static_assert(sizeof(ip.b) == sizeof(f->peer.ip), "both hold IPv4 in its mapped form");
	memcpy(ip.b, f->peer.ip, sizeof(ip.b));
	return ip;
}

/* ---- connections ---- */

static void
leave(const struct ip *peer)
{
	submit_crowd_remove(peer);
	atomic_fetch_sub_explicit(&submit_metrics()->sessions, 1, memory_order_relaxed);
}

static void
on_connect(struct smtp_server_session *ss, struct smtp_server_ticket t, void *arg)
{
	struct submit *s = submit_of(arg);
	const struct smtp_server_facts *f = smtp_server_session_facts(ss);
	struct ip peer = submit_peer_of(f);
	size_t of_peer = submit_crowd_add(&peer);
	size_t of_all = COUNT(sessions) + 1;
	bool full = s->opts.max_connections != 0 && of_all > s->opts.max_connections;
	bool many = !f->trusted && s->opts.max_connections_per_address != 0 &&
		    of_peer > s->opts.max_connections_per_address;

	COUNT(connections);
	if (full || many) {
		leave(&peer); /* at once: it may take its time to hang up */
		REFUSED(CONNECTION);
		submit_answer(ss, t, 421, SMTP_ENHANCED(4, 7, 0),
		    full ? STR("Too many connections just now, try again later")
			 : STR("Too many connections from your address, close some first"));
		return;
	}
	smtp_server_session_set_data(ss, MEM_NEW(struct door));
	s->n_sessions++;
	smtp_server_answer(smtp_server_session_server(ss), t, NULL);
}

static void
confirm_key(struct submit *s, struct door *door)
{
	if (!door->key_open)
		return;
	door->key_open = false;
	if (s->confirm == NULL)
		s->confirm = MEM_NEW(struct confirm);
	memcpy(s->confirm->keys[s->confirm->op.n++], door->key, STORE_KEY_SIZE);
	if (s->confirm->op.n == CONFIRM_BATCH)
		submit_flush_confirms(s);
}

void
submit_flush_confirms(struct submit *s)
{
	struct confirm *c = TAKE(s->confirm);

	if (c == NULL)
		return;
	c->op.op.kind = STORE_CONFIRM;
	c->op.op.reply = s->acks;
	c->op.keys = (const uint8_t(*)[32])c->keys;
	s->waiting++;
	outbox_add(&s->outbox, store_mailbox(s->opts.store), &c->op.op.item);
}

static void
on_progress(struct smtp_server_session *ss, void *arg)
{
	confirm_key(submit_of(arg), smtp_server_session_data(ss));
}

static void
on_closed(struct smtp_server_session *ss, void *arg)
{
	struct submit *s = submit_of(arg);
	struct door *door = smtp_server_session_data(ss);
	const struct smtp_server_facts *f = smtp_server_session_facts(ss);

	if (door == NULL)
		return; /* it was turned away */
	struct ip peer = submit_peer_of(f);
	leave(&peer);
	s->n_sessions--;
	smtp_server_session_set_data(ss, NULL);
	free(door);
}

static void
on_drained(struct smtp_server *server, void *arg)
{
	struct submit *s = submit_of(arg);

	(void)server;
	submit_flush_confirms(s);
	s->is_drained = true;
	submit_tell_drained(s);
}

/* ---- envelope ---- */

/* The credential of the session, or NULL for trusted networks. False: neither, or paused. */
static bool
who_is(struct submit *s, const struct smtp_server_facts *f, const struct account_credential **out)
{
	*out = NULL;
	if (f->user.n == 0)
		return f->trusted;
	*out = account_book_find(s->accounts, f->user);
	return *out != NULL && !(*out)->paused;
}

/* Whether any relay carries the sender at all; which one shows at RCPT. */
static bool
somebody_carries(const struct relay_book *book, const struct mail_addr *sender)
{
	struct str rewritten;

	if (sender->is_null || relay_book_relay_count(book) == 0)
		return true;
	for (size_t i = 0; i < relay_book_relay_count(book); i++) {
		if (relay_book_carries(
			book, relay_book_relay_at(book, i)->current, sender, &rewritten))
			return true;
	}
	return false;
}

static void
on_mail(struct smtp_server_session *ss, struct smtp_server_ticket t,
    const struct smtp_server_message *m, void *arg)
{
	struct submit *s = submit_of(arg);
	const struct smtp_server_facts *f = smtp_server_session_facts(ss);
	const struct account_credential *c;

	if (!who_is(s, f, &c)) {
		REFUSED(AUTH);
		if (f->user.n == 0)
			submit_answer(
			    ss, t, 530, SMTP_ENHANCED(5, 7, 0), STR("Log in first: send AUTH"));
		else
			submit_answer(ss, t, 535, SMTP_ENHANCED(5, 7, 8),
			    STR("This credential is paused; ask the operator"));
		return;
	}
	if (c != NULL && !account_credential_may_send_as(c, &m->sender)) {
		REFUSED(SENDER);
		submit_answer(ss, t, 550, SMTP_ENHANCED(5, 7, 1),
		    STR("This credential may not use that sender; the operator can allow it with 'posthouse credential edit --from'"));
		return;
	}
	if (!somebody_carries(s->relays, &m->sender)) {
		REFUSED(SENDER);
		submit_answer(ss, t, 550, SMTP_ENHANCED(5, 7, 1),
		    STR("No relay carries that sender; use one of its senders, or let the operator add it with 'posthouse relay edit --from'"));
		return;
	}
	smtp_server_answer(smtp_server_session_server(ss), t, NULL);
}

/* Whether mail to that domain has a route whose relay carries the sender, in some stream: which one
 * it will be, the content may say. */
static bool
is_carried(struct submit *s, struct account_id account, const struct mail_addr *sender,
    struct str domain, char why[static RELAY_WHY_SIZE])
{
	struct relay_decision dec;

	for (int stream = 0; stream < STREAM_COUNT && !sender->is_null; stream++) {
		relay_book_route(s->relays, account, sender, domain, (enum stream)stream, &dec);
		if (dec.refusal != RELAY_REFUSAL_NO_SENDER)
			return true;
	}
	if (!sender->is_null)
		memcpy(why, dec.why, RELAY_WHY_SIZE);
	return sender->is_null;
}

static void
on_rcpt(struct smtp_server_session *ss, struct smtp_server_ticket t,
    const struct smtp_server_message *m, const struct smtp_server_rcpt *rcpt, void *arg)
{
	struct submit *s = submit_of(arg);
	const struct smtp_server_facts *f = smtp_server_session_facts(ss);
	const struct account_credential *c;
	char why[RELAY_WHY_SIZE];

	if (!who_is(s, f, &c)) {
		REFUSED(AUTH);
		submit_answer(ss, t, 535, SMTP_ENHANCED(5, 7, 8),
		    STR("This credential is paused; ask the operator"));
		return;
	}
	struct account_id account = c != NULL ? c->account : ACCOUNT_LOCAL;
	if (!is_carried(s, account, &m->sender, rcpt->addr.domain_ascii, why)) {
		REFUSED(SENDER);
		submit_answer(ss, t, 550, SMTP_ENHANCED(5, 7, 1), str_from(why));
		return;
	}
	smtp_server_answer(smtp_server_session_server(ss), t, NULL);
}

/* ---- the message ---- */

static void
fill_rcpts(struct arena *a, const struct smtp_server_message *m, struct submit_rcpt *out)
{
	for (size_t i = 0; i < m->n_rcpts; i++) {
		const struct smtp_server_rcpt *in = &m->rcpts[i];
		out[i].addr = in->addr;
		if ((in->params.seen & SMTP_PARAM_BIT(NOTIFY)) != 0)
			out[i].notify = in->params.notify;
		if ((in->params.seen & SMTP_PARAM_BIT(ORCPT)) != 0)
			out[i].orcpt = arena_strf(a, "%.*s;%.*s", STR_ARG(in->params.orcpt_type),
			    STR_ARG(in->params.orcpt));
	}
}

static bool
prepare(struct submit *s, const struct smtp_server_facts *f, struct smtp_server_message *m,
    struct store_message **out, struct submit_refusal *refusal)
{
	const struct account_credential *c;
	struct submit_rcpt *rcpts = ARENA_NEW_ARRAY(&m->arena, struct submit_rcpt, m->n_rcpts);
	struct ip ip = submit_peer_of(f);
	char text[IP_TEXT_MAX];

	if (!who_is(s, f, &c)) {
		*refusal = (struct submit_refusal){ 535, SMTP_ENHANCED(5, 7, 8),
			"This credential is paused; ask the operator" };
		return false;
	}
	fill_rcpts(&m->arena, m, rcpts);
	struct submit_request r = {
		.account = c != NULL ? c->account : ACCOUNT_LOCAL,
		.credential = c,
		.sender = m->sender,
		.rcpts = rcpts,
		.n_rcpts = m->n_rcpts,
		.content = str_skip(blob_str(m->content), m->prefix_bytes),
		.smtputf8 = (m->params.seen & SMTP_PARAM_BIT(SMTPUTF8)) != 0,
		.send_at_us = m->release_us,
		.now_us = clock_wall_us(),
		.facts = {
			.door = f->esmtp ? MAIL_DOOR_ESMTP : MAIL_DOOR_SMTP,
			.tls = f->tls,
			.authenticated = f->user.n != 0,
			.helo = f->helo,
			.client_ip = ip_format(&ip, text),
		},
	};
	if ((m->params.seen & SMTP_PARAM_BIT(ENVID)) != 0)
		r.envid = m->params.envid;
	if ((m->params.seen & SMTP_PARAM_BIT(RET)) != 0)
		r.ret = (uint8_t)(m->params.ret + 1);
	return submit_prepare(s, &r, out, refusal);
}

static void
log_refusal(const struct smtp_server_facts *f, const struct submit_refusal *refusal)
{
	struct log_ctx conn = LOG_NUM(NULL, "conn", f->id.v);
	struct log_ctx user = LOG_STR(&conn, "user", f->user.n != 0 ? f->user : STR("-"));

	log_event(LOG_INFO, &user, "smtp.refused", "%u %s", refusal->code, refusal->text);
}

static void
on_message(struct smtp_server_session *ss, struct smtp_server_ticket t,
    struct smtp_server_message *m, void *arg)
{
	struct submit *s = submit_of(arg);
	struct submit_refusal refusal;
	struct store_message *msg;

	if (!prepare(s, smtp_server_session_facts(ss), m, &msg, &refusal)) {
		REFUSED(CONTENT);
		log_refusal(smtp_server_session_facts(ss), &refusal);
		submit_answer(ss, t, refusal.code, refusal.enhanced, str_from(refusal.text));
		smtp_server_message_free(&m);
		return;
	}
	struct smtp_accept *a = MEM_NEW(struct smtp_accept);
	a->op.op.kind = STORE_ACCEPT;
	a->op.op.reply = s->acks;
	a->op.msg = msg;
	a->server = smtp_server_session_server(ss);
	a->ticket = t;
	a->has_key = msg->has_key;
	memcpy(a->key, msg->key, STORE_KEY_SIZE);
	COUNT(messages);
	atomic_fetch_add_explicit(
	    &submit_metrics()->recipients, msg->n_rcpts, memory_order_relaxed);
	atomic_fetch_add_explicit(&submit_metrics()->bytes, msg->content->n, memory_order_relaxed);
	smtp_server_message_free(&m);
	s->waiting++;
	outbox_add(&s->outbox, store_mailbox(s->opts.store), &a->op.op.item);
}

static void
answer_accept(struct submit *s, struct smtp_accept *a)
{
	struct smtp_server_reply r = { 250, SMTP_ENHANCED(2, 0, 0), { 0 } };
	char text[320];
	char id[STORE_PUBLIC_ID_SIZE];

	if (a->op.op.rc == RC_OK) {
		store_public_id(s->opts.store, a->op.msg_id, a->op.created_us, id);
		struct log_ctx conn = LOG_NUM(NULL, "conn", a->ticket.conn.v);
		struct log_ctx msg = LOG_NUM(&conn, "message", a->op.msg_id.v);
		log_event(LOG_DEBUG, &msg, "smtp.accepted", "kept as %s", id);
		snprintf(text, sizeof(text), "Kept as %s%s", id,
		    a->op.duplicate ? " (this submission was already kept)" : "");
		if (a->op.duplicate)
			COUNT(duplicates);
		struct smtp_server_session *ss = smtp_server_session_of(a->server, a->ticket);
		struct door *door = ss != NULL ? smtp_server_session_data(ss) : NULL;
		if (door != NULL && a->has_key) {
			memcpy(door->key, a->key, STORE_KEY_SIZE);
			door->key_open = true;
		}
	} else if (a->op.op.rc == RC_DENIED) {
		REFUSED(STORE);
		r.code = 550;
		r.enhanced = SMTP_ENHANCED(5, 7, 1);
		snprintf(text, sizeof(text), "%s", a->op.op.fault.text);
	} else {
		REFUSED(STORE);
		r.code = a->op.op.rc == RC_LIMIT ? 452 : 451;
		r.enhanced =
		    a->op.op.rc == RC_LIMIT ? SMTP_ENHANCED(4, 3, 1) : SMTP_ENHANCED(4, 3, 0);
		snprintf(text, sizeof(text), "Not kept, try again later: %s", a->op.op.fault.text);
	}
	r.text = str_from(text);
	smtp_server_answer(a->server, a->ticket, &r);
}

void
submit_on_acks(void *arg, struct mailbox_item *item)
{
	struct submit *s = submit_of(arg);

	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct store_op *op = store_op_of(item);
		s->waiting--;
		if (op->kind == STORE_ACCEPT) {
			struct smtp_accept *a = CONTAINER_OF(
			    CONTAINER_OF(op, struct store_accept, op), struct smtp_accept, op);
			answer_accept(s, a);
			free(a);
		} else {
			free(CONTAINER_OF(
			    CONTAINER_OF(op, struct store_confirm, op), struct confirm, op));
		}
		item = next;
	}
	submit_tell_drained(s);
}

const struct smtp_server_ops *
submit_smtp_ops(void)
{
	static const struct smtp_server_ops ops = {
		.on_connect = on_connect,
		.lookup_credential = submit_lookup_credential,
		.verify_password = submit_verify_password,
		.on_login = submit_on_login,
		.on_mail = on_mail,
		.on_rcpt = on_rcpt,
		.on_message = on_message,
		.on_progress = on_progress,
		.on_closed = on_closed,
		.on_drained = on_drained,
	};

	return &ops;
}

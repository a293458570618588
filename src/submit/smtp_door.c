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
#include "account/guard.h"
#include "base/blob.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/password.h"
#include "crypto/password_cache.h"
#include "relay/book.h"
#include "store/message.h"
#include "store/op.h"
#include "store/store.h"
#include "submit/crowd.h"
#include "submit/private.h"

#define COUNT(what)  atomic_fetch_add_explicit(&submit_metrics()->what, 1, memory_order_relaxed)
#define REFUSED(why) COUNT(refused[SUBMIT_REFUSED_##why])

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

/* A password that takes long to check, in the pool. */
struct check_job {
	struct pool_job job;
	struct smtp_server *server;
	struct smtp_server_ticket ticket;
	struct password_verifier verifier;
	char *user;
	size_t user_n;
	char *secret;
	size_t secret_n;
	bool is_known; /* there is such a credential */
	enum rc verdict;
};

static struct submit *
submit_of(void *arg)
{
	return FROM_ARG(struct submit, arg, SUBMIT_MAGIC);
}

static void
answer(struct smtp_server_session *s, struct smtp_server_ticket t, uint16_t code,
    struct smtp_enhanced e, struct str text)
{
	struct smtp_server_reply r = { code, e, text };

	smtp_server_answer(smtp_server_session_server(s), t, &r);
}

static struct ip
peer_of(const struct smtp_server_facts *f)
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
	struct ip peer = peer_of(f);
	size_t of_peer = submit_crowd_add(&peer);
	size_t of_all = COUNT(sessions) + 1;
	bool full = s->opts.max_connections != 0 && of_all > s->opts.max_connections;
	bool many = !f->trusted && s->opts.max_connections_per_address != 0 &&
		    of_peer > s->opts.max_connections_per_address;

	COUNT(connections);
	if (full || many) {
		leave(&peer); /* at once: it may take its time to hang up */
		REFUSED(CONNECTION);
		answer(ss, t, 421, SMTP_ENHANCED(4, 7, 0),
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
	struct ip peer = peer_of(f);
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

/* ---- logins ---- */

/* Whether this client may try to log in as `user` at all; answers itself when not. */
static bool
may_try(struct submit *s, struct smtp_server_session *ss, struct smtp_server_ticket t,
    struct str user, const struct account_credential **out)
{
	struct ip peer = peer_of(smtp_server_session_facts(ss));
	int64_t until;

	*out = account_book_find(s->accounts, user);
	if (account_guard_is_blocked(s->guard, &peer, user, loop_now_us(s->opts.loop), &until)) {
		REFUSED(AUTH);
		answer(ss, t, 454, SMTP_ENHANCED(4, 7, 0),
		    STR("Too many wrong logins, try again later"));
		return false;
	}
	if (*out != NULL && !account_credential_may_come_from(*out, &peer)) {
		REFUSED(AUTH);
		answer(ss, t, 535, SMTP_ENHANCED(5, 7, 8),
		    STR("This credential may not be used from your network"));
		return false;
	}
	return true;
}

/* SCRAM, whose proof the server checks itself. */
static void
lookup_credential(
    struct smtp_server_session *ss, struct smtp_server_ticket t, struct str user, void *arg)
{
	struct submit *s = submit_of(arg);
	const struct account_credential *c;

	if (may_try(s, ss, t, user, &c))
		smtp_server_answer_credential(
		    smtp_server_session_server(ss), t, c != NULL ? &c->verifier : NULL);
}

static void
check_in_pool(struct pool_job *job)
{
	struct check_job *c = CONTAINER_OF(job, struct check_job, job);
	struct str secret = str_make(c->secret, c->secret_n);

	if (c->is_known)
		c->verdict = password_check(&c->verifier, secret);
	else
		password_check_nobody(secret); /* who does not exist takes as long as who does */
}

/* PLAIN and LOGIN. A generated secret is checked at once; a chosen one takes a tenth of a second,
 * in the pool. */
static void
verify_password(struct smtp_server_session *ss, struct smtp_server_ticket t, struct str user,
    struct str secret, void *arg)
{
	struct submit *s = submit_of(arg);
	struct smtp_server *server = smtp_server_session_server(ss);
	const struct account_credential *c;

	if (!may_try(s, ss, t, user, &c))
		return;
	if (c != NULL && c->verifier.kind == PASSWORD_GENERATED) {
		smtp_server_answer_secret(server, t, password_check(&c->verifier, secret) == RC_OK);
		return;
	}
	if (c != NULL && password_cache_has(
			     s->passwords, user, &c->verifier, secret, loop_now_us(s->opts.loop))) {
		smtp_server_answer_secret(server, t, true);
		return;
	}
	struct check_job *j = MEM_NEW(struct check_job);
	*j = (struct check_job){
		.job = { .run = check_in_pool, .reply = s->checked },
		.server = server,
		.ticket = t,
		.is_known = c != NULL,
		.verdict = RC_DENIED,
		.user = str_dup0(user),
		.user_n = user.n,
		.secret = str_dup0(secret),
		.secret_n = secret.n,
	};
	if (c != NULL)
		j->verifier = c->verifier;
	s->waiting++;
	pool_post(s->opts.pool, &j->job);
}

static void
answer_checked(struct submit *s, struct check_job *j)
{
	struct smtp_server_reply later = { 454, SMTP_ENHANCED(4, 7, 0),
		STR("The login cannot be checked just now, try again later") };

	if (j->verdict == RC_OK)
		password_cache_add(s->passwords, str_make(j->user, j->user_n), &j->verifier,
		    str_make(j->secret, j->secret_n), loop_now_us(s->opts.loop));
	if (j->verdict == RC_AGAIN)
		smtp_server_answer(j->server, j->ticket, &later);
	else
		smtp_server_answer_secret(j->server, j->ticket, j->verdict == RC_OK);
}

void
submit_on_checked(void *arg, struct mailbox_item *item)
{
	struct submit *s = submit_of(arg);

	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct check_job *j = CONTAINER_OF(pool_job_of(item), struct check_job, job);
		s->waiting--;
		answer_checked(s, j);
		mem_wipe(j->secret, j->secret_n);
		free(j->secret);
		free(j->user);
		free(j);
		item = next;
	}
	submit_tell_drained(s);
}

static void
on_login(struct smtp_server_session *ss, struct str user, bool right, void *arg)
{
	struct submit *s = submit_of(arg);
	const struct smtp_server_facts *f = smtp_server_session_facts(ss);
	struct ip ip = peer_of(f);
	char text[IP_TEXT_MAX];

	account_guard_note(s->guard, &ip, user, right, loop_now_us(s->opts.loop));
	if (right) {
		COUNT(logins);
		return;
	}
	COUNT(failed_logins);
	struct log_ctx conn = LOG_NUM(NULL, "conn", f->id.v);
	struct log_ctx peer = LOG_STR(&conn, "peer", ip_format(&ip, text));
	struct log_ctx who = LOG_STR(&peer, "user", str_sub(user, 0, 128));
	log_event(LOG_WARN, &who, "smtp.login_failed", "a login was refused");
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
			answer(ss, t, 530, SMTP_ENHANCED(5, 7, 0), STR("Log in first: send AUTH"));
		else
			answer(ss, t, 535, SMTP_ENHANCED(5, 7, 8),
			    STR("This credential is paused; ask the operator"));
		return;
	}
	if (c != NULL && !account_credential_may_send_as(c, &m->sender)) {
		REFUSED(SENDER);
		answer(ss, t, 550, SMTP_ENHANCED(5, 7, 1),
		    STR("This credential may not use that sender; the operator can allow it with 'posthouse credential edit --from'"));
		return;
	}
	if (!somebody_carries(s->relays, &m->sender)) {
		REFUSED(SENDER);
		answer(ss, t, 550, SMTP_ENHANCED(5, 7, 1),
		    STR("No relay carries that sender; use one of its senders, or let the operator add it with 'posthouse relay edit --from'"));
		return;
	}
	smtp_server_answer(smtp_server_session_server(ss), t, NULL);
}

static void
on_rcpt(struct smtp_server_session *ss, struct smtp_server_ticket t,
    const struct smtp_server_message *m, const struct smtp_server_rcpt *rcpt, void *arg)
{
	struct submit *s = submit_of(arg);
	const struct smtp_server_facts *f = smtp_server_session_facts(ss);
	const struct account_credential *c;
	struct relay_decision dec;

	if (!who_is(s, f, &c)) {
		REFUSED(AUTH);
		answer(ss, t, 535, SMTP_ENHANCED(5, 7, 8),
		    STR("This credential is paused; ask the operator"));
		return;
	}
	if (!m->sender.is_null) {
		struct account_id account = c != NULL ? c->account : ACCOUNT_LOCAL;
		relay_book_route(s->relays, account, &m->sender, rcpt->addr.domain_ascii,
		    STREAM_TRANSACTIONAL, &dec);
		if (dec.refusal == RELAY_REFUSAL_NO_SENDER) {
			REFUSED(SENDER);
			answer(ss, t, 550, SMTP_ENHANCED(5, 7, 1), str_from(dec.why));
			return;
		}
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
	struct ip ip = peer_of(f);
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
		answer(ss, t, refusal.code, refusal.enhanced, str_from(refusal.text));
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
		.lookup_credential = lookup_credential,
		.verify_password = verify_password,
		.on_login = on_login,
		.on_mail = on_mail,
		.on_rcpt = on_rcpt,
		.on_message = on_message,
		.on_progress = on_progress,
		.on_closed = on_closed,
		.on_drained = on_drained,
	};

	return &ops;
}

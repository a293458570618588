/* The sink as the owner of an SMTP server.
 *
 * Each question of the server is a stage. At each stage dice are thrown in a fixed order (drop,
 * fail) from the connection's own generator, so what happens to connection number n depends on the
 * seed and on what the client says, not on other connections or on time. The answer waits for the
 * stage's delay, if it has one.
 *
 * A message that is taken is kept and counted first. The line of the count is written at the end of
 * the turn, with those of all other messages of the turn, and only then are the replies given: what
 * a client was promised is in the file. */
#include "sink/worker.h"

#include "base/blob.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/prng.h"
#include "crypto/token.h"
#include "net/listener.h"

#define STOP_US SECONDS(5)

/* One connection, hung on its session. */
struct sink_conn {
	uint32_t magic;
#define SINK_CONN_MAGIC 0x51a2c001u
	struct sink_worker *worker;
	struct smtp_server_session *session;
	struct prng dice;
	bool counted; /* in world->connections */

	/* The one question that is open. */
	struct smtp_server_ticket ticket;
	enum sink_stage stage;
	struct smtp_server_message *message; /* at the dot, until it is kept */
	struct loop_timer delay;
	struct list unflushed; /* worker->unflushed: kept, and the reply waits for its lines */
	char name[SINK_NAME_SIZE];
};

struct sink_worker {
	uint32_t magic;
#define SINK_WORKER_MAGIC 0x51a2c002u
	struct loop *loop;
	struct sink_world *world;
	struct smtp_server *server;
	struct listener *listeners[SINK_LISTEN_MAX];
	struct sink_store store;
	struct list unflushed; /* connections whose message is in store.lines */
	struct loop_task flush;
	struct loop_timer stop_timer;
	struct mailbox *mailbox; /* gets stop_item, once */
	struct mailbox_item stop_item;
	struct sink_totals totals;
};

static void
log_trouble(const struct fault *f)
{
	log_event(LOG_ERROR, NULL, "sink.trouble", "%s", f->text);
}

/* ---- answers ---- */

static void
refuse(struct sink_conn *c, const struct smtp_server_reply *reply)
{
	c->worker->totals.refused++;
	smtp_server_answer(c->worker->server, c->ticket, reply);
}

static void
drop(struct sink_conn *c)
{
	c->worker->totals.dropped++;
	smtp_server_drop(c->session);
}

/* The dot's yes, after the lines are written. */
static void
confirm(struct sink_conn *c)
{
	struct sink_worker *w = c->worker;
	const struct sink_options *o = &w->world->opts;
	const struct sink_rule *rule = &o->rules[SINK_DOT];
	char text[SINK_NAME_SIZE + 16];

	if (o->drop_after_accept_percent > 0 &&
	    prng_percent(&c->dice, o->drop_after_accept_percent)) {
		drop(c);
		return;
	}
	int n = snprintf(text, sizeof(text), "Taken as %s", c->name);
	struct smtp_server_reply reply = { 250, SMTP_ENHANCED(2, 0, 0), str_make(text, (size_t)n) };
	if (rule->code / 100 == 2)
		reply = (struct smtp_server_reply){ rule->code, rule->enhanced, rule->text };
	smtp_server_answer(w->server, c->ticket, &reply);
}

static void
flush(void *arg)
{
	struct sink_worker *w = FROM_ARG(struct sink_worker, arg, SINK_WORKER_MAGIC);
	struct smtp_server_reply no = { 451, SMTP_ENHANCED(4, 3, 0), STR("The sink cannot write") };
	struct fault f = { 0 };
	bool written = sink_store_flush(&w->store, &f) == RC_OK;
	struct sink_conn *c;

	if (!written)
		log_trouble(&f);
	while ((c = LIST_FIRST(&w->unflushed, struct sink_conn, unflushed)) != NULL) {
		list_remove(&c->unflushed);
		if (written) {
			confirm(c);
		} else {
			refuse(c, &no);
		}
	}
}

/* Takes the message at the dot. */
static void
take(struct sink_conn *c)
{
	AUTO(smtp_server_message_free) struct smtp_server_message *m = TAKE(c->message);
	struct sink_worker *w = c->worker;
	struct fault f = { 0 };

	if (sink_store_add(&w->store, m, c->name, &f) != RC_OK) {
		struct smtp_server_reply no = { 451, SMTP_ENHANCED(4, 3, 0),
			STR("The sink cannot write") };
		log_trouble(&f);
		refuse(c, &no);
		return;
	}
	w->totals.messages++;
	w->totals.recipients += m->n_rcpts;
	w->totals.bytes += m->content->n;
	if (!sink_store_is_dirty(&w->store)) {
		confirm(c);
		return;
	}
	list_push_back(&w->unflushed, &c->unflushed);
	loop_defer(w->loop, &w->flush);
}

/* Throws the dice and answers. */
static void
decide(struct sink_conn *c)
{
	const struct sink_rule *rule = &c->worker->world->opts.rules[c->stage];
	bool hang_up = rule->drop_percent > 0 && prng_percent(&c->dice, rule->drop_percent);
	bool fails = rule->fail_percent > 0 && prng_percent(&c->dice, rule->fail_percent);
	struct smtp_server_reply reply = { 451, SMTP_ENHANCED(4, 3, 0), STR("Failing, as told") };

	if (hang_up) {
		smtp_server_message_free(&c->message);
		drop(c);
		return;
	}
	if (rule->code != 0) {
		reply = (struct smtp_server_reply){ rule->code, rule->enhanced, rule->text };
		fails = fails || rule->fail_percent < 0;
	}
	if (fails && reply.code >= 400) {
		smtp_server_message_free(&c->message);
		refuse(c, &reply);
	} else if (c->stage == SINK_DOT) {
		take(c);
	} else {
		smtp_server_answer(c->worker->server, c->ticket, fails ? &reply : NULL);
	}
}

static void
on_delay_over(void *arg)
{
	decide(FROM_ARG(struct sink_conn, arg, SINK_CONN_MAGIC));
}

static void
at_stage(struct smtp_server_session *s, struct smtp_server_ticket t, enum sink_stage stage)
{
	struct sink_conn *c =
	    FROM_ARG(struct sink_conn, smtp_server_session_data(s), SINK_CONN_MAGIC);
	int64_t delay_us = c->worker->world->opts.rules[stage].delay_us;

	c->ticket = t;
	c->stage = stage;
	if (delay_us == 0) {
		decide(c);
	} else {
		loop_timer_set(c->worker->loop, &c->delay, loop_now_us(c->worker->loop) + delay_us);
	}
}

/* ---- the server's questions ---- */

static void
on_connect(struct smtp_server_session *s, struct smtp_server_ticket t, void *arg)
{
	struct sink_worker *w = FROM_ARG(struct sink_worker, arg, SINK_WORKER_MAGIC);
	struct sink_world *world = w->world;
	struct sink_conn *c = MEM_NEW(struct sink_conn);
	uint64_t number = atomic_fetch_add_explicit(&world->numbered, 1, memory_order_relaxed) + 1;
	uint64_t open = atomic_fetch_add_explicit(&world->connections, 1, memory_order_relaxed) + 1;

	c->magic = SINK_CONN_MAGIC;
	c->worker = w;
	c->session = s;
	/* The first number drawn spreads neighbouring connections over the generator's whole cycle.
	 */
	c->dice = prng_make(world->opts.seed);
	c->dice = prng_make(prng_next(&c->dice) + number * 0x9e3779b97f4a7c15u);
	c->dice = prng_make(prng_next(&c->dice));
	c->ticket = t;
	loop_timer_init(&c->delay, on_delay_over, c);
	smtp_server_session_set_data(s, c);
	w->totals.connections++;
	if (world->opts.max_connections != 0 && open > world->opts.max_connections) {
		struct smtp_server_reply full = { 421, SMTP_ENHANCED(4, 7, 0),
			STR("Too many connections at a time") };
		refuse(c, &full);
		return;
	}
	at_stage(s, t, SINK_CONNECT);
}

static void
on_stage(struct smtp_server_session *s, struct smtp_server_ticket t, enum smtp_server_stage stage,
    void *arg)
{
	(void)arg;
	switch (stage) {
	case SMTP_SERVER_AT_EHLO: at_stage(s, t, SINK_EHLO); return;
	case SMTP_SERVER_AT_STARTTLS: at_stage(s, t, SINK_TLS); return;
	case SMTP_SERVER_AT_AUTH: at_stage(s, t, SINK_AUTH); return;
	}
	UNREACHABLE();
}

static const struct sink_user *
find_user(const struct sink_world *world, struct str name, size_t *at_out)
{
	for (size_t i = 0; i < world->opts.n_users; i++) {
		if (str_eq(name, world->opts.users[i].name)) {
			*at_out = i;
			return &world->opts.users[i];
		}
	}
	return NULL;
}

static void
lookup_credential(
    struct smtp_server_session *s, struct smtp_server_ticket t, struct str user, void *arg)
{
	struct sink_worker *w = FROM_ARG(struct sink_worker, arg, SINK_WORKER_MAGIC);
	size_t at = 0;
	bool known = find_user(w->world, user, &at) != NULL;

	(void)s;
	smtp_server_answer_credential(w->server, t, known ? &w->world->verifiers[at] : NULL);
}

static void
verify_password(struct smtp_server_session *s, struct smtp_server_ticket t, struct str user,
    struct str secret, void *arg)
{
	struct sink_worker *w = FROM_ARG(struct sink_worker, arg, SINK_WORKER_MAGIC);
	size_t at = 0;
	const struct sink_user *u = find_user(w->world, user, &at);

	(void)s;
	smtp_server_answer_secret(w->server, t, u != NULL && token_equal(u->password, secret));
}

static void
on_login(struct smtp_server_session *s, struct str user, bool right, void *arg)
{
	struct sink_worker *w = FROM_ARG(struct sink_worker, arg, SINK_WORKER_MAGIC);

	(void)s;
	(void)user;
	w->totals.refused += !right;
}

static void
on_mail(struct smtp_server_session *s, struct smtp_server_ticket t,
    const struct smtp_server_message *m, void *arg)
{
	(void)m;
	(void)arg;
	at_stage(s, t, SINK_MAIL);
}

static void
on_rcpt(struct smtp_server_session *s, struct smtp_server_ticket t,
    const struct smtp_server_message *m, const struct smtp_server_rcpt *rcpt, void *arg)
{
	(void)m;
	(void)rcpt;
	(void)arg;
	at_stage(s, t, SINK_RCPT);
}

static void
on_content_begin(struct smtp_server_session *s, struct smtp_server_ticket t,
    const struct smtp_server_message *m, uint64_t size_hint, void *arg)
{
	(void)m;
	(void)size_hint;
	(void)arg;
	at_stage(s, t, SINK_DATA);
}

static void
on_message(struct smtp_server_session *s, struct smtp_server_ticket t,
    struct smtp_server_message *m, void *arg)
{
	struct sink_conn *c =
	    FROM_ARG(struct sink_conn, smtp_server_session_data(s), SINK_CONN_MAGIC);

	(void)arg;
	c->message = m;
	at_stage(s, t, SINK_DOT);
}

static void
on_closed(struct smtp_server_session *s, void *arg)
{
	struct sink_worker *w = FROM_ARG(struct sink_worker, arg, SINK_WORKER_MAGIC);

	if (smtp_server_session_data(s) == NULL)
		return; /* the TLS handshake failed before the greeting */
	struct sink_conn *c =
	    FROM_ARG(struct sink_conn, smtp_server_session_data(s), SINK_CONN_MAGIC);
	loop_timer_cancel(w->loop, &c->delay);
	list_remove(&c->unflushed);
	smtp_server_message_free(&c->message);
	atomic_fetch_sub_explicit(&w->world->connections, 1, memory_order_relaxed);
	c->magic = 0;
	free(c);
}

static void
on_drained(struct smtp_server *server, void *arg)
{
	struct sink_worker *w = FROM_ARG(struct sink_worker, arg, SINK_WORKER_MAGIC);

	(void)server;
	loop_stop(w->loop);
}

static const struct smtp_server_ops open_ops = {
	.on_connect = on_connect,
	.on_stage = on_stage,
	.on_mail = on_mail,
	.on_rcpt = on_rcpt,
	.on_content_begin = on_content_begin,
	.on_message = on_message,
	.on_closed = on_closed,
	.on_drained = on_drained,
};

static const struct smtp_server_ops login_ops = {
	.on_connect = on_connect,
	.on_stage = on_stage,
	.lookup_credential = lookup_credential,
	.verify_password = verify_password,
	.on_login = on_login,
	.on_mail = on_mail,
	.on_rcpt = on_rcpt,
	.on_content_begin = on_content_begin,
	.on_message = on_message,
	.on_closed = on_closed,
	.on_drained = on_drained,
};

/* ---- life ---- */

static void
on_accept(void *arg, int fd, const struct net_addr *peer)
{
	struct sink_worker *w = FROM_ARG(struct sink_worker, arg, SINK_WORKER_MAGIC);
	struct smtp_server_peer in = {
		.addr = *peer,
		.implicit_tls = w->world->opts.tls == SINK_TLS_IMPLICIT,
		.trusted = w->world->opts.n_users == 0,
	};

	smtp_server_accept(w->server, fd, &in);
}

static void
on_stop_overdue(void *arg)
{
	struct sink_worker *w = FROM_ARG(struct sink_worker, arg, SINK_WORKER_MAGIC);

	loop_stop(w->loop);
}

static void
on_mail_in(void *arg, struct mailbox_item *first)
{
	struct sink_worker *w = FROM_ARG(struct sink_worker, arg, SINK_WORKER_MAGIC);

	ASSERT(first == &w->stop_item);
	for (size_t i = 0; i < w->world->opts.n_listen; i++)
		listener_free(&w->listeners[i]);
	loop_timer_set(w->loop, &w->stop_timer, loop_now_us(w->loop) + STOP_US);
	smtp_server_drain(w->server);
}

struct sink_worker *
sink_worker_new(struct loop *loop, struct sink_world *world, unsigned number, const int *fds)
{
	static const struct listener_ops listener_ops = { .on_accept = on_accept };
	struct sink_worker *w = MEM_NEW(struct sink_worker);
	bool login = world->opts.n_users != 0;

	w->magic = SINK_WORKER_MAGIC;
	w->loop = loop;
	w->world = world;
	w->server = smtp_server_new(loop, &world->server_opts, login ? &login_ops : &open_ops, w);
	sink_store_init(&w->store, world->count_fd, world->keep_fd, number);
	w->store.rewrite_message_id = world->opts.rewrite_message_id;
	list_init(&w->unflushed);
	loop_task_init(&w->flush, flush, w);
	loop_timer_init(&w->stop_timer, on_stop_overdue, w);
	w->mailbox = mailbox_new();
	mailbox_attach(w->mailbox, loop, on_mail_in, w);
	for (size_t i = 0; i < world->opts.n_listen; i++)
		w->listeners[i] = listener_new(loop, fds[i], &listener_ops, w);
	return w;
}

void
sink_worker_free(struct sink_worker **wp)
{
	struct sink_worker *w = *wp;

	if (w == NULL)
		return;
	*wp = NULL;
	for (size_t i = 0; i < w->world->opts.n_listen; i++)
		listener_free(&w->listeners[i]);
	smtp_server_free(&w->server);
	loop_task_cancel(&w->flush);
	loop_timer_cancel(w->loop, &w->stop_timer);
	mailbox_free(&w->mailbox);
	sink_store_done(&w->store);
	w->magic = 0;
	free(w);
}

void
sink_worker_stop(struct sink_worker *w)
{
	mailbox_post(w->mailbox, &w->stop_item);
}

const struct sink_totals *
sink_worker_totals(const struct sink_worker *w)
{
	return &w->totals;
}

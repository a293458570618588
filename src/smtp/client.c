/* The life of one outgoing connection: states, reading replies, leaving.
 *
 *   GREETING -> EHLO -> [STARTTLS -> TLS -> EHLO] -> [AUTH] -> IDLE <-> ENVELOPE -> CONTENT -> DOT
 *                                                                 <------------ RSET <- EMPTY
 *   with implicit TLS the first state is TLS; from anywhere QUIT or CLOSED.
 *
 * client_hello.c performs the way to IDLE, client_transaction.c the round from IDLE to IDLE; this
 * file owns the connection's events and the state. Every wait has the time limit of its state,
 * armed by the one setter.
 *
 * Invariants (client_audit): a job exists exactly in ENVELOPE, CONTENT, EMPTY, DOT and RSET; `out`
 * is empty between calls; the dot is written only with the grant. */
#include "smtp/client.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "smtp/client_private.h"

#define OUT_LIMIT (4u << 20)

static const struct {
	const char *name;
	int64_t limit_us;
	uint32_t next; /* bit set of legal successors */
} states[] = {
#define IN(s)                (1u << CLIENT_##s)
#define X(name, limit, next) [CLIENT_##name] = { #name, SECONDS(limit), (next) },
#include "smtp/client_states.def"
#undef X
#undef IN
};
static_assert(COUNT_OF(states) == CLIENT_STATE_COUNT, "every state has a row");

static const char *const stage_names[] = {
#define X(name, text) [SMTP_STAGE_##name] = (text),
	SMTP_STAGES(X)
#undef X
};

const char *
smtp_stage_name(enum smtp_stage s)
{
	ASSERT(s < SMTP_STAGE_COUNT);
	return stage_names[s];
}

struct smtp_client *
client_from_arg(void *arg)
{
	return FROM_ARG(struct smtp_client, arg, CLIENT_MAGIC);
}

/* Only the audit asks. */
UNUSED static bool
state_has_job(enum client_state s)
{
	return s >= CLIENT_ENVELOPE && s <= CLIENT_RSET;
}

static void
client_audit(const struct smtp_client *c)
{
	AUDIT(state_has_job(c->state) == (c->job != NULL) || c->state >= CLIENT_QUIT ||
	      c->state == CLIENT_IDLE || conn_is_closed(c->conn));
	AUDIT(buf_len(&c->out) == 0);
	AUDIT(c->state != CLIENT_DOT || c->grant == GRANT_YES);
	AUDIT(c->job == NULL || (c->replied <= c->sent && c->sent <= c->n_going + 2));
	(void)c;
}

void
client_set_state(struct smtp_client *c, enum client_state to)
{
	ASSERT((states[c->state].next & (1u << to)) != 0);
	if (log_is_on(LOG_DEBUG))
		log_event(LOG_DEBUG, c->opts.log, "smtp.client.state", "%s -> %s",
		    states[c->state].name, states[to].name);
	c->state = to;
	if (to != CLIENT_CLOSED)
		client_touch(c);
}

void
client_touch(struct smtp_client *c)
{
	double limit = (double)states[c->state].limit_us * c->opts.patience;

	conn_set_deadline(
	    c->conn, c->state == CLIENT_IDLE ? TIME_NEVER : loop_now_us(c->loop) + (int64_t)limit);
}

int64_t
client_lap(struct smtp_client *c)
{
	int64_t since = c->since_us;

	c->since_us = clock_monotonic_us();
	/* Nothing is measured as nothing. */
	return c->since_us > since ? c->since_us - since : 1;
}

void
client_flush(struct smtp_client *c)
{
	ASSERT(buf_is_ok(&c->out));
	conn_write(c->conn, buf_str(&c->out));
	buf_clear(&c->out);
}

enum smtp_stage
client_stage(const struct smtp_client *c)
{
	switch (c->state) {
	case CLIENT_START:
	case CLIENT_GREETING: return SMTP_STAGE_GREETING;
	case CLIENT_EHLO:
	case CLIENT_HELO: return SMTP_STAGE_EHLO;
	case CLIENT_STARTTLS:
	case CLIENT_TLS: return SMTP_STAGE_TLS;
	case CLIENT_AUTH: return SMTP_STAGE_AUTH;
	case CLIENT_ENVELOPE:
		if (c->replied == 0)
			return SMTP_STAGE_MAIL;
		return c->replied <= c->n_going ? SMTP_STAGE_RCPT : SMTP_STAGE_DATA;
	case CLIENT_CONTENT:
	case CLIENT_EMPTY: return SMTP_STAGE_DATA;
	case CLIENT_IDLE:
	case CLIENT_DOT:
	case CLIENT_RSET:
	case CLIENT_QUIT:
	case CLIENT_CLOSED:
	case CLIENT_STATE_COUNT: break;
	}
	return SMTP_STAGE_DOT;
}

void
client_note_reply(struct smtp_client *c, enum smtp_outcome outcome, const struct smtp_reply *r)
{
	if (c->end_set)
		return;
	c->end_set = true;
	c->end = (struct smtp_verdict){
		.outcome = outcome,
		.stage = client_stage(c),
		.code = r->code,
		.enhanced = r->enhanced,
		.text = arena_str(&c->life, r->text),
	};
}

void
client_note_trouble(struct smtp_client *c, enum smtp_trouble trouble, struct str text)
{
	if (c->end_set)
		return;
	c->end_set = true;
	c->end = (struct smtp_verdict){
		.outcome = trouble == SMTP_TROUBLE_NONE ? SMTP_NOT_TRIED : SMTP_BROKEN,
		.stage = client_stage(c),
		.trouble = trouble,
		.text = arena_str(&c->life, text),
	};
}

void
client_fail(struct smtp_client *c, enum smtp_trouble trouble, struct str text)
{
	client_note_trouble(c, trouble, text);
	conn_abort(c->conn);
}

void
client_leave(struct smtp_client *c)
{
	if ((states[c->state].next & (1u << CLIENT_QUIT)) == 0) {
		if (c->state != CLIENT_QUIT && c->state != CLIENT_CLOSED)
			conn_abort(c->conn);
		return;
	}
	client_set_state(c, CLIENT_QUIT);
	buf_add(&c->out, STR("QUIT\r\n"));
	client_flush(c);
}

void
client_ready(struct smtp_client *c)
{
	client_set_state(c, CLIENT_IDLE);
	c->opts.secret = (struct str){ 0 };
	if (c->facts.mech != SMTP_MECH_COUNT)
		c->facts.login_us = client_lap(c);
	if (c->quit_wanted)
		client_leave(c);
	c->ops->on_ready(c, c->arg);
}

/* ---- events of the connection ---- */

static void
one_reply(struct smtp_client *c, const struct smtp_reply *r)
{
	switch (c->state) {
	case CLIENT_GREETING:
	case CLIENT_EHLO:
	case CLIENT_HELO:
	case CLIENT_STARTTLS:
	case CLIENT_AUTH: client_hello_reply(c, r); return;
	case CLIENT_ENVELOPE:
	case CLIENT_CONTENT:
	case CLIENT_EMPTY:
	case CLIENT_DOT:
	case CLIENT_RSET: client_transaction_reply(c, r); return;
	case CLIENT_IDLE:
		/* Nothing was asked: a goodbye (421), or a peer that has lost count. */
		client_note_reply(c, r->code == 421 ? SMTP_NOT_TRIED : SMTP_BROKEN, r);
		client_leave(c);
		return;
	case CLIENT_QUIT: conn_close(c->conn); return;
	case CLIENT_START:
	case CLIENT_TLS:
	case CLIENT_CLOSED:
	case CLIENT_STATE_COUNT: return;
	}
}

static void
on_data(void *arg)
{
	struct smtp_client *c = client_from_arg(arg);
	struct buf *in = conn_input(c->conn);

	/* What a peer says after we broke off answers nothing. */
	while (buf_len(in) != 0 && !conn_is_closed(c->conn) && c->state != CLIENT_TLS) {
		struct smtp_reply r;
		size_t used;
		const char *why = "";
		enum parse p = smtp_reply_parse(buf_str(in), &c->scratch, &r, &used, &why);
		if (p == PARSE_MORE)
			break;
		if (p == PARSE_BROKEN) {
			struct str text =
			    arena_strf(&c->scratch, "the server does not speak SMTP: %s", why);
			client_fail(c, SMTP_TROUBLE_PROTOCOL, text);
			return;
		}
		buf_drop(in, used);
		one_reply(c, &r);
		arena_clear(&c->scratch);
		client_audit(c);
	}
}

static void
on_conn_ready(void *arg)
{
	struct smtp_client *c = client_from_arg(arg);

	if (c->state == CLIENT_TLS)
		client_hello_tls_ready(c);
}

static void
on_drained(void *arg)
{
	client_transaction_pump(client_from_arg(arg));
}

static void
note_conn_end(struct smtp_client *c, const struct fault *why)
{
	struct tls_facts tls;

	if (c->state == CLIENT_IDLE || c->state == CLIENT_QUIT || client_transaction_is_stale(c))
		client_note_trouble(c, SMTP_TROUBLE_NONE, STR("the connection was closed"));
	else if (why->rc == RC_TIMEOUT && client_transaction_waits_for_owner(c))
		client_note_trouble(c, SMTP_TROUBLE_OURS,
		    STR("the end of the message was not recorded on disk in time"));
	else if (why->rc == RC_TIMEOUT)
		client_note_trouble(
		    c, SMTP_TROUBLE_TIMEOUT, STR("the server did not answer in time"));
	else if (why->rc == RC_TLS && conn_tls_facts(c->conn, &tls) && tls.verify_error[0] != '\0')
		client_note_trouble(c, SMTP_TROUBLE_CERTIFICATE, str_from(why->text));
	else if (why->rc == RC_TLS)
		client_note_trouble(c, SMTP_TROUBLE_TLS, str_from(why->text));
	else if (why->rc == RC_CLOSED)
		client_note_trouble(
		    c, SMTP_TROUBLE_CLOSED, STR("the server closed the connection"));
	else
		client_note_trouble(c, SMTP_TROUBLE_CLOSED, str_from(why->text));
}

static void
client_free(struct smtp_client *c)
{
	loop_timer_cancel(c->loop, &c->cut);
	loop_task_cancel(&c->settle);
	sasl_client_free(&c->sasl);
	conn_free(&c->conn);
	blob_unref(&c->content);
	buf_wipe(&c->out);
	arena_done(&c->scratch);
	arena_done(&c->life);
	c->magic = 0;
	free(c);
}

static void
on_conn_closed(void *arg, const struct fault *why)
{
	struct smtp_client *c = client_from_arg(arg);

	c->closed_by_peer = !c->end_set && (why->rc == RC_CLOSED || why->rc == RC_IO);
	note_conn_end(c, why);
	client_transaction_cut_off(c);
	if (c->state != CLIENT_CLOSED)
		client_set_state(c, CLIENT_CLOSED);
	c->ops->on_closed(c, &c->end, c->arg);
	client_free(c);
}

static const struct conn_ops conn_ops = {
	.on_ready = on_conn_ready,
	.on_data = on_data,
	.on_drained = on_drained,
	.on_closed = on_conn_closed,
};

/* ---- what the owner calls ---- */

struct smtp_client *
smtp_client_new(struct loop *loop, int fd, const struct smtp_client_opts *opts,
    const struct smtp_client_ops *ops, void *arg)
{
	struct smtp_client *c = MEM_NEW(struct smtp_client);

	ASSERT(opts->tls == SMTP_TLS_NONE || opts->tls_ctx != NULL);
	*c = (struct smtp_client){
		.magic = CLIENT_MAGIC, .loop = loop, .ops = ops, .arg = arg, .opts = *opts
	};
	c->facts.mech = SMTP_MECH_COUNT;
	(void)client_lap(c);
	c->opts.hostname = arena_str(&c->life, opts->hostname);
	c->opts.peer_name = arena_str(&c->life, opts->peer_name);
	c->opts.user = arena_str(&c->life, opts->user);
	c->opts.mechanism = arena_str(&c->life, opts->mechanism);
	c->opts.tls_key = arena_str(&c->life, opts->tls_key);
	buf_init(&c->out, OUT_LIMIT);
	loop_timer_init(&c->cut, client_transaction_too_slow, c);
	loop_task_init(&c->settle, client_transaction_settle, c);
	c->conn = conn_new(loop, fd, &conn_ops, c, NULL);
	client_hello_begin(c);
	return c;
}

bool
smtp_client_is_idle(const struct smtp_client *c)
{
	return c->state == CLIENT_IDLE && !c->quit_wanted;
}

const struct smtp_client_facts *
smtp_client_facts(const struct smtp_client *c)
{
	return &c->facts;
}

bool
smtp_client_tls_facts(const struct smtp_client *c, struct tls_facts *out)
{
	return conn_tls_facts(c->conn, out);
}

void
smtp_client_quit(struct smtp_client *c)
{
	ASSERT(c->magic == CLIENT_MAGIC);
	c->quit_wanted = true;
	if (c->state == CLIENT_IDLE) {
		client_leave(c);
	} else if (c->state < CLIENT_IDLE) {
		client_note_trouble(
		    c, SMTP_TROUBLE_NONE, STR("given up before it was ready for mail"));
		conn_abort(c->conn);
	}
}

void
smtp_client_abort(struct smtp_client *c, struct str why)
{
	ASSERT(c->magic == CLIENT_MAGIC);
	client_fail(c, SMTP_TROUBLE_OURS, why);
}

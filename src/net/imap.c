/* The life of an IMAP connection: dialling, states, reading responses, leaving.
 *
 *   DIALLING -> [TLS ->] GREETING -> [HELLO -> STARTTLS -> TLS ->] CAPS -> AUTH -> NEW_CAPS
 *            -> ID -> READY <-> COMMAND;  from READY LOGOUT, from anywhere CLOSED.
 *
 * imap_login.c performs the way to READY, imap_command.c what is asked then. Responses are views
 * into the connection's input, which is dropped behind them; what outlives one is copied. An owner
 * may free the connection from inside a callback, so memory goes at the end of the turn. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/imap_private.h"
#include "net/tls.h"

#define OUT_LIMIT   65536u
#define CAPS_LIMIT  16384u
#define INPUT_LIMIT (IMAP_FETCH_MAX + (128u << 10))

static const struct {
	const char *name;
	int64_t limit_us;
	uint32_t next; /* bit set of legal successors */
} states[] = {
#define IN(s)                (1u << IMAP_##s)
#define X(name, limit, next) [IMAP_##name] = { #name, SECONDS(limit), (next) },
#include "net/imap_states.def"
#undef X
#undef IN
};
static_assert(COUNT_OF(states) == IMAP_STATE_COUNT, "every state has a row");

static const char *const stage_names[] = {
#define X(name, text) [IMAP_STAGE_##name] = (text),
	IMAP_STAGES(X)
#undef X
};

const char *
imap_stage_name(enum imap_stage s)
{
	ASSERT(s < IMAP_STAGE_COUNT);
	return stage_names[s];
}

struct imap *
imap_from_arg(void *arg)
{
	return FROM_ARG(struct imap, arg, IMAP_MAGIC);
}

void
imap_set_state(struct imap *i, enum imap_state to)
{
	ASSERT((states[i->state].next & (1u << to)) != 0);
	if (log_is_on(LOG_DEBUG))
		log_event(LOG_DEBUG, i->opts.log, "imap.state", "%s -> %s", states[i->state].name,
		    states[to].name);
	i->state = to;
	if (to != IMAP_CLOSED && i->conn != NULL)
		conn_set_deadline(
		    i->conn, loop_now_us(i->loop) +
				 (int64_t)((double)states[to].limit_us * i->opts.patience));
}

enum imap_stage
imap_stage_now(const struct imap *i)
{
	switch (i->state) {
	case IMAP_DIALLING: return IMAP_STAGE_CONNECT;
	case IMAP_GREETING:
	case IMAP_HELLO:
	case IMAP_CAPS: return IMAP_STAGE_GREETING;
	case IMAP_STARTTLS:
	case IMAP_TLS: return IMAP_STAGE_TLS;
	case IMAP_AUTH:
	case IMAP_NEW_CAPS:
	case IMAP_ID: return IMAP_STAGE_AUTH;
	case IMAP_READY:
	case IMAP_COMMAND:
	case IMAP_LOGOUT:
	case IMAP_CLOSED:
	case IMAP_STATE_COUNT: break;
	}
	return i->stage;
}

static void
note_end(struct imap *i, enum imap_stage stage, enum rc rc, struct str text)
{
	if (i->end_set)
		return;
	i->end_set = true;
	i->end = (struct imap_end){ stage, rc, arena_str(&i->life, text) };
}

void
imap_fail(struct imap *i, enum rc rc, const char *fmt, ...)
{
	char text[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	note_end(i, imap_stage_now(i), rc, str_from(text));
	conn_abort(i->conn);
}

void
imap_send(struct imap *i)
{
	char tag[16];

	snprintf(tag, sizeof(tag), "p%u ", ++i->tag);
	ASSERT(buf_is_ok(&i->out));
	conn_write(i->conn, str_from(tag));
	conn_write(i->conn, buf_str(&i->out));
	conn_write(i->conn, STR("\r\n"));
	buf_wipe(&i->out);
}

bool
imap_is_end(const struct imap *i, const struct imap_response *r)
{
	char tag[16];

	snprintf(tag, sizeof(tag), "p%u", i->tag);
	return str_eq(r->tag, str_from(tag));
}

/* ---- events of the connection ---- */

static void
one_response(struct imap *i, const struct imap_response *r)
{
	if (r->status == IMAP_BYE && str_eq(r->tag, STR("*")) && i->state != IMAP_LOGOUT) {
		imap_fail(i, RC_CLOSED, "the server ended the conversation: %.*s",
		    STR_ARG(str_sub(r->text, 0, 200)));
		return;
	}
	switch (i->state) {
	case IMAP_GREETING:
	case IMAP_HELLO:
	case IMAP_STARTTLS:
	case IMAP_CAPS:
	case IMAP_AUTH:
	case IMAP_NEW_CAPS:
	case IMAP_ID: imap_login_response(i, r); return;
	case IMAP_COMMAND: imap_command_response(i, r); return;
	case IMAP_LOGOUT:
		if (imap_is_end(i, r))
			conn_close(i->conn);
		return;
	case IMAP_READY: /* news of the open folder */
	case IMAP_DIALLING:
	case IMAP_TLS:
	case IMAP_CLOSED:
	case IMAP_STATE_COUNT: return;
	}
}

static void
on_data(void *arg)
{
	struct imap *i = imap_from_arg(arg);

	/* The owner may free the connection while a response is looked at. */
	while (i->conn != NULL && !conn_is_closed(i->conn) && i->state != IMAP_TLS) {
		struct buf *in = conn_input(i->conn);
		struct imap_response r = { 0 };
		const char *why = "";
		size_t used = 0;
		enum parse p = imap_response_parse(buf_str(in), &i->scratch, &r, &used, &why);
		if (p == PARSE_MORE && conn_input_is_full(i->conn))
			imap_fail(i, RC_LIMIT, "the server's answer is too long");
		if (p == PARSE_BROKEN)
			imap_fail(i, RC_INVALID, "the server does not speak IMAP: %s", why);
		if (p != PARSE_ONE)
			return;
		one_response(i, &r);
		arena_clear(&i->scratch);
		if (i->conn == NULL || conn_is_closed(i->conn))
			return;
		buf_drop(conn_input(i->conn), used);
		if (i->starts_tls)
			imap_login_start_tls(i);
	}
}

static void
on_conn_ready(void *arg)
{
	struct imap *i = imap_from_arg(arg);

	if (i->state == IMAP_TLS)
		imap_login_tls_ready(i);
}

static void
ended(struct imap *i)
{
	if (i->state != IMAP_CLOSED)
		imap_set_state(i, IMAP_CLOSED);
	i->ops->on_closed(i, &i->end, i->arg);
}

static void
on_conn_closed(void *arg, const struct fault *why)
{
	struct imap *i = imap_from_arg(arg);
	enum imap_stage stage = imap_stage_now(i);

	if (i->state == IMAP_LOGOUT)
		note_end(i, stage, RC_DONE, STR("logged out"));
	else if (why->rc == RC_TIMEOUT)
		note_end(i, stage, RC_TIMEOUT, STR("the server did not answer in time"));
	else if (why->rc == RC_CLOSED && i->state == IMAP_GREETING)
		note_end(i, stage, RC_CLOSED,
		    STR("the server closed the connection before it said anything; the port may want "
			"the other kind of TLS"));
	else if (why->rc == RC_CLOSED)
		note_end(i, stage, RC_CLOSED, STR("the server closed the connection"));
	else
		note_end(i, stage, why->rc, str_from(why->text));
	ended(i);
}

static const struct conn_ops conn_ops = {
	.on_ready = on_conn_ready,
	.on_data = on_data,
	.on_closed = on_conn_closed,
};

static void
on_dialled(void *arg, const struct dial_result *r)
{
	struct imap *i = imap_from_arg(arg);
	struct conn_opts opts = { .input_limit_bytes = INPUT_LIMIT };

	i->dial = NULL;
	if (r->fd < 0) {
		bool dns = r->fault->rc == RC_NOT_FOUND || r->fault->rc == RC_DNS;
		note_end(i, dns ? IMAP_STAGE_DNS : IMAP_STAGE_CONNECT, r->fault->rc,
		    str_from(r->fault->text));
		ended(i);
		return;
	}
	i->conn = conn_new(i->loop, r->fd, &conn_ops, i, &opts);
	imap_login_begin(i);
}

/* ---- what the owner calls ---- */

static void
free_now(void *arg)
{
	struct imap *i = imap_from_arg(arg);

	buf_wipe(&i->out);
	buf_done(&i->caps);
	arena_done(&i->answer_arena);
	arena_done(&i->scratch);
	arena_done(&i->life);
	i->magic = 0;
	free(i);
}

struct imap *
imap_new(struct loop *loop, struct dialer *dialer, const struct imap_opts *opts,
    const struct imap_ops *ops, void *arg)
{
	struct imap *i = MEM_NEW(struct imap);
	struct dial_opts dial = { .address_timeout_us = SECONDS(20),
		.total_timeout_us = SECONDS(40) };

	ASSERT(opts->tls == IMAP_TLS_NONE || opts->tls_ctx != NULL);
	*i = (struct imap){
		.magic = IMAP_MAGIC, .loop = loop, .ops = ops, .arg = arg, .opts = *opts
	};
	i->opts.host = arena_str(&i->life, opts->host);
	i->opts.tls_name = arena_str(&i->life, opts->tls_name.n != 0 ? opts->tls_name : opts->host);
	i->opts.user = arena_str(&i->life, opts->user);
	if (i->opts.patience <= 0)
		i->opts.patience = 1;
	buf_init(&i->out, OUT_LIMIT);
	buf_init(&i->caps, CAPS_LIMIT);
	loop_task_init(&i->free_task, free_now, i);
	dial.total_timeout_us = (int64_t)((double)dial.total_timeout_us * i->opts.patience);
	i->dial = dialer_dial(dialer, i->opts.host, opts->port, &dial, on_dialled, i);
	return i;
}

void
imap_free(struct imap **ip)
{
	struct imap *i = TAKE(*ip);

	if (i == NULL)
		return;
	ASSERT(i->magic == IMAP_MAGIC);
	dialer_cancel(&i->dial);
	/* A goodbye that nobody waits for, so that the server need not wonder. */
	if (i->state == IMAP_READY) {
		buf_add(&i->out, STR("LOGOUT"));
		imap_send(i);
		conn_flush(i->conn);
	}
	conn_free(&i->conn);
	i->on_answer = NULL;
	loop_defer(i->loop, &i->free_task);
}

void
imap_logout(struct imap *i)
{
	ASSERT(i->state == IMAP_READY);
	imap_set_state(i, IMAP_LOGOUT);
	buf_add(&i->out, STR("LOGOUT"));
	imap_send(i);
}

bool
imap_is_ready(const struct imap *i)
{
	return i->state == IMAP_READY;
}

bool
imap_has(const struct imap *i, struct str capability)
{
	struct str rest = buf_str(&i->caps), word;

	while (str_cut(&rest, ' ', &word))
		if (word.n != 0 && str_eq_nocase(word, capability))
			return true;
	return false;
}

struct str
imap_tls_text(const struct imap *i)
{
	return i->tls_text;
}

struct str
imap_greeting(const struct imap *i)
{
	return i->greeting;
}

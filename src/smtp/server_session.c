/* The machine of one incoming connection: its life, its waits, and whose turn it is.
 *
 * smtp_server_session_run turns the machine as long as there is something to do. What can be done
 * depends on the state alone: in a command state the next line is taken, in a content state the
 * next bytes, in an asked state nothing. While the owner is asked, bytes that arrive stop the
 * reading (PAUSE_OWNER): the client is ahead of us, and its own send buffer is where that belongs.
 * The same holds when it does not read our replies (PAUSE_CLOGGED).
 *
 * There is one timer a session. A wait that begins only writes down when it is over; the timer is
 * moved when the new end is earlier, and when it fires too early it is set again. So ordinary
 * traffic never touches the heap.
 *
 * LIMITS: content that comes in faster than `min_rate` keeps a session alive only until
 * `session_us`. */
#include "base/blob.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/tls.h"
#include "smtp/server_private.h"

#define PAUSE_OWNER   1u
#define PAUSE_CLOGGED 2u

#define HANDSHAKE_US  SECONDS(60)
/* How long a client in the middle of a message has left to finish it, once the server drains. */
#define DRAIN_US      SECONDS(20)
/* Steps of one session in a turn of the loop, so that one that sends many commands at a time cannot
 * keep the others waiting. */
#define TURN_STEPS    64u

enum wait { WAIT_NONE, WAIT_CLIENT, WAIT_OWNER, WAIT_TLS, WAIT_SLOW };

#define IN(name) (1u << SERVER_##name)
static const struct {
	const char *name;
	enum wait wait;
	uint32_t next; /* set of legal successors */
} states[] = {
#define X(name, wait, next) [SERVER_##name] = { #name, WAIT_##wait, next },
#include "smtp/server_states.def"
#undef X
};
static_assert(COUNT_OF(states) == SERVER_STATE_COUNT, "every state has a row");
static_assert(SERVER_STATE_COUNT <= 32, "a set of states fits 32 bits");

#define COMMAND_STATES (IN(HELLO) | IN(READY) | IN(MAIL) | IN(RCPT) | IN(BETWEEN))
#define CONTENT_STATES (IN(DATA) | IN(CHUNK) | IN(SKIP))
/* Nothing that the client would have to send again is lost when it is cut off here. */
#define DRAIN_STATES   (IN(HELLO) | IN(READY) | IN(AUTH) | IN(MAIL) | IN(RCPT))

static bool
is_in(const struct smtp_server_session *s, uint32_t set)
{
	return (set & (1u << s->state)) != 0;
}

/* ---- states and waits ---- */

/* What must hold, checked in debug and fuzz builds. */
static void
audit(const struct smtp_server_session *s)
{
	AUDIT((s->sasl != NULL) == is_in(s, IN(AUTH) | IN(AUTH_ASKED)));
	AUDIT(!is_in(s, IN(HELLO) | IN(READY) | IN(MESSAGE_ASKED) | IN(CLOSING)) ||
	      s->message == NULL);
	AUDIT(!is_in(s, IN(MAIL) | IN(MAIL_ASKED)) ||
	      (s->message != NULL && s->message->n_rcpts == 0));
	AUDIT(!is_in(s, IN(RCPT) | IN(CONTENT_ASKED) | IN(DATA) | IN(CHUNK) | IN(BETWEEN)) ||
	      (s->message != NULL && s->message->n_rcpts != 0));
	AUDIT(!is_in(s, IN(HELLO) | IN(READY) | IN(MAIL) | IN(RCPT)) || s->content.blob == NULL);
	(void)s;
}

static void
begin_wait(struct smtp_server_session *s, int64_t us)
{
	int64_t now = loop_now_us(s->server->loop);

	s->due_us = now + us;
	if (states[s->state].wait == WAIT_CLIENT && s->due_us > s->end_us)
		s->due_us = s->end_us;
	if (!loop_timer_is_set(&s->timer) || s->timer.node.key > s->due_us)
		loop_timer_set(s->server->loop, &s->timer, s->due_us);
}

void
smtp_server_session_touch(struct smtp_server_session *s)
{
	if (states[s->state].wait == WAIT_CLIENT)
		begin_wait(s, server_opts(s)->idle_us);
}

void
smtp_server_session_set_state(struct smtp_server_session *s, enum server_state to)
{
	ASSERT((states[s->state].next & (1u << to)) != 0);
	if (UNLIKELY(log_is_on(LOG_DEBUG)))
		log_event(LOG_DEBUG, &LOG_NUM(NULL, "conn", s->facts.id.v), "smtp.in.state",
		    "%s -> %s", states[s->state].name, states[to].name);
	s->state = to;
	s->window_bytes = 0;
	switch (states[to].wait) {
	case WAIT_CLIENT: begin_wait(s, server_opts(s)->idle_us); break;
	case WAIT_OWNER: begin_wait(s, server_opts(s)->answer_us); break;
	case WAIT_TLS: begin_wait(s, HANDSHAKE_US); break;
	case WAIT_SLOW: break;
	case WAIT_NONE: loop_timer_cancel(s->server->loop, &s->timer); break;
	}
}

void
smtp_server_session_slow(struct smtp_server_session *s, int64_t us)
{
	smtp_server_session_set_state(s, SERVER_AUTH_SLOWED);
	begin_wait(s, us);
}

struct smtp_server_ticket
smtp_server_session_ask(struct smtp_server_session *s, enum server_state to)
{
	/* A login asks several questions in one state. */
	if (to != s->state) {
		smtp_server_session_set_state(s, to);
	} else {
		begin_wait(s, server_opts(s)->answer_us);
	}
	return (struct smtp_server_ticket){ s->facts.id, ++s->serial };
}

/* ---- beginning and end ---- */

static void
connect_asked(struct smtp_server_session *s)
{
	struct smtp_server *server = s->server;
	struct smtp_server_ticket t = smtp_server_session_ask(s, SERVER_CONNECT_ASKED);

	if (server->ops->on_connect == NULL) {
		smtp_server_session_answered(s, NULL);
	} else {
		server->ops->on_connect(s, t, server->arg);
	}
}

static void
connect_answered(struct smtp_server_session *s, const struct smtp_server_reply *reply)
{
	if (server_refused(reply)) {
		smtp_server_reply_owner(s, reply);
		smtp_server_session_close(s);
		return;
	}
	smtp_server_session_set_state(s, SERVER_HELLO);
	if (reply != NULL) {
		smtp_server_reply_text(s, 220, SMTP_ENHANCED_NONE, reply->text);
	} else {
		smtp_server_reply_textf(s, 220, SMTP_ENHANCED_NONE, "%.*s ESMTP Posthouse",
		    STR_ARG(server_opts(s)->hostname));
	}
}

static void
on_ready(void *arg)
{
	struct smtp_server_session *s =
	    FROM_ARG(struct smtp_server_session, arg, SMTP_SERVER_SESSION_MAGIC);

	s->running = true;
	if (s->state == SERVER_HANDSHAKE)
		smtp_server_tls_ready(s);
	if (s->state == SERVER_NEW || (s->state == SERVER_HANDSHAKE && s->implicit_tls)) {
		s->implicit_tls = false;
		connect_asked(s);
	}
	s->running = false;
	smtp_server_session_run(s);
}

static void
on_data(void *arg)
{
	struct smtp_server_session *s =
	    FROM_ARG(struct smtp_server_session, arg, SMTP_SERVER_SESSION_MAGIC);

	if (is_in(s, COMMAND_STATES | CONTENT_STATES | IN(AUTH))) {
		smtp_server_session_run(s);
	} else if (s->state != SERVER_CLOSING) {
		conn_pause(s->conn, PAUSE_OWNER);
	}
}

static void
on_drained(void *arg)
{
	struct smtp_server_session *s =
	    FROM_ARG(struct smtp_server_session, arg, SMTP_SERVER_SESSION_MAGIC);

	conn_resume(s->conn, PAUSE_CLOGGED);
	smtp_server_session_run(s);
}

static void
on_closed(void *arg, const struct fault *why)
{
	struct smtp_server_session *s =
	    FROM_ARG(struct smtp_server_session, arg, SMTP_SERVER_SESSION_MAGIC);

	if (UNLIKELY(log_is_on(LOG_DEBUG)))
		log_event(LOG_DEBUG, &LOG_NUM(NULL, "conn", s->facts.id.v), "smtp.in.closed",
		    "in state %s: %s", states[s->state].name, why->text);
	smtp_server_session_free(&s);
}

static const struct conn_ops conn_ops = {
	.on_ready = on_ready,
	.on_data = on_data,
	.on_drained = on_drained,
	.on_closed = on_closed,
};

static bool
is_trusted(const struct smtp_server_opts *opts, const struct net_addr *peer)
{
	struct ip ip;

	if (peer->family == NET_UNIX || peer->family == NET_NONE)
		return false;
	memcpy(ip.b, peer->ip, sizeof(ip.b));
	for (size_t i = 0; i < opts->n_trusted; i++) {
		if (ip_in_cidr(&ip, &opts->trusted[i]))
			return true;
	}
	return false;
}

static void
run_task(void *arg)
{
	smtp_server_session_run(
	    FROM_ARG(struct smtp_server_session, arg, SMTP_SERVER_SESSION_MAGIC));
}

static void on_due(void *arg);

void
smtp_server_session_new(
    struct smtp_server *server, struct conn_id id, int fd, const struct smtp_server_peer *peer)
{
	struct smtp_server_session *s = MEM_NEW(struct smtp_server_session);
	int64_t now = loop_now_us(server->loop);

	s->magic = SMTP_SERVER_SESSION_MAGIC;
	s->state = SERVER_NEW;
	s->server = server;
	s->settings = smtp_server_settings_ref(server->settings);
	s->facts.id = id;
	s->facts.peer = peer->addr;
	s->facts.trusted = peer->trusted || is_trusted(server_opts(s), &peer->addr);
	s->end_us = server_opts(s)->session_us == 0 ? TIME_NEVER : now + server_opts(s)->session_us;
	loop_task_init(&s->task, run_task, s);
	loop_timer_init(&s->timer, on_due, s);
	s->conn = conn_new(server->loop, fd, &conn_ops, s, NULL);
	map_put(&server->sessions, id.v, s);
	if (!peer->implicit_tls)
		return;
	s->implicit_tls = true;
	smtp_server_session_set_state(s, SERVER_HANDSHAKE);
	if (server_opts(s)->tls == NULL ||
	    conn_start_tls(s->conn, server_opts(s)->tls, NULL, NULL) != RC_OK)
		smtp_server_session_close(s);
}

void
smtp_server_session_forget(struct smtp_server_session *s)
{
	smtp_server_content_drop(s);
	smtp_server_message_free(&s->message);
}

void
smtp_server_session_close(struct smtp_server_session *s)
{
	if (s->state == SERVER_CLOSING)
		return;
	smtp_server_session_forget(s);
	sasl_server_free(&s->sasl);
	smtp_server_session_set_state(s, SERVER_CLOSING);
	conn_close(s->conn);
}

void
smtp_server_session_free(struct smtp_server_session **sp)
{
	struct smtp_server_session *s = *sp;

	if (s == NULL)
		return;
	*sp = NULL;
	struct smtp_server *server = s->server;
	map_remove(&server->sessions, s->facts.id.v);
	if (server->ops->on_closed != NULL)
		server->ops->on_closed(s, server->arg);
	smtp_server_session_forget(s);
	sasl_server_free(&s->sasl);
	loop_task_cancel(&s->task);
	loop_timer_cancel(server->loop, &s->timer);
	conn_free(&s->conn);
	smtp_server_settings_unref(&s->settings);
	arena_done(&s->scratch);
	free(s->helo);
	free(s->user);
	free(s->tls_text);
	s->magic = 0;
	free(s);
	if (server->draining && server->sessions.count == 0 && server->ops->on_drained != NULL)
		server->ops->on_drained(server, server->arg);
}

void
smtp_server_session_drain(struct smtp_server_session *s)
{
	int64_t end = loop_now_us(s->server->loop) + DRAIN_US;

	if (is_in(s, DRAIN_STATES)) {
		smtp_server_reply_bye(s, SERVER_SAID_SHUTDOWN);
		return;
	}
	if (s->state == SERVER_HANDSHAKE)
		begin_wait(s, 0); /* nothing was said yet */
	if (s->end_us > end)
		s->end_us = end;
	smtp_server_session_touch(s);
}

/* ---- turning ---- */

void
smtp_server_session_answered(struct smtp_server_session *s, const struct smtp_server_reply *reply)
{
	s->serial++; /* the ticket is used */
	switch (s->state) {
	case SERVER_CONNECT_ASKED: connect_answered(s, reply); return;
	case SERVER_HELLO_ASKED: smtp_server_helo_answered(s, reply); return;
	case SERVER_TLS_ASKED: smtp_server_tls_answered(s, reply); return;
	case SERVER_AUTH_ASKED: smtp_server_auth_answered(s, reply); return;
	case SERVER_MAIL_ASKED: smtp_server_mail_answered(s, reply); return;
	case SERVER_RCPT_ASKED: smtp_server_rcpt_answered(s, reply); return;
	case SERVER_CONTENT_ASKED: smtp_server_data_answered(s, reply); return;
	case SERVER_MESSAGE_ASKED: smtp_server_data_message_answered(s, reply); return;
	case SERVER_NEW:
	case SERVER_HANDSHAKE:
	case SERVER_HELLO:
	case SERVER_READY:
	case SERVER_AUTH:
	case SERVER_AUTH_SLOWED:
	case SERVER_MAIL:
	case SERVER_RCPT:
	case SERVER_DATA:
	case SERVER_CHUNK:
	case SERVER_BETWEEN:
	case SERVER_SKIP:
	case SERVER_CLOSING:
	case SERVER_STATE_COUNT: break;
	}
	UNREACHABLE();
}

void
smtp_server_session_wake(struct smtp_server_session *s)
{
	if (!s->running)
		loop_defer(s->server->loop, &s->task);
}

static enum server_step
turn(struct smtp_server_session *s)
{
	if (s->server->draining && is_in(s, DRAIN_STATES)) {
		smtp_server_reply_bye(s, SERVER_SAID_SHUTDOWN);
		return SERVER_PARKED;
	}
	if (is_in(s, COMMAND_STATES))
		return smtp_server_command_step(s);
	if (is_in(s, CONTENT_STATES))
		return smtp_server_data_step(s);
	if (is_in(s, IN(AUTH) | IN(AUTH_ASKED)))
		return smtp_server_auth_step(s);
	return SERVER_PARKED;
}

void
smtp_server_session_run(struct smtp_server_session *s)
{
	enum server_step step = SERVER_MORE;
	unsigned left = TURN_STEPS;

	if (s->running)
		return;
	s->running = true;
	while (step == SERVER_MORE) {
		if (left-- == 0) {
			loop_defer(s->server->loop, &s->task);
			break;
		}
		if (conn_is_clogged(s->conn)) {
			conn_pause(s->conn, PAUSE_CLOGGED);
			break;
		}
		step = turn(s);
		audit(s);
	}
	s->running = false;
	if ((conn_paused(s->conn) & PAUSE_OWNER) != 0 &&
	    is_in(s, COMMAND_STATES | CONTENT_STATES | IN(AUTH) | IN(HANDSHAKE) | IN(CLOSING)))
		conn_resume(s->conn, PAUSE_OWNER);
}

/* ---- waits that are over ---- */

static void
client_is_late(struct smtp_server_session *s, int64_t now)
{
	const struct smtp_server_opts *opts = server_opts(s);

	if (now >= s->end_us) {
		smtp_server_reply_bye(s, SERVER_SAID_SESSION_OVER);
		return;
	}
	if (!is_in(s, CONTENT_STATES)) {
		smtp_server_reply_bye(s, SERVER_SAID_IDLE);
		return;
	}
	uint64_t fair = opts->min_rate * (uint64_t)(opts->idle_us / SECONDS(1));
	if (s->window_bytes == 0 || s->window_bytes < fair) {
		smtp_server_reply_bye(s, SERVER_SAID_TOO_SLOW);
		return;
	}
	s->window_bytes = 0;
	begin_wait(s, opts->idle_us);
}

static void
owner_is_late(struct smtp_server_session *s)
{
	bool asked_connect = s->state == SERVER_CONNECT_ASKED;
	struct smtp_server_reply late =
	    smtp_server_reply_of(asked_connect ? SERVER_SAID_OWNER_GONE : SERVER_SAID_OWNER_LATE);

	smtp_server_session_answered(s, &late);
	smtp_server_session_run(s);
}

static void
on_due(void *arg)
{
	struct smtp_server_session *s =
	    FROM_ARG(struct smtp_server_session, arg, SMTP_SERVER_SESSION_MAGIC);
	int64_t now = loop_now_us(s->server->loop);

	if (now < s->due_us) {
		loop_timer_set(s->server->loop, &s->timer, s->due_us);
		return;
	}
	switch (states[s->state].wait) {
	case WAIT_CLIENT: client_is_late(s, now); break;
	case WAIT_OWNER: owner_is_late(s); break;
	case WAIT_TLS: conn_abort(s->conn); break;
	case WAIT_SLOW:
		smtp_server_auth_slowed(s);
		smtp_server_session_run(s);
		break;
	case WAIT_NONE: break;
	}
}

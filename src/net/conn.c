/* The life of a connection; its bytes are moved in conn_io.c.
 *
 * Everything that must not happen inside the owner's calls is owed: a bit is set and one task runs
 * at the tail of the turn (on_tail), which flushes what was written, then pays what is owed, and is
 * also where the memory of a freed connection goes. Only the arrival of bytes calls the owner
 * directly from the watch, so that what it writes in answer leaves in the same turn.
 *
 * After every call of the owner's the connection may be freed (ops is NULL), closed or in a
 * handshake: look at the state again. The memory itself stays until the tail.
 *
 * The end. conn_fail closes the descriptor at once and owes on_closed. Closing with bytes still
 * unsent would let the peer see a clean end after half of something, so it is then a reset instead.
 * When writing fails, what had arrived before is read first: servers say why they hang up, and the
 * reason is often already here. conn_close leaves with a FIN and reads until the peer's, since
 * closing with unread input is a reset that can overtake our last bytes. */
#include "net/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/private.h"

#define CONN_MAGIC         0xc0227ec7u

#define INPUT_LIMIT_BYTES  65536
#define OUTPUT_LIMIT_BYTES (4u << 20)
#define HIGH_WATER_BYTES   (256u << 10)
#define LOW_WATER_BYTES    (64u << 10)

/* TCP notices a dead peer that nothing is sent to after two minutes and four unanswered probes. */
#define KEEP_IDLE_S        120
#define KEEP_INTERVAL_S    30
#define KEEP_PROBES        4

static const struct {
	int64_t longest_us;
	unsigned next;
} states[] = {
#define X(name, longest, next_) [CONN_##name] = { .longest_us = (longest), .next = (next_) },
#include "net/conn_states.def"
#undef X
};
static_assert(COUNT_OF(states) == CONN_STATE_COUNT, "every state has a row");

/* ---- state, time, watch ---- */

static bool
takes_output(const struct conn *c)
{
	return c->state == CONN_OPENING || c->state == CONN_HANDSHAKE || c->state == CONN_OPEN;
}

static void
arm_timer(struct conn *c)
{
	int64_t at_us = c->state_until_us;

	if (takes_output(c) && c->deadline_us < at_us)
		at_us = c->deadline_us;
	loop_timer_set(c->loop, &c->timer, at_us);
}

void
conn_set_state(struct conn *c, enum conn_state to)
{
	ASSERT((states[c->state].next & (1u << to)) != 0);
	c->state = to;
	c->state_until_us = states[to].longest_us == TIME_NEVER
				? TIME_NEVER
				: loop_now_us(c->loop) + states[to].longest_us;
	arm_timer(c);
}

void
conn_owe(struct conn *c, unsigned what)
{
	c->owed |= what;
	loop_defer(c->loop, &c->tail);
}

void
conn_update_watch(struct conn *c)
{
	unsigned want = 0;

	switch (c->state) {
	case CONN_OPENING: break;
	case CONN_HANDSHAKE: want = c->tls_wants; break;
	case CONN_OPEN:
		if (c->paused == 0 && !conn_input_is_full(c) && (c->owed & CONN_OWES_READ) == 0)
			want |= LOOP_READ;
		if (c->is_blocked)
			want |= LOOP_WRITE;
		want |= c->tls_wants;
		break;
	case CONN_FLUSHING:
		want = c->is_blocked ? LOOP_WRITE | c->tls_wants : c->tls_wants;
		if (c->why.rc != RC_CLOSED)
			want |= LOOP_READ;
		break;
	case CONN_LINGERING: want = LOOP_READ; break;
	case CONN_CLOSED: return;
	case CONN_STATE_COUNT: UNREACHABLE();
	}
	loop_watch_set(&c->watch, want);
}

static void
close_socket(struct conn *c, bool is_reset)
{
	if (c->fd < 0)
		return;
	if (is_reset) {
		const struct linger now = { .l_onoff = 1, .l_linger = 0 };
		(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	}
	loop_watch_done(&c->watch);
	close(c->fd);
	c->fd = -1;
}

void
conn_fail(struct conn *c, const struct fault *why)
{
	if (c->state == CONN_CLOSED)
		return;
	close_socket(c, buf_len(&c->out) != 0);
	conn_set_state(c, CONN_CLOSED);
	c->why = *why;
	c->owed = 0;
	/* The input stays too: the owner may be looking at it this moment. */
	conn_owe(c, CONN_OWES_CLOSED);
}

/* ---- the end in good order ---- */

static void
finish(struct conn *c)
{
	struct fault done = { 0 };

	(void)fault_set(&done, RC_DONE, "closed by us");
	conn_fail(c, &done);
}

/* FLUSHING, and nothing is left to flush. */
static void
leave(struct conn *c)
{
	if (c->why.rc != RC_OK) {
		struct fault why = c->why;
		conn_fail(c, &why);
		return;
	}
	if (c->tls != NULL)
		tls_stream_say_goodbye(c->tls);
	(void)shutdown(c->fd, SHUT_WR);
	conn_set_state(c, CONN_LINGERING);
	if (conn_discard_input(c) == RC_DONE)
		finish(c);
}

void
conn_end_by_peer(struct conn *c)
{
	struct fault why = { 0 };

	(void)fault_set(&why, RC_CLOSED, "the peer closed the connection");
	if (buf_len(&c->out) == 0) {
		conn_fail(c, &why);
		return;
	}
	/* It may only have finished sending, and still wait for the answer. */
	c->why = why;
	conn_set_state(c, CONN_FLUSHING);
	conn_owe(c, 0);
}

/* ---- what the loop calls ---- */

static void
on_timer(void *arg)
{
	struct conn *c = FROM_ARG(struct conn, arg, CONN_MAGIC);
	struct fault why = { 0 };

	switch (c->state) {
	case CONN_LINGERING: finish(c); return;
	case CONN_FLUSHING:
		if (c->why.rc == RC_OK)
			(void)fault_set(
			    &c->why, RC_TIMEOUT, "the peer did not take the last bytes");
		why = c->why;
		break;
	case CONN_HANDSHAKE:
		(void)fault_set(&why, RC_TIMEOUT, "the TLS handshake took too long");
		break;
	case CONN_OPENING:
	case CONN_OPEN: (void)fault_set(&why, RC_TIMEOUT, "the peer took too long"); break;
	case CONN_CLOSED:
	case CONN_STATE_COUNT: UNREACHABLE();
	}
	conn_fail(c, &why);
}

static void
on_watch(void *arg, unsigned what)
{
	struct conn *c = FROM_ARG(struct conn, arg, CONN_MAGIC);

	switch (c->state) {
	case CONN_HANDSHAKE: conn_step_handshake(c); return;
	case CONN_OPEN:
		if (what == LOOP_WRITE || (c->tls_wants & LOOP_READ) != 0)
			conn_flush_output(c);
		if (c->state == CONN_OPEN &&
		    (what == LOOP_READ || (c->tls_wants & LOOP_WRITE) != 0))
			conn_read_input(c);
		return;
	case CONN_FLUSHING:
		if (what == LOOP_READ && conn_discard_input(c) == RC_DONE)
			(void)fault_set(&c->why, RC_CLOSED, "the peer closed the connection");
		conn_owe(c, 0);
		conn_update_watch(c);
		return;
	case CONN_LINGERING:
		if (conn_discard_input(c) == RC_DONE)
			finish(c);
		return;
	case CONN_OPENING:
	case CONN_CLOSED:
	case CONN_STATE_COUNT: UNREACHABLE();
	}
}

static void
destroy(struct conn *c)
{
	buf_done(&c->in);
	buf_done(&c->out);
	tls_stream_free(&c->tls);
	c->magic = 0;
	free(c);
}

static void
become_ready(struct conn *c)
{
	conn_set_state(c, CONN_OPEN);
	conn_update_watch(c);
	if (c->ops->on_ready != NULL)
		c->ops->on_ready(c->arg);
}

/* What is owed to an open connection, after its output was flushed. */
static void
pay(struct conn *c, unsigned owed)
{
	if ((owed & CONN_OWES_READY) != 0 && c->state == CONN_OPENING)
		become_ready(c);
	if ((owed & CONN_OWES_DRAINED) != 0 && c->state == CONN_OPEN && !c->is_clogged &&
	    c->ops->on_drained != NULL)
		c->ops->on_drained(c->arg);
	if ((owed & CONN_OWES_DATA) != 0 && c->state == CONN_OPEN && buf_len(&c->in) != 0 &&
	    !conn_deliver(c))
		return;
	if ((owed & (CONN_OWES_READ | CONN_OWES_FAILURE)) != 0 && c->state == CONN_OPEN)
		conn_read_input(c);
	if ((owed & CONN_OWES_FAILURE) != 0 && c->state == CONN_OPEN) {
		struct fault why = c->why;
		conn_fail(c, &why);
	}
}

static void
on_tail(void *arg)
{
	struct conn *c = FROM_ARG(struct conn, arg, CONN_MAGIC);

	if (c->ops == NULL) {
		destroy(c);
		return;
	}
	if (c->state == CONN_HANDSHAKE) {
		conn_step_handshake(c);
		return;
	}
	if (c->state != CONN_CLOSED)
		conn_flush_output(c);
	if (c->state == CONN_FLUSHING && buf_len(&c->out) == 0)
		leave(c);
	unsigned owed = c->owed;
	c->owed = 0;
	if ((owed & CONN_OWES_CLOSED) != 0) {
		c->ops->on_closed(c->arg, &c->why);
		return;
	}
	pay(c, owed);
	if (c->ops != NULL)
		conn_update_watch(c);
}

/* ---- making and ending ---- */

static void
set_socket_options(int fd)
{
	const struct {
		int level, name, value;
	} opts[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, KEEP_PROBES },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
	};
	int flags = fcntl(fd, F_GETFL);

	if ((flags & O_NONBLOCK) == 0)
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	for (size_t i = 0; i < COUNT_OF(opts); i++) {
		/* The first one fails on a Unix socket, which needs none of them. */
		if (setsockopt(fd, opts[i].level, opts[i].name, &opts[i].value, sizeof(int)) != 0)
			return;
	}
}

struct conn *
conn_new(
    struct loop *loop, int fd, const struct conn_ops *ops, void *arg, const struct conn_opts *opts)
{
	static const struct conn_opts defaults;
	const struct conn_opts *o = opts != NULL ? opts : &defaults;
	struct conn *c = MEM_NEW(struct conn);

#define OR(value, fallback) ((value) != 0 ? (value) : (fallback))
	buf_init(&c->in, OR(o->input_limit_bytes, INPUT_LIMIT_BYTES));
	buf_init(&c->out, OR(o->output_limit_bytes, OUTPUT_LIMIT_BYTES));
	c->high_water_bytes = OR(o->high_water_bytes, HIGH_WATER_BYTES);
	c->low_water_bytes = OR(o->low_water_bytes, LOW_WATER_BYTES);
#undef OR
	c->magic = CONN_MAGIC;
	c->state = CONN_OPENING;
	c->loop = loop;
	c->ops = ops;
	c->arg = arg;
	c->fd = fd;
	c->deadline_us = c->state_until_us = TIME_NEVER;
	set_socket_options(fd);
	loop_watch_init(&c->watch, loop, fd, on_watch, c);
	loop_timer_init(&c->timer, on_timer, c);
	loop_task_init(&c->tail, on_tail, c);
	conn_owe(c, CONN_OWES_READY);
	return c;
}

void
conn_free(struct conn **cp)
{
	struct conn *c = *cp;

	if (c == NULL)
		return;
	*cp = NULL;
	close_socket(c, true);
	if (c->state != CONN_CLOSED)
		conn_set_state(c, CONN_CLOSED);
	c->ops = NULL;
	loop_defer(c->loop, &c->tail);
}

void
conn_set_deadline(struct conn *c, int64_t at_us)
{
	c->deadline_us = at_us;
	if (takes_output(c))
		arm_timer(c);
}

void
conn_close(struct conn *c)
{
	if (c->state == CONN_HANDSHAKE) {
		/* Nothing can be said in the middle of it. */
		finish(c);
	} else if (takes_output(c)) {
		/* A failure to write that is not yet told takes precedence over a good end. */
		if ((c->owed & CONN_OWES_FAILURE) != 0) {
			struct fault why = c->why;
			conn_fail(c, &why);
			return;
		}
		conn_set_state(c, CONN_FLUSHING);
		c->owed = 0;
		conn_owe(c, 0);
	}
}

void
conn_abort(struct conn *c)
{
	struct fault why = { 0 };

	if (c->state == CONN_CLOSED)
		return;
	(void)fault_set(&why, RC_CANCELLED, "the connection was cut by us");
	close_socket(c, true);
	conn_fail(c, &why);
}

bool
conn_is_closed(const struct conn *c)
{
	return c->state == CONN_CLOSED;
}

bool
conn_local_addr(const struct conn *c, struct net_addr *out)
{
	return c->fd >= 0 && net_addr_of_socket(c->fd, out);
}

bool
conn_peer_addr(const struct conn *c, struct net_addr *out)
{
	return c->fd >= 0 && net_addr_of_peer(c->fd, out);
}

/* ---- the owner's side of output and input ---- */

void
conn_write(struct conn *c, struct str s)
{
	if (!takes_output(c))
		return;
	buf_add(&c->out, s);
	if (!buf_is_ok(&c->out)) {
		struct fault why = { 0 };
		(void)fault_set(&why, RC_LIMIT, "the peer reads too slowly for what it is sent");
		conn_fail(c, &why);
		return;
	}
	if (buf_len(&c->out) > c->high_water_bytes)
		c->is_clogged = true;
	if (!c->is_blocked && c->state != CONN_HANDSHAKE)
		loop_defer(c->loop, &c->tail);
}

void
conn_flush(struct conn *c)
{
	if ((c->state == CONN_OPEN || c->state == CONN_OPENING) && !c->is_blocked)
		conn_flush_output(c);
}

bool
conn_is_clogged(const struct conn *c)
{
	return c->is_clogged;
}

size_t
conn_unsent_bytes(const struct conn *c)
{
	return buf_len(&c->out);
}

struct buf *
conn_input(struct conn *c)
{
	return &c->in;
}

bool
conn_input_is_full(const struct conn *c)
{
	return buf_len(&c->in) >= c->in.limit;
}

void
conn_pause(struct conn *c, unsigned reasons)
{
	c->paused |= reasons;
	conn_update_watch(c);
}

void
conn_resume(struct conn *c, unsigned reasons)
{
	bool was_paused = c->paused != 0;

	c->paused &= ~reasons;
	if (!was_paused || c->paused != 0)
		return;
	/* TLS may hold bytes too that arrived before the pause. */
	if (c->state == CONN_OPEN)
		conn_owe(c, CONN_OWES_DATA | (c->tls != NULL ? CONN_OWES_READ : 0));
	conn_update_watch(c);
}

unsigned
conn_paused(const struct conn *c)
{
	return c->paused;
}

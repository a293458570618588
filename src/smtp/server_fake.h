/* A connection and a loop without a kernel, under the names of the real ones, for tests and fuzzing
 * of the server.
 *
 * Include it in exactly one file of a program, before anything pulls the real ones in from their
 * libraries. Time stands still until it is moved. What the server writes collects in `fake.out`.
 * Nothing here may be used in the product. */
#pragma once

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "smtp/server_private.h"

struct conn {
	const struct conn_ops *ops;
	void *arg;
	struct buf in;
	unsigned paused;
	bool closing;
	bool clogged;
	bool tls;
};

/* The one connection at a time, and the loop. */
static struct {
	struct conn *conn;
	struct buf out;
	int64_t now_us;
	struct loop_timer *timer; /* set, or NULL */
	struct loop_task *task;   /* deferred, or NULL */
	bool handshakes;          /* a handshake is due */
} fake;

/* ---- conn.h ---- */

struct conn *
conn_new(
    struct loop *loop, int fd, const struct conn_ops *ops, void *arg, const struct conn_opts *opts)
{
	(void)loop;
	(void)fd;
	(void)opts;
	ASSERT(fake.conn == NULL);
	fake.conn = MEM_NEW(struct conn);
	fake.conn->ops = ops;
	fake.conn->arg = arg;
	buf_init(&fake.conn->in, 65536);
	return fake.conn;
}

void
conn_free(struct conn **cp)
{
	struct conn *c = *cp;

	if (c == NULL)
		return;
	*cp = NULL;
	buf_done(&c->in);
	fake.conn = NULL;
	free(c);
}

void
conn_write(struct conn *c, struct str s)
{
	ASSERT(!c->closing);
	buf_add(&fake.out, s);
}

bool
conn_is_clogged(const struct conn *c)
{
	return c->clogged;
}

struct buf *
conn_input(struct conn *c)
{
	return &c->in;
}

bool
conn_input_is_full(const struct conn *c)
{
	return buf_len(&c->in) == c->in.limit;
}

void
conn_pause(struct conn *c, unsigned reasons)
{
	c->paused |= reasons;
}

void
conn_resume(struct conn *c, unsigned reasons)
{
	c->paused &= ~reasons;
}

unsigned
conn_paused(const struct conn *c)
{
	return c->paused;
}

enum rc
conn_start_tls(struct conn *c, struct tls_ctx *ctx, const struct tls_peer *peer, struct fault *f)
{
	(void)ctx;
	(void)peer;
	(void)f;
	if (buf_len(&c->in) != 0 || c->tls)
		return RC_INVALID;
	fake.handshakes = true;
	return RC_OK;
}

bool
conn_tls_facts(const struct conn *c, struct tls_facts *out)
{
	*out = (struct tls_facts){ .version = "TLSv1.3", .cipher = "TLS_AES_256_GCM_SHA384" };
	return c->tls;
}

void
conn_close(struct conn *c)
{
	c->closing = true;
}

void
conn_abort(struct conn *c)
{
	c->closing = true;
}

struct tls_ctx *
tls_ctx_ref(struct tls_ctx *ctx)
{
	return ctx;
}

void
tls_ctx_unref(struct tls_ctx **ctx)
{
	*ctx = NULL;
}

/* ---- loop.h ---- */

int64_t
loop_now_us(struct loop *loop)
{
	(void)loop;
	return fake.now_us;
}

void
loop_timer_init(struct loop_timer *t, loop_fn *on_due, void *arg)
{
	*t = (struct loop_timer){ .on_due = on_due, .arg = arg };
}

void
loop_timer_set(struct loop *loop, struct loop_timer *t, int64_t at_us)
{
	(void)loop;
	ASSERT(fake.timer == NULL || fake.timer == t);
	t->node.key = at_us;
	t->node.slot = 1;
	fake.timer = t;
}

void
loop_timer_cancel(struct loop *loop, struct loop_timer *t)
{
	(void)loop;
	t->node.slot = 0;
	fake.timer = NULL;
}

void
loop_task_init(struct loop_task *t, loop_fn *run, void *arg)
{
	*t = (struct loop_task){ .run = run, .arg = arg };
}

void
loop_defer(struct loop *loop, struct loop_task *t)
{
	(void)loop;
	fake.task = t;
}

void
loop_task_cancel(struct loop_task *t)
{
	if (fake.task == t)
		fake.task = NULL;
}

/* ---- what a test does ---- */

static inline void
fake_start(void)
{
	ASSERT(fake.conn == NULL);
	buf_init(&fake.out, (size_t)16 << 20);
	fake.now_us = SECONDS(1000);
}

static inline void
fake_end(void)
{
	ASSERT(fake.conn == NULL && fake.timer == NULL && fake.task == NULL);
	buf_done(&fake.out);
}

/* The tail of a turn: deferred work, a handshake that is due, and the end of a closed connection.
 */
static inline void
fake_turn(void)
{
	struct loop_task *task;

	while ((task = TAKE(fake.task)) != NULL)
		task->run(task->arg);
	if (fake.handshakes && fake.conn != NULL && !fake.conn->closing) {
		fake.handshakes = false;
		fake.conn->tls = true;
		fake.conn->ops->on_ready(fake.conn->arg);
	}
	if (fake.conn != NULL && fake.conn->closing) {
		const struct fault why = { .rc = RC_DONE };
		fake.handshakes = false;
		fake.conn->ops->on_closed(fake.conn->arg, &why);
	}
}

/* The connection can be talked on. */
static inline void
fake_ready(void)
{
	fake.conn->ops->on_ready(fake.conn->arg);
	fake_turn();
}

/* The peer sends `s`; what does not fit waits until there is room, and is dropped if there never
 * is. */
static inline void
fake_send(struct str s)
{
	while (s.n != 0 && fake.conn != NULL && !fake.conn->closing && fake.conn->paused == 0) {
		size_t room = fake.conn->in.limit - buf_len(&fake.conn->in);
		struct str part = str_sub(s, 0, room);
		if (part.n == 0)
			return;
		buf_add(&fake.conn->in, part);
		s = str_skip(s, part.n);
		fake.conn->ops->on_data(fake.conn->arg);
		fake_turn();
	}
}

/* Time goes by; the timer fires as often as it is due. */
static inline void
fake_wait(int64_t us)
{
	int64_t until = fake.now_us + us;

	while (fake.timer != NULL && fake.timer->node.key <= until) {
		struct loop_timer *t = TAKE(fake.timer);
		if (fake.now_us < t->node.key)
			fake.now_us = t->node.key;
		t->node.slot = 0;
		t->on_due(t->arg);
		fake_turn();
	}
	fake.now_us = until;
}

/* The peer hangs up. */
static inline void
fake_hang_up(void)
{
	if (fake.conn == NULL)
		return;
	const struct fault why = { .rc = RC_CLOSED };
	fake.conn->ops->on_closed(fake.conn->arg, &why);
}

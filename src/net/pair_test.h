/* For tests only: two connections that talk to each other on one loop, and what happened to each.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/conn.h"

struct pair;

struct side {
	struct pair *pair;
	struct conn *conn;
	unsigned ready;
	unsigned drained;
	unsigned closed;
	struct fault why;
	char got[4096];                   /* what on_data was shown and took; NUL-terminated */
	size_t got_bytes;                 /* counts on beyond the room */
	void (*on_data)(struct side *s);  /* instead of taking everything */
	void (*on_ready)(struct side *s); /* may be NULL */
};

struct pair {
	struct loop *loop;
	struct side a, b;
	struct loop_timer guard;
	bool (*is_done)(struct pair *p);
	struct loop_hook look;
};

static inline void
side_take(struct side *s)
{
	struct buf *in = conn_input(s->conn);
	struct str bytes = buf_str(in);
	size_t room = s->got_bytes < sizeof(s->got) - 1 ? sizeof(s->got) - 1 - s->got_bytes : 0;

	if (bytes.n != 0 && room != 0)
		memcpy(s->got + s->got_bytes, bytes.p, bytes.n < room ? bytes.n : room);
	s->got_bytes += bytes.n;
	buf_drop(in, bytes.n);
}

static void
side_on_ready(void *arg)
{
	struct side *s = arg;

	assert_int_equal(s->closed, 0);
	s->ready++;
	if (s->on_ready != NULL)
		s->on_ready(s);
}

static void
side_on_data(void *arg)
{
	struct side *s = arg;

	assert_true(s->ready > 0);
	assert_int_equal(s->closed, 0);
	assert_int_equal(conn_paused(s->conn), 0);
	if (s->on_data != NULL)
		s->on_data(s);
	else
		side_take(s);
}

static void
side_on_drained(void *arg)
{
	struct side *s = arg;

	assert_false(conn_is_clogged(s->conn));
	s->drained++;
}

static void
side_on_closed(void *arg, const struct fault *why)
{
	struct side *s = arg;

	s->closed++;
	s->why = *why;
	assert_true(why->text[0] != '\0');
}

static const struct conn_ops side_ops = { side_on_ready, side_on_data, side_on_drained,
	side_on_closed };

static void
pair_too_late(void *arg)
{
	struct pair *p = arg;

	fail_msg("stuck: a ready %u closed %u got %zu, b ready %u closed %u got %zu", p->a.ready,
	    p->a.closed, p->a.got_bytes, p->b.ready, p->b.closed, p->b.got_bytes);
}

static void
pair_look(void *arg)
{
	struct pair *p = arg;

	if (p->is_done(p))
		loop_stop(p->loop);
}

/* Turns the loop until `is_done`; fails after 20 s. */
static inline void
pair_run(struct pair *p, bool (*is_done)(struct pair *p))
{
	p->is_done = is_done;
	loop_timer_set(p->loop, &p->guard, loop_now_us(p->loop) + SECONDS(20));
	loop_run(p->loop);
	loop_timer_cancel(p->loop, &p->guard);
}

static inline void
side_new(struct pair *p, struct side *s, int fd, const struct conn_opts *opts)
{
	s->pair = p;
	s->conn = conn_new(p->loop, fd, &side_ops, s, opts);
}

static inline void
pair_init(struct pair *p)
{
	*p = (struct pair){ .loop = loop_new() };
	loop_timer_init(&p->guard, pair_too_late, p);
	loop_hook_add(p->loop, &p->look, pair_look, p);
}

static inline void
pair_connect(struct pair *p, const struct conn_opts *a_opts, const struct conn_opts *b_opts)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	side_new(p, &p->a, fds[0], a_opts);
	side_new(p, &p->b, fds[1], b_opts);
}

static inline void
pair_done(struct pair *p)
{
	conn_free(&p->a.conn);
	conn_free(&p->b.conn);
	loop_hook_remove(&p->look);
	loop_free(&p->loop);
}

static inline int
pair_setup(void **state)
{
	static struct pair p;

	pair_init(&p);
	*state = &p;
	return 0;
}

static inline int
pair_teardown(void **state)
{
	pair_done(*state);
	return 0;
}

static inline bool
pair_is_ready(struct pair *p)
{
	return p->a.ready > 0 && p->b.ready > 0;
}
static inline bool
pair_b_is_closed(struct pair *p)
{
	return p->b.closed > 0;
}
static inline bool
pair_a_is_closed(struct pair *p)
{
	return p->a.closed > 0;
}
static inline bool
pair_is_closed(struct pair *p)
{
	return p->a.closed > 0 && p->b.closed > 0;
}

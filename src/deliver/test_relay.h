/* For tests: a relay that takes mail on loopback, and misbehaves where it is told to. It lives on
 * the loop of the test; what it took is on a ledger that outlives the process that ran it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "net/conn.h"
#include "net/listener.h"

#define LEDGER_MAX 512

/* One recipient of one message that was taken, whether the reply arrived or not. */
struct taken {
	char from[96];
	char rcpt[96];
};

struct ledger {
	size_t n;
	struct taken v[LEDGER_MAX];
};

struct fake_relay {
	struct loop *loop;
	struct listener *listener;
	struct ledger *ledger;
	struct list conns;
	uint16_t port;

	/* What it does; NULL and zero: what is right. */
	const char *caps;       /* lines of the EHLO reply but the last */
	const char *mail_reply; /* to MAIL from a sender that has mail_odd in it */
	const char *mail_odd;
	const char *rcpt_reply; /* to RCPT with rcpt_odd in it */
	const char *rcpt_odd;
	const char *dot_reply;
	int lose_replies; /* so many dots are taken and not answered: the connection is cut */
	int cut_contents; /* so many connections are cut when content begins */
	int shut_out;     /* so many connections are closed politely once they are ready */
	int close_after;  /* a connection is closed after so many messages */
	bool hold_dots;   /* dots wait for fake_relay_answer */

	/* What it saw. */
	unsigned connections;
	unsigned contents;
	char last_content[8192];
};

struct fake_conn {
	struct fake_relay *relay;
	struct conn *conn;
	struct list link;
	char from[96];
	char rcpts[32][96];
	size_t n_rcpts;
	int messages;
	bool in_content;
	bool dot_waits;
};

static inline struct ledger *
ledger_new(void)
{
	struct ledger *l =
	    mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ASSERT(l != MAP_FAILED);
	return l;
}

/* How often `rcpt` was taken. */
static inline unsigned
ledger_count(const struct ledger *l, const char *rcpt)
{
	unsigned n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += strcmp(l->v[i].rcpt, rcpt) == 0;
	return n;
}

static inline void
fake_say(struct fake_conn *k, const char *line)
{
	conn_write(k->conn, str_from(line));
	conn_write(k->conn, STR("\r\n"));
}

/* What stands between < and >. */
static inline void
fake_path(char out[static 96], struct str line)
{
	size_t from = str_find(line, '<');
	struct str s = str_skip(line, from + 1);

	snprintf(out, 96, "%.*s", STR_ARG(str_sub(s, 0, str_find(s, '>'))));
}

static inline void
fake_dot(struct fake_conn *k)
{
	struct fake_relay *r = k->relay;
	bool refuses = r->dot_reply != NULL && r->dot_reply[0] != '2';

	k->dot_waits = false;
	for (size_t i = 0; !refuses && i < k->n_rcpts && r->ledger->n < LEDGER_MAX; i++) {
		struct taken *t = &r->ledger->v[r->ledger->n++];
		snprintf(t->from, sizeof(t->from), "%s", k->from);
		snprintf(t->rcpt, sizeof(t->rcpt), "%s", k->rcpts[i]);
	}
	k->messages++;
	if (r->lose_replies > 0) {
		r->lose_replies--;
		conn_abort(k->conn);
		return;
	}
	fake_say(k, r->dot_reply != NULL ? r->dot_reply : "250 2.0.0 kept");
	if (r->close_after != 0 && k->messages >= r->close_after)
		conn_close(k->conn);
}

/* Lets the dots go that wait for their answer. */
static inline void
fake_relay_answer(struct fake_relay *r)
{
	struct fake_conn *k;

	r->hold_dots = false;
	LIST_FOREACH(k, &r->conns, struct fake_conn, link) {
		if (k->dot_waits)
			fake_dot(k);
	}
}

static inline bool
fake_relay_has_dot(const struct fake_relay *r)
{
	struct fake_conn *k;

	LIST_FOREACH(k, &r->conns, struct fake_conn, link) {
		if (k->dot_waits)
			return true;
	}
	return false;
}

static inline void
fake_data(struct fake_conn *k)
{
	if (k->n_rcpts == 0) {
		fake_say(k, "554 5.5.1 nobody to send it to");
		return;
	}
	k->in_content = true;
	fake_say(k, "354 go on");
}

static inline void
fake_command(struct fake_conn *k, struct str line)
{
	struct fake_relay *r = k->relay;
	char path[96];

	fake_path(path, line);
	if (str_starts(line, STR("EHLO"))) {
		conn_write(k->conn, STR("250-fake\r\n"));
		conn_write(k->conn, str_from(r->caps != NULL ? r->caps : "250-PIPELINING\r\n"));
		fake_say(k, "250 ENHANCEDSTATUSCODES");
		if (r->shut_out > 0) {
			r->shut_out--;
			fake_say(k, "421 4.3.2 not today");
			conn_close(k->conn);
		}
	} else if (str_starts(line, STR("MAIL"))) {
		bool odd = r->mail_reply != NULL && strstr(path, r->mail_odd) != NULL;
		snprintf(k->from, sizeof(k->from), "%s", path);
		k->n_rcpts = 0;
		fake_say(k, odd ? r->mail_reply : "250 2.1.0 ok");
		if (odd)
			k->from[0] = '\1';
	} else if (str_starts(line, STR("RCPT"))) {
		bool odd = r->rcpt_reply != NULL && strstr(path, r->rcpt_odd) != NULL;
		if (k->from[0] == '\1')
			fake_say(k, "503 5.5.1 from whom?");
		else if (odd)
			fake_say(k, r->rcpt_reply);
		else {
			snprintf(k->rcpts[k->n_rcpts++ % 32], 96, "%s", path);
			fake_say(k, "250 2.1.5 ok");
		}
	} else if (str_starts(line, STR("DATA"))) {
		fake_data(k);
	} else if (str_starts(line, STR("QUIT"))) {
		fake_say(k, "221 2.0.0 bye");
		conn_close(k->conn);
	} else {
		fake_say(k, "250 2.0.0 ok");
	}
}

/* True when something was used up. */
static inline bool
fake_step(struct fake_conn *k)
{
	struct fake_relay *r = k->relay;
	struct buf *in = conn_input(k->conn);
	struct str s = buf_str(in);

	if (k->in_content) {
		if (r->cut_contents > 0) {
			r->cut_contents--;
			conn_abort(k->conn);
			return false;
		}
		size_t end = str_find_str(s, STR("\r\n.\r\n"));
		if (end == s.n)
			return false;
		snprintf(
		    r->last_content, sizeof(r->last_content), "%.*s", STR_ARG(str_sub(s, 0, end)));
		buf_drop(in, end + 5);
		k->in_content = false;
		r->contents++;
		k->dot_waits = true;
		if (!r->hold_dots)
			fake_dot(k);
		return true;
	}
	size_t eol = str_find_str(s, STR("\r\n"));
	if (eol == s.n)
		return false;
	struct str line = str_sub(s, 0, eol);
	char copy[1024];
	snprintf(copy, sizeof(copy), "%.*s", STR_ARG(line));
	buf_drop(in, eol + 2);
	fake_command(k, str_from(copy));
	return true;
}

static inline void
fake_on_data(void *arg)
{
	struct fake_conn *k = arg;

	while (!conn_is_closed(k->conn) && !k->dot_waits && fake_step(k))
		continue;
}

static inline void
fake_on_ready(void *arg)
{
	fake_say(arg, "220 fake ESMTP");
}

static inline void
fake_on_closed(void *arg, const struct fault *why)
{
	struct fake_conn *k = arg;

	(void)why;
	list_remove(&k->link);
	conn_free(&k->conn);
	free(k);
}

static inline void
fake_on_accept(void *arg, int fd, const struct net_addr *peer)
{
	static const struct conn_ops ops = {
		.on_ready = fake_on_ready, .on_data = fake_on_data, .on_closed = fake_on_closed
	};
	struct fake_relay *r = arg;
	struct fake_conn *k = MEM_NEW(struct fake_conn);

	(void)peer;
	r->connections++;
	k->relay = r;
	list_push_back(&r->conns, &k->link);
	k->conn = conn_new(r->loop, fd, &ops, k, NULL);
}

static inline void
fake_relay_up(struct fake_relay *r)
{
	static const struct listener_ops ops = { .on_accept = fake_on_accept };
	struct net_addr at;
	struct fault f = { 0 };
	char text[32];
	int fd;

	snprintf(text, sizeof(text), "127.0.0.1:%u", r->port);
	ASSERT(net_addr_parse(str_from(text), &at, &f) == RC_OK);
	struct listener_opts opts = { 0 };
	ASSERT(listener_open(&at, &opts, &fd, &f) == RC_OK);
	ASSERT(listener_local_addr(fd, &at));
	r->port = at.port;
	r->listener = listener_new(r->loop, fd, &ops, r);
}

/* Takes no more connections; with `cut` those it has are reset. */
static inline void
fake_relay_down(struct fake_relay *r, bool cut)
{
	struct fake_conn *k;

	listener_free(&r->listener);
	LIST_FOREACH(k, &r->conns, struct fake_conn, link) {
		if (cut)
			conn_abort(k->conn);
	}
}

static inline void
fake_relay_init(struct fake_relay *r, struct loop *loop, struct ledger *ledger)
{
	*r = (struct fake_relay){ .loop = loop, .ledger = ledger };
	list_init(&r->conns);
	fake_relay_up(r);
}

static inline void
fake_relay_done(struct fake_relay *r)
{
	struct fake_conn *k;

	listener_free(&r->listener);
	LIST_FOREACH(k, &r->conns, struct fake_conn, link) {
		list_remove(&k->link);
		conn_free(&k->conn);
		free(k);
	}
}

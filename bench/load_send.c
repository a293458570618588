/* Sessions on one epoll.
 *
 * A session walks through the steps below; each waits for `owed` replies. Envelope and DATA go out
 * together, as Posthouse itself does; a server without PIPELINING is not for us.
 *
 * Closed loop: a session that is ready takes the next message at once. Open loop (`rate`): message
 * n is due at start + n / rate, whatever became of those before; it goes to a ready session, or
 * waits for one with its due time unchanged, so that a server which stalls cannot hide it. */
#include "load_send.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "load.h"
#include "load_http.h"
#include "load_wire.h"

enum step { GREETING, EHLO, STARTTLS, AUTH, READY, ENVELOPE, DATA, DOT, QUIT, CLOSED };

struct session {
	struct load_wire wire;
	enum step step;
	unsigned owed; /* replies until the step is over */
	bool pipelining;
	bool offers_tls;
	bool was_refused; /* some reply of this transaction */
	uint64_t serial;  /* the message under way */
	uint64_t sent;    /* messages over this connection */
};

struct sender {
	struct load *load;
	int epoll;
	int timer;
	SSL_CTX *tls;
	struct session *sessions;
	struct session **ready; /* stack */
	size_t n_ready;
	uint64_t n_open; /* sessions not CLOSED */
	char *filler;    /* lines of content */
	char login[1024];
};

static void
expect(struct session *s, enum step step, unsigned owed)
{
	s->step = step;
	s->owed = owed;
}

/* ---- connections ---- */

static bool
is_over(const struct sender *r)
{
	const struct load *l = r->load;

	return l->begun >= l->opts.messages ||
	       (l->opts.behind > 0 && atomic_load(&l->strangers) >= l->opts.behind);
}

static void
close_session(struct sender *r, struct session *s)
{
	load_wire_done(&s->wire);
	s->step = CLOSED;
	r->n_open--;
}

/* ---- messages ---- */

static void
send_envelope(struct sender *r, struct session *s)
{
	const struct load_opts *o = &r->load->opts;
	struct load_buf *b = &s->wire.out;

	load_buf_addf(b, "MAIL FROM:<%s>\r\n", o->from);
	for (uint64_t i = 0; i < o->rcpts; i++)
		if (i == 0)
			load_buf_addf(b, "RCPT TO:<%s%llu@bench.example>\r\n", o->prefix,
			    (unsigned long long)s->serial);
		else
			load_buf_addf(b, "RCPT TO:<%s%llu.%llu@bench.example>\r\n", o->prefix,
			    (unsigned long long)s->serial, (unsigned long long)i);
	load_buf_addf(b, "DATA\r\n");
	expect(s, ENVELOPE, (unsigned)o->rcpts + 2);
}

static void
send_content(struct sender *r, struct session *s)
{
	const struct load_opts *o = &r->load->opts;
	struct load_buf *b = &s->wire.out;
	size_t before = b->end - b->start;

	load_buf_addf(b,
	    "From: <%s>\r\nTo: <%s%llu@bench.example>\r\nSubject: Message %llu\r\n"
	    "Message-ID: <%llu.%s.%lld@load.bench.example>\r\n"
	    "Date: Mon, 23 Nov 2026 08:00:00 +0000\r\n",
	    o->from, o->prefix, (unsigned long long)s->serial, (unsigned long long)s->serial,
	    (unsigned long long)s->serial, o->prefix, (long long)r->load->began_us);
	if (o->header != NULL)
		load_buf_addf(b, "%s\r\n", o->header);
	load_buf_addf(b, "\r\n");
	size_t head = b->end - b->start - before;
	if (o->size > head) {
		size_t n = o->size - head;
		load_buf_add(b, r->filler, r->filler[n - 1] == '\r' ? n - 1 : n);
	}
	load_buf_addf(b, "\r\n.\r\n");
	expect(s, DOT, 1);
}

static void
begin_message(struct sender *r, struct session *s)
{
	struct load *l = r->load;

	s->serial = l->begun++;
	s->was_refused = false;
	if (l->opts.rate <= 0)
		l->marks[s->serial].due_us = load_now_us();
	if (l->opts.key != NULL) {
		load_http_request(&s->wire.out, &l->opts, s->serial, r->filler);
		expect(s, DOT, 1);
	} else {
		send_envelope(r, s);
	}
}

/* The session has nothing to do: the next message, a quiet wait, or goodbye. */
static void
be_ready(struct sender *r, struct session *s)
{
	const struct load_opts *o = &r->load->opts;

	if (o->idle_s > 0) {
		expect(s, READY, 0);
		r->load->held++;
	} else if (is_over(r) || (o->per_connection > 0 && s->sent >= o->per_connection)) {
		if (o->key == NULL)
			load_buf_addf(&s->wire.out, "QUIT\r\n");
		expect(s, QUIT, 1);
	} else if (o->rate > 0) {
		expect(s, READY, 0);
		r->ready[r->n_ready++] = s;
	} else {
		begin_message(r, s);
	}
}

static void
open_session(struct sender *r, struct session *s)
{
	const struct sockaddr_in *to = &r->load->opts.to;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		load_die("socket: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)(const void *)to, sizeof(*to)) != 0 &&
	    errno != EINPROGRESS)
		load_die("connect: %s", strerror(errno));
	*s = (struct session){ 0 };
	load_wire_init(&s->wire, fd, r->epoll, s);
	if (r->load->opts.tls == LOAD_TLS_IMPLICIT)
		load_wire_secure(&s->wire, r->tls);
	r->n_open++;
	if (r->load->opts.key != NULL)
		be_ready(r, s);
	else
		expect(s, GREETING, 1);
}

static void
message_done(struct sender *r, struct session *s, bool accepted)
{
	struct load *l = r->load;

	s->sent++;
	if (accepted) {
		l->accepted++;
		l->marks[s->serial].accepted_us = load_now_us();
	} else {
		l->refused++;
	}
	be_ready(r, s);
}

/* ---- replies ---- */

static void
say_hello(struct session *s)
{
	load_buf_addf(&s->wire.out, "EHLO load.bench.example\r\n");
	expect(s, EHLO, 1);
}

static void
after_hello(struct sender *r, struct session *s)
{
	const struct load_opts *o = &r->load->opts;

	if (!s->pipelining)
		load_die("the server does not offer PIPELINING");
	if (o->tls == LOAD_TLS_STARTTLS && s->wire.ssl == NULL) {
		if (!s->offers_tls)
			load_die("the server does not offer STARTTLS");
		load_buf_addf(&s->wire.out, "STARTTLS\r\n");
		expect(s, STARTTLS, 1);
	} else if (o->user != NULL) {
		load_buf_addf(&s->wire.out, "AUTH PLAIN %s\r\n", r->login);
		expect(s, AUTH, 1);
	} else {
		be_ready(r, s);
	}
}

/* The last reply a step owed has come. False: the connection is of no more use. */
static bool
step_over(struct sender *r, struct session *s, int code)
{
	switch (s->step) {
	case GREETING: say_hello(s); return code == 220;
	case EHLO: after_hello(r, s); return code == 250;
	case STARTTLS:
		load_wire_secure(&s->wire, r->tls);
		say_hello(s);
		return code == 220;
	case AUTH:
		if (code != 235)
			load_die("the login was refused with %d", code);
		be_ready(r, s);
		return true;
	case ENVELOPE:
		if (code == 354) {
			send_content(r, s);
			return true;
		}
		message_done(r, s, false);
		return false; /* a transaction half open is not worth the trouble of RSET */
	case DOT: message_done(r, s, code == 250); return true;
	case READY:
	case DATA:
	case QUIT:
	case CLOSED: return false;
	}
	return false;
}

static bool
take_line(struct sender *r, struct session *s, const char *line)
{
	if (s->step == EHLO) {
		s->pipelining |= strcasecmp(line + 4, "PIPELINING") == 0;
		s->offers_tls |= strcasecmp(line + 4, "STARTTLS") == 0;
	}
	if (line[3] == '-')
		return true;
	if (s->owed == 0)
		return false; /* 421 out of the blue, or nonsense */
	if (line[0] > '3')
		s->was_refused = true;
	return --s->owed > 0 || step_over(r, s, atoi(line));
}

static void
lose(struct sender *r, struct session *s)
{
	struct load *l = r->load;

	if (s->step != QUIT)
		l->broken++;
	for (size_t i = 0; i < r->n_ready; i++)
		if (r->ready[i] == s)
			r->ready[i--] = r->ready[--r->n_ready];
	close_session(r, s);
	if (l->accepted == 0 && l->broken > 4 * l->opts.connections)
		load_die("the server keeps none of our connections");
	if (l->opts.idle_s == 0 && !is_over(r))
		open_session(r, s);
}

static bool
take_lines(struct sender *r, struct session *s)
{
	bool alive = true;
	char *line;

	while (alive && (line = load_buf_line(&s->wire.in)) != NULL)
		alive = strlen(line) >= 4 && take_line(r, s, line);
	return alive;
}

/* HTTP has no goodbye: a session that is through is just closed. */
static bool
take_answers(struct sender *r, struct session *s)
{
	int status = 0;

	while (s->step == DOT && (status = load_http_answer(&s->wire.in)) > 0)
		message_done(r, s, status / 100 == 2);
	return status >= 0 && s->step != QUIT;
}

static void
on_session(struct sender *r, struct session *s)
{
	bool alive = load_wire_read(&s->wire);

	alive = (r->load->opts.key != NULL ? take_answers(r, s) : take_lines(r, s)) && alive;
	if (!alive || !load_wire_flush(&s->wire, s))
		lose(r, s);
}

/* ---- the loop ---- */

static int64_t
due_us(const struct load *l, uint64_t serial)
{
	return l->began_us + (int64_t)((double)serial * 1e6 / l->opts.rate);
}

/* Gives out what is due and arms the timer for what is next. */
static void
give_out(struct sender *r)
{
	struct load *l = r->load;
	struct itimerspec at = { 0 };
	int64_t now = load_now_us();

	while (r->n_ready > 0 && !is_over(r) && due_us(l, l->begun) <= now) {
		struct session *s = r->ready[--r->n_ready];
		l->marks[l->begun].due_us = due_us(l, l->begun);
		begin_message(r, s);
		if (!load_wire_flush(&s->wire, s))
			lose(r, s);
	}
	if (is_over(r)) {
		while (r->n_ready > 0) {
			struct session *s = r->ready[--r->n_ready];
			be_ready(r, s);
			if (!load_wire_flush(&s->wire, s) || l->opts.key != NULL)
				lose(r, s);
		}
		return;
	}
	int64_t next = due_us(l, l->begun);
	if (next <= now)
		next = now + 1000; /* no session is ready; the one that becomes so looks too */
	at.it_value.tv_sec = next / 1000000;
	at.it_value.tv_nsec = next % 1000000 * 1000;
	timerfd_settime(r->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static void
turn(struct sender *r)
{
	struct epoll_event evs[128];
	int n = epoll_wait(r->epoll, evs, 128, 100);

	for (int i = 0; i < n; i++) {
		if (evs[i].data.ptr == NULL) {
			uint64_t ticks;
			if (read(r->timer, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
				load_die("timer: %s", strerror(errno));
		} else {
			struct session *s = evs[i].data.ptr;
			if (s->step != CLOSED)
				on_session(r, s);
		}
	}
	if (r->load->opts.rate > 0)
		give_out(r);
}

static void
set_up(struct sender *r)
{
	const struct load_opts *o = &r->load->opts;
	struct epoll_event ev = { .events = EPOLLIN };

	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	r->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->timer, &ev) != 0)
		load_die("timer: %s", strerror(errno));
	r->tls = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_mode(r->tls, SSL_MODE_ENABLE_PARTIAL_WRITE |
				     SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				     SSL_MODE_RELEASE_BUFFERS);
	r->filler = malloc(o->size + 80);
	r->sessions = calloc(o->connections, sizeof(*r->sessions));
	r->ready = calloc(o->connections, sizeof(struct session *));
	if (r->tls == NULL || r->filler == NULL || r->sessions == NULL || r->ready == NULL)
		load_die("out of memory");
	for (size_t i = 0; i < o->size; i++) /* in JSON a line end would need an escape */
		r->filler[i] = o->key != NULL ? (char)('a' + i % 26)
			       : i % 78 == 76 ? '\r'
			       : i % 78 == 77 ? '\n'
					      : (char)('a' + i % 26);
	if (o->user != NULL) {
		char plain[512];
		int n = snprintf(plain, sizeof(plain), "%c%s%c%s", 0, o->user, 0, o->password);
		if (n < 0 || (size_t)n >= sizeof(plain))
			load_die("the login is too long");
		EVP_EncodeBlock((unsigned char *)r->login, (const unsigned char *)plain, n);
	}
}

/* Opens connections a few at a time: a listener's backlog is no part of what is measured. */
static void
open_all(struct sender *r, int64_t until_us)
{
	const struct load_opts *o = &r->load->opts;
	const uint64_t step = 256;

	for (uint64_t i = 0; i < o->connections; i++) {
		open_session(r, &r->sessions[i]);
		while (
		    o->idle_s > 0 && r->n_open > r->load->held + step && load_now_us() < until_us)
			turn(r);
	}
}

void
load_send_run(struct load *load)
{
	struct sender r = { .load = load };

	set_up(&r);
	load->began_us = load_now_us();
	int64_t until = load->began_us + (int64_t)load->opts.idle_s * 1000000 + 30000000;
	open_all(&r, until);
	if (load->opts.idle_s > 0) {
		while (load->held + load->broken < load->opts.connections && load_now_us() < until)
			turn(&r);
		/* Whoever started us reads this line, and looks at the server meanwhile. */
		printf("holding %llu\n", (unsigned long long)load->held);
		fflush(stdout);
		until = load_now_us() + (int64_t)load->opts.idle_s * 1000000;
		while (load_now_us() < until)
			turn(&r);
	} else {
		while (r.n_open > 0)
			turn(&r);
	}
	load->ended_us = load_now_us();
	for (uint64_t i = 0; i < load->opts.connections; i++)
		if (r.sessions[i].step != CLOSED)
			close_session(&r, &r.sessions[i]);
	free(r.filler);
	free(r.sessions);
	free(r.ready);
	SSL_CTX_free(r.tls);
	close(r.timer);
	close(r.epoll);
}

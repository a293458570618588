/* Level-triggered epoll: reading is always wanted, writing while something is left in `out`. The
 * handshake of TLS needs no state of its own: SSL_read drives it. A write that TLS wants to make
 * for a read (and the reverse) is rare on loopback and is retried at the next event. */
#include "load_wire.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#define READ_STEP 16384

static char *
reserve(struct load_buf *b, size_t n)
{
	if (b->start == b->end)
		b->start = b->end = 0;
	if (b->cap - b->end < n && b->start > 0) {
		memmove(b->p, b->p + b->start, b->end - b->start);
		b->end -= b->start;
		b->start = 0;
	}
	if (b->cap - b->end < n) {
		b->cap = b->end + n > 2 * b->cap ? b->end + n : 2 * b->cap;
		b->p = realloc(b->p, b->cap);
		if (b->p == NULL)
			load_die("out of memory");
	}
	return b->p + b->end;
}

void
load_buf_add(struct load_buf *b, const char *p, size_t n)
{
	memcpy(reserve(b, n), p, n);
	b->end += n;
}

void
load_buf_addf(struct load_buf *b, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(line))
		load_die("a line is too long: %.60s", line);
	load_buf_add(b, line, (size_t)n);
}

char *
load_buf_line(struct load_buf *b)
{
	char *line = b->p + b->start;
	char *end = b->end > b->start ? memchr(line, '\n', b->end - b->start) : NULL;

	if (end == NULL)
		return NULL;
	b->start = (size_t)(end - b->p) + 1;
	if (end > line && end[-1] == '\r')
		end--;
	*end = 0;
	return line;
}

void
load_wire_init(struct load_wire *w, int fd, int epoll, void *tag)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT, .data.ptr = tag };

	w->fd = fd;
	w->epoll = epoll;
	w->ssl = NULL;
	w->wants_out = true;
	w->in.start = w->in.end = w->out.start = w->out.end = 0;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) != 0)
		load_die("epoll: %s", strerror(errno));
}

void
load_wire_done(struct load_wire *w)
{
	if (w->ssl != NULL) {
		SSL_shutdown(w->ssl);
		SSL_free(w->ssl);
		w->ssl = NULL;
	}
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
	free(w->in.p);
	free(w->out.p);
	w->in = w->out = (struct load_buf){ 0 };
}

void
load_wire_secure(struct load_wire *w, SSL_CTX *ctx)
{
	w->ssl = SSL_new(ctx);
	if (w->ssl == NULL || SSL_set_fd(w->ssl, w->fd) != 1)
		load_die("TLS cannot be set up");
	SSL_set_connect_state(w->ssl);
}

/* > 0: bytes; 0: not now; -1: over. */
static int
verdict(struct load_wire *w, int n)
{
	if (n > 0)
		return n;
	int why = SSL_get_error(w->ssl, n);
	ERR_clear_error();
	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static int
plain_verdict(ssize_t n)
{
	if (n > 0)
		return (int)n;
	return n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN) ? 0 : -1;
}

bool
load_wire_read(struct load_wire *w)
{
	for (;;) {
		char *to = reserve(&w->in, READ_STEP);
		int n = w->ssl != NULL ? verdict(w, SSL_read(w->ssl, to, READ_STEP))
				       : plain_verdict(recv(w->fd, to, READ_STEP, 0));
		if (n < 0)
			return false;
		w->in.end += (size_t)n;
		if (n < READ_STEP && (n == 0 || w->ssl == NULL))
			return true;
	}
}

bool
load_wire_flush(struct load_wire *w, void *tag)
{
	while (w->out.end > w->out.start) {
		const char *p = w->out.p + w->out.start;
		size_t left = w->out.end - w->out.start;
		int some = left > 1 << 20 ? 1 << 20 : (int)left;
		int n = w->ssl != NULL ? verdict(w, SSL_write(w->ssl, p, some))
				       : plain_verdict(send(w->fd, p, (size_t)some, MSG_NOSIGNAL));
		if (n < 0)
			return false;
		if (n == 0)
			break;
		w->out.start += (size_t)n;
	}
	bool wants_out = w->out.end > w->out.start;
	if (wants_out != w->wants_out) {
		struct epoll_event ev = { .events = wants_out ? EPOLLIN | EPOLLOUT : EPOLLIN,
			.data.ptr = tag };
		w->wants_out = wants_out;
		return epoll_ctl(w->epoll, EPOLL_CTL_MOD, w->fd, &ev) == 0;
	}
	return true;
}

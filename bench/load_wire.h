/* A non-blocking connection of the load generator, plain or in TLS, with a buffer each way.
 *
 * Whoever owns it adds to `out`, reads from `in`, and calls load_wire_step when epoll has something
 * to say. Memory that is not there ends the program. */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

struct load_buf {
	char *p;
	size_t start, end, cap;
};

void load_buf_add(struct load_buf *b, const char *p, size_t n);
void load_buf_addf(struct load_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The next line without its end, NUL-terminated in place and taken off; NULL: not there yet. */
char *load_buf_line(struct load_buf *b);

struct load_wire {
	int fd; /* -1: closed */
	int epoll;
	SSL *ssl; /* NULL: plain */
	struct load_buf in, out;
	bool wants_out; /* what epoll was told */
};

/* Takes `fd` (non-blocking) and watches it with `epoll`; events carry `tag`. */
void load_wire_init(struct load_wire *w, int fd, int epoll, void *tag);
/* Closes and frees; harmless when closed. */
void load_wire_done(struct load_wire *w);
/* From here on TLS as the client; nothing may be in the buffers. */
void load_wire_secure(struct load_wire *w, SSL_CTX *ctx);
/* Reads what is there. False: the other side has closed, or an error. */
bool load_wire_read(struct load_wire *w);
/* Writes what it can of `out` and tells epoll what to wait for. False: an error. */
bool load_wire_flush(struct load_wire *w, void *tag);

/* The HTTP server: requests in, answers out, on one loop.
 *
 * A server serves any number of listening sockets, each of one kind: plain, TLS, or the control
 * socket, whose peers are known by their user id. A request is handed to the owner whole: head,
 * then body up to a ceiling. The owner answers it exactly once, at once or later; it may hold as
 * many as it likes meanwhile. One that is not answered in time is answered by the server itself
 * with 503, and the owner's later answer goes nowhere, so an owner need not care.
 *
 * Texts of a request live until it is answered. Loop thread only. HTTP/1.1 (RFC 9112), keep-alive
 * included; HEAD is handed on as it is, and its answer goes out without the body. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/fault.h"
#include "base/str.h"
#include "codec/ip.h"

struct http_server;
struct loop;

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_PATCH,
	HTTP_DELETE,
	HTTP_OTHER, /* see `verb` */
};

enum http_door {
	HTTP_DOOR_PLAIN,
	HTTP_DOOR_TLS,
	HTTP_DOOR_CONTROL, /* a Unix socket: its file's permissions say who may come */
};

struct http_peer {
	enum http_door door;
	struct str text; /* "192.0.2.1", "2001:db8::1" or "unix" */
	struct ip ip;    /* loopback on a Unix socket */
	uint32_t uid;    /* CONTROL: whose process it is (SO_PEERCRED); else UINT32_MAX */
};

struct http_request {
	enum http_method method;
	struct str verb;
	struct str path; /* percent-decoded, without the query; may hold any byte but NUL */
	struct str body; /* empty in on_head */
	struct http_peer peer;
};

typedef void http_request_fn(void *arg, struct http_request *r);

/* Zero means the default. */
struct http_server_opts {
	struct loop *loop;
	/* The head is in, the body is not: may answer now (who is not allowed to send has nothing
	 * read from him); then on_request does not follow. NULL: no such hook. */
	http_request_fn *on_head;
	http_request_fn *on_request;
	void *arg;
	size_t body_max;          /* of one request; 40 MB. More is answered with 413 */
	size_t bodies_max;        /* of all requests together; 256 MB. More is answered with 503 */
	size_t head_max;          /* request line and header; 32 KB. More is answered with 431 */
	unsigned connections_max; /* for each listening socket; 1,000 */
	unsigned idle_s;          /* a connection without traffic is closed then; 60 s */
	int64_t patience_us;      /* a request without an answer gets a 503 then; 30 s */
};

struct http_server *http_server_new(const struct http_server_opts *opts);
/* Answers what is unanswered with 503, closes all connections and listening sockets. Not from
 * inside a callback. Requests that the owner still holds may be answered later, which frees them.
 * Takes NULL; nulls the pointer. */
void http_server_free(struct http_server **s);

/* Serves `fd`, a bound and listening socket, which is the server's from now on, on failure too.
 * `cert` and `key` are PEM texts for TLS and copied, else NULL. RC_TLS: they cannot be used; RC_IO:
 * the system has no more descriptors. */
enum rc http_server_listen(struct http_server *s, int fd, enum http_door door, const char *cert,
    const char *key, struct fault *f);
/* New connections of TLS sockets get this certificate; running ones keep theirs. RC_TLS: it cannot
 * be used and nothing has changed. */
enum rc http_server_set_tls(
    struct http_server *s, const char *cert, const char *key, struct fault *f);
/* Accepts no more connections; those there are go on. */
void http_server_drain(struct http_server *s);

/* The first value of `name` in the query, percent-decoded, or an empty view with p == NULL. */
struct str http_query(const struct http_request *r, const char *name);
/* The values of `name` in turn: start with *at = 0; false after the last. */
bool http_query_next(
    const struct http_request *r, const char *name, size_t *at, struct str *value_out);
/* Every pair of the query in turn. */
bool http_query_each(
    const struct http_request *r, size_t *at, struct str *name_out, struct str *value_out);
/* The first header field of that name, any case, or an empty view with p == NULL. */
struct str http_header(const struct http_request *r, const char *name);

/* One more header field of the answer, before http_answer; at most eight. */
void http_set_header(struct http_request *r, const char *name, struct str value);
/* Answers, and ends the owner's hold on `r`. `type` is the Content-Type, with an empty body it may
 * be NULL. The body is copied. */
void http_answer(struct http_request *r, unsigned status, const char *type, struct str body);

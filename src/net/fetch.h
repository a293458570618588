/* One HTTP request and its answer, blocking; net/fetcher.h is the same on a loop.
 *
 * For programs that have nothing else to do meanwhile: the commands of the terminal. Goes to a TCP
 * address by URL, certificates verified, or over a Unix socket. No redirects are followed, no proxy
 * is used on a Unix socket nor where only public addresses will do, and only http and https are
 * spoken. The calling
 * thread waits until `timeout_us` at most. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/str.h"

struct net_fetch_header {
	const char *name;
	struct str value; /* no control characters */
};

/* Zero means none, or the default. Everything is borrowed for the duration of the call. */
struct net_fetch_request {
	const char *method;      /* "GET" */
	const char *url;         /* percent-encoded */
	const char *unix_socket; /* connect here instead of to the URL's host */
	const char *bearer;      /* Authorization: Bearer ... */
	const char *ca_file;     /* PEM file to trust instead of the system's authorities */
	bool public_only;        /* refuse addresses that not everybody can reach: RC_DENIED */
	struct str type;         /* Content-Type of the body */
	struct str body;         /* sent when p is set, an empty one too */
	const struct net_fetch_header *headers;
	size_t n_headers;
	size_t answer_max;  /* bytes of an answer's body; 64 MB */
	int64_t timeout_us; /* in all; 60 s */
};

/* Any status is an answer: *status_out is its number, and its body is appended to `answer`.
 *
 * RC_NOT_FOUND: there is no such socket. RC_DENIED: the socket may not be used by this user,
 * or the address is not public. RC_CLOSED: nobody listens there. RC_DNS, RC_TLS, RC_TIMEOUT,
 * RC_LIMIT (the answer is too large), RC_INVALID (the URL is none), RC_IO for the rest; nothing is
 * known then about what the server did.
 */
enum rc net_fetch(const struct net_fetch_request *request, unsigned *status_out, struct buf *answer,
    struct fault *f);

/* Appends `s` percent-encoded, so that it may stand as one segment of a path or one value of a
 * query (RFC 3986 §2.3). */
void net_fetch_encode(struct buf *b, struct str s);

/* Handing one message to the service by SMTP, blocking.
 *
 * For local programs whose user may not use the control socket: loopback is a trusted network, so
 * no login is needed. */
#pragma once

#include <stddef.h>

#include "base/fault.h"
#include "base/str.h"

struct cli_submit {
	struct str server;   /* ADDRESS:PORT */
	struct str hostname; /* for EHLO */
	struct str sender;   /* without angle brackets; empty: the null sender */
	const struct str *rcpts;
	size_t n_rcpts;
	struct str content; /* with CRLF line ends, the last line too */
	/* DSN (RFC 3461), each empty where it was not asked for. */
	struct str notify;
	struct str ret;
	struct str envid;
};

/* RC_OK: kept, for all recipients. RC_DENIED: refused for good, the fault quotes the reply.
 * RC_AGAIN: refused for now. RC_CLOSED, RC_TIMEOUT, RC_IO: no conversation came about or it broke
 * off; RC_INVALID: the server's address is none, or a text cannot be part of a command. */
enum rc cli_submit(const struct cli_submit *s, struct fault *f);

/* A connected socket, for the caller to close. RC_CLOSED: nobody listens; RC_INVALID. */
enum rc cli_submit_open(struct str server, int *fd_out, struct fault *f);

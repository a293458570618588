/* The server that a person means by --host, --port and --tls.
 *
 * People paste what their provider's page says: "smtps://smtp.example.com:465/", "smtp.example.com
 * 587". Such slips are not guessed away, they are explained with the options that were meant. What
 * is left out is filled in by the field's customs (RFC 8314): 465 is implicit TLS, 587 STARTTLS. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/str.h"

struct cli_host {
	struct str host;
	uint16_t port;   /* 0: not given */
	const char *tls; /* "implicit", "starttls", "none"; NULL: not given */
};

/* Reads the three options, each NULL where it was not given. RC_INVALID: the fault names what to
 * write instead. */
enum rc cli_host_parse(
    const char *host, const char *port, const char *tls, struct cli_host *out, struct fault *f);
/* Fills in what is missing: port by TLS, TLS by port, implicit TLS where neither is there.
 * RC_INVALID: the port says nothing about TLS. */
enum rc cli_host_complete(struct cli_host *h, struct fault *f);

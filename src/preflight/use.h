/* What a relay is asked to carry: read from the store by the service, or said on the command line.
 * The preflight compares it with what the server offers. All views are borrowed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* A sender and how much it sends; an empty address is the null sender. */
struct preflight_identity {
	struct str address;
	uint64_t count;
};

struct preflight_use {
	bool is_known;         /* false: nothing is known, and nothing below counts */
	bool is_sample;        /* only the newest messages were looked at */
	uint64_t messages;     /* of the last 30 days and in the queue */
	uint64_t queued;       /* recipients that wait now */
	uint64_t max_bytes;    /* of the largest message */
	uint32_t max_rcpts;    /* of one message */
	uint64_t eight_bit;    /* messages that need 8BITMIME */
	uint64_t utf8;         /* ... SMTPUTF8 */
	uint64_t dsn;          /* ... that ask for delivery reports */
	uint64_t busiest_hour; /* recipients sent */
	uint64_t busiest_day;
	const struct preflight_identity *identities; /* the busiest first */
	size_t n_identities;
};

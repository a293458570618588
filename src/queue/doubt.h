/* What becomes of a recipient whose message may or may not have arrived: the reply to the final dot
 * was lost.
 *
 * SMTP cannot tell (RFC 1047), so a policy decides. A second doubt, or a deadline reached in doubt,
 * ends as *unknown*: never repeated again, never reported as failed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "mail/stream.h"

enum queue_doubt_policy {
	QUEUE_DOUBT_AT_LEAST_ONCE, /* repeat soon: a code that comes twice is better than none */
	QUEUE_DOUBT_AT_MOST_ONCE,  /* never repeat by itself: a person may decide */
	QUEUE_DOUBT_BALANCED,      /* give evidence a quarter of an hour, then repeat once */
};
#define QUEUE_DOUBT_POLICY_COUNT 3

/* "at-least-once", "at-most-once", "balanced". Never NULL. */
const char *queue_doubt_name(enum queue_doubt_policy p);
/* False, *out untouched, when `name` (any case) is none of them. */
bool queue_doubt_parse(struct str name, enum queue_doubt_policy *out);
/* At least once for transactional mail, at most once for bulk. */
enum queue_doubt_policy queue_doubt_default(enum stream lane);

struct queue_doubt {
	enum queue_doubt_policy policy;
	unsigned doubts;     /* so far, this one included: 1 or more */
	int64_t since_us;    /* when this doubt arose */
	int64_t deadline_us; /* the recipient's; TIME_NEVER: none */
};

enum queue_doubt_step { QUEUE_DOUBT_HOLD, QUEUE_DOUBT_REPEAT, QUEUE_DOUBT_UNKNOWN };

struct queue_doubt_verdict {
	enum queue_doubt_step step;
	/* REPEAT: when; in the past after a restart that took longer. HOLD: when to ask again,
	 * TIME_NEVER when only evidence or a person can settle it. UNKNOWN: 0. */
	int64_t at_us;
};

struct queue_doubt_verdict queue_doubt_decide(const struct queue_doubt *d, int64_t now_us);

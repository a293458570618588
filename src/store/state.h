/* What has become of a recipient. The numbers are kept on disk and never change their meaning.
 *
 * The first four are open: the recipient still counts as queued, in doubt or captured. The others
 * are final; one of them is where every recipient ends (promise P1: accepted + generated = the sum
 * of all of these). */
#pragma once

#include <stdbool.h>

#include "base/str.h"

enum store_state {
	STORE_QUEUED = 0,     /* waits, or is being sent */
	STORE_IN_DOUBT = 1,   /* the reply to the final dot was lost; not settled yet */
	STORE_HELD = 2,       /* set aside by an operator; counts as queued */
	STORE_CAPTURED = 3,   /* kept and shown, never sent unless released */
	STORE_SENT = 4,       /* the next server accepted it */
	STORE_BOUNCED = 5,    /* refused for good */
	STORE_EXPIRED = 6,    /* its time ran out */
	STORE_FAILED = 7,     /* given up for a reason of our own */
	STORE_CANCELLED = 8,  /* taken back */
	STORE_SUPPRESSED = 9, /* the address is not to be mailed */
	STORE_UNKNOWN = 10,   /* a doubt that nothing settled */
};
#define STORE_STATE_COUNT 11

static inline bool
store_state_is_final(enum store_state s)
{
	return s >= STORE_SENT;
}

/* "queued", "in_doubt" ... "unknown". Never NULL. */
const char *store_state_name(enum store_state s);
/* False, *out untouched, when `name` (lower case, '_' or '-') is none of them. */
bool store_state_parse(struct str name, enum store_state *out);

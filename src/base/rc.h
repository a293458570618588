/* The closed list of ways in which a call of ours can fail.
 *
 * What the other side of a conversation decided (an SMTP reply, a delivery outcome) is a value,
 * never one of these. The enum is must-use: ignoring a returned rc does not compile. Detail travels
 * in `struct fault` (base/fault.h). */
#pragma once

#include "base/compiler.h"

enum NODISCARD rc {
	RC_OK = 0,
	RC_AGAIN,   /* not now: the same call will work later */
	RC_DONE,    /* nothing more will come: end of file, end of a list */
	RC_INVALID, /* the input breaks its grammar or rules */
	RC_NOT_FOUND,
	RC_EXISTS,
	RC_LIMIT,  /* a size, count or rate limit is reached */
	RC_DENIED, /* policy says no */
	RC_TIMEOUT,
	RC_CLOSED, /* the peer or the owner closed it */
	RC_IO,     /* disk or socket error; errno in the fault */
	RC_TLS,
	RC_DNS,
	RC_DB,
	RC_CANCELLED,
};

/* Lower-case name of `rc` for logs and JSON, such as "not_found". Never NULL. */
const char *rc_name(enum rc rc);

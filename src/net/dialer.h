/* A connected socket to a host, by whichever of its addresses answers first (RFC 8305).
 *
 * The host's IPv6 and IPv4 addresses are tried in turn, the next one 250 ms after the last or as
 * soon as that failed; the first to connect wins and the rest are dropped. A family that failed
 * where the other worked goes last for five minutes. One dialer a loop. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/fault.h"
#include "base/str.h"
#include "loop/loop.h"
#include "net/addr.h"
#include "net/resolver.h"

struct dialer;
struct dial;

/* One address that was tried. */
struct dial_try {
	struct net_addr addr;
	int sys_errno; /* 0: connected, or dropped because another one won; ETIMEDOUT */
	int64_t took_us;
};

struct dial_result {
	int fd;               /* connected, non-blocking, now the owner's; -1: failed */
	struct net_addr addr; /* connected to */
	/* when it failed: RC_NOT_FOUND no such host; RC_DNS could not be looked up; RC_TIMEOUT;
	 * RC_IO: the text lists each address and why */
	const struct fault *fault;
	const struct dial_try *tries; /* in the order started */
	size_t try_count;
};

/* Exactly once, from the loop. The result is valid during the call. */
typedef void dial_fn(void *arg, const struct dial_result *result);

/* Zero stands for the default. */
struct dial_opts {
	int64_t address_timeout_us; /* for one address; 30 s */
	int64_t total_timeout_us;   /* for everything, looking up included; 60 s */
	int64_t stagger_us;         /* 250 ms */
};

/* `resolver` outlives the dialer; NULL: literals only. */
struct dialer *dialer_new(struct loop *loop, struct resolver *resolver);
/* Dials still running are cancelled, their handles are gone. */
void dialer_free(struct dialer **d);

/* Connects to `host` (a name, an IP literal with or without brackets, or an absolute path of a Unix
 * socket) and `port`. `opts` may be NULL. The handle is valid until the callback begins. */
struct dial *dialer_dial(struct dialer *d, struct str host, uint16_t port,
    const struct dial_opts *opts, dial_fn *on_done, void *arg);
/* No callback from now on. Takes NULL, nulls the pointer. */
void dialer_cancel(struct dial **dp);

/* Listening sockets, and connections accepted from them on a loop.
 *
 * Sockets are opened (or inherited from a supervisor) first, while the process still may; each is
 * then given to a listener on the loop that serves it. For one address several loops each open
 * their own socket with `is_shared` (SO_REUSEPORT: the kernel spreads connections over them); a
 * Unix or inherited socket is shared by giving every loop a dup() of it.
 *
 * Out of descriptors is not an error: accepting pauses for a moment and the connections wait. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/fault.h"
#include "loop/loop.h"
#include "net/addr.h"

struct listener;

struct listener_ops {
	/* A new connection; `fd` is non-blocking and now the owner's. */
	void (*on_accept)(void *arg, int fd, const struct net_addr *peer);
	/* Accepting paused for 100 ms: no descriptors or memory. At most once a second. May be
	 * NULL. */
	void (*on_stalled)(void *arg, const struct fault *why);
};

struct listener_opts {
	bool is_shared;     /* SO_REUSEPORT */
	int backlog;        /* 0: 1024 */
	unsigned unix_mode; /* permissions of a Unix socket; 0: 0600 */
};

/* A bound, listening, non-blocking socket. Port 0 takes any free one: see listener_local_addr. An
 * IPv6 address listens to IPv6 only. A Unix socket that nobody answers on is replaced. RC_EXISTS
 * when somebody else listens there, RC_DENIED without the right to, else RC_IO; the fault says what
 * to do. */
enum rc listener_open(
    const struct net_addr *at, const struct listener_opts *opts, int *fd_out, struct fault *f);
/* What a socket is bound to; false for something that is no listening socket. */
bool listener_local_addr(int fd, struct net_addr *out);

struct listener_inherited {
	int fd;
	struct net_addr addr;
	char name[32]; /* from LISTEN_FDNAMES, "" where absent */
};

/* Sockets handed over by the supervisor (LISTEN_PID, LISTEN_FDS: sd_listen_fds(3)): fills up to
 * `max` and returns how many. Those beyond `max`, or not listening stream sockets, are closed. The
 * variables are removed, so a second call gives 0. Before threads. */
size_t listener_inherit(struct listener_inherited *out, size_t max);

/* Accepts on `fd`, which it takes over. */
struct listener *listener_new(struct loop *loop, int fd, const struct listener_ops *ops, void *arg);
/* Stops and closes. From inside a callback too. */
void listener_free(struct listener **l);
/* Stops accepting for now; connections wait in the backlog. */
void listener_pause(struct listener *l);
void listener_resume(struct listener *l);

/* Accepting in batches: up to 64 connections a turn, so that a flood of new ones does not starve
 * those that are being talked to.
 *
 * Without descriptors or memory, accept fails while the connection stays in the backlog, and the
 * socket stays readable: watching on would spin. So accepting rests for 100 ms and tries again. */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/private.h"

#define LISTENER_MAGIC  0x11573ae2u
#define BATCH           64
#define BACKLOG         1024
#define STALL_US        MS(100)
#define STALL_REPORT_US SECONDS(1)
#define FIRST_FD        3 /* SD_LISTEN_FDS_START */

/* ---- opening ---- */

/* Why `at` could not be listened on, from errno. */
static enum rc
refuse(const struct net_addr *at, struct fault *f)
{
	char text[NET_ADDR_TEXT_SIZE];

	net_addr_format(at, text);
	switch (errno) {
	case EADDRINUSE:
		return fault_sys(f, RC_EXISTS,
		    "cannot listen on %s: another program does (find it with: ss -ltnp)", text);
	case EACCES:
	case EPERM:
		return fault_sys(f, RC_DENIED,
		    "cannot listen on %s: not allowed (ports below 1024 need CAP_NET_BIND_SERVICE "
		    "or socket activation)",
		    text);
	case EADDRNOTAVAIL:
		return fault_sys(
		    f, RC_IO, "cannot listen on %s: no such address on this machine", text);
	default: return fault_sys(f, RC_IO, "cannot listen on %s", text);
	}
}

/* Removes a socket file that nobody answers on any more. Leaves anything else for bind to fail on.
 */
static void
remove_stale(const struct net_addr *at)
{
	struct stat st;

	if (stat(at->path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return;
	int fd = net_addr_socket(at);
	if (fd < 0)
		return;
	if (net_addr_connect(fd, at) != 0 && errno == ECONNREFUSED)
		(void)unlink(at->path);
	close(fd);
}

static bool
bind_unix(int fd, const struct net_addr *at, unsigned mode)
{
	remove_stale(at);
	/* The permissions a socket file is born with, without a moment in which it has others. */
	if (fchmod(fd, mode) != 0 || net_addr_bind(fd, at) != 0)
		return false;
	return chmod(at->path, mode) == 0;
}

static bool
bind_ip(int fd, const struct net_addr *at, bool is_shared)
{
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
		return false;
	if (is_shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
		return false;
	if (at->family == NET_IP6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0)
		return false;
	return net_addr_bind(fd, at) == 0;
}

enum rc
listener_open(
    const struct net_addr *at, const struct listener_opts *opts, int *fd_out, struct fault *f)
{
	static const struct listener_opts defaults;
	const struct listener_opts *o = opts != NULL ? opts : &defaults;
	int fd = net_addr_socket(at);

	if (fd < 0)
		return refuse(at, f);
	bool ok = at->family == NET_UNIX
		      ? bind_unix(fd, at, o->unix_mode != 0 ? o->unix_mode : 0600)
		      : bind_ip(fd, at, o->is_shared);
	if (!ok || listen(fd, o->backlog != 0 ? o->backlog : BACKLOG) != 0) {
		enum rc rc = refuse(at, f);
		close(fd);
		return rc;
	}
	*fd_out = fd;
	return RC_OK;
}

static bool
is_listening(int fd)
{
	int type = 0, listening = 0;
	socklen_t n = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) != 0 || type != SOCK_STREAM)
		return false;
	n = sizeof(listening);
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) == 0 && listening != 0;
}

bool
listener_local_addr(int fd, struct net_addr *out)
{
	return is_listening(fd) && net_addr_of_socket(fd, out);
}

/* ---- inheriting ---- */

static uint64_t
env_number(const char *name)
{
	uint64_t n = 0;

	if (str_to_u64(str_from(getenv(name)), &n) != RC_OK)
		return 0;
	return n;
}

size_t
listener_inherit(struct listener_inherited *out, size_t max)
{
	uint64_t given = env_number("LISTEN_FDS");
	struct str names = str_from(getenv("LISTEN_FDNAMES"));
	size_t count = 0;

	if (env_number("LISTEN_PID") != (uint64_t)getpid() || given > 1024)
		given = 0;
	for (int fd = FIRST_FD; fd < FIRST_FD + (int)given; fd++) {
		struct listener_inherited in = { .fd = fd };
		struct str name = { 0 };
		(void)str_cut(&names, ':', &name);
		snprintf(in.name, sizeof(in.name), "%.*s", STR_ARG(name));
		if (count == max || !listener_local_addr(fd, &in.addr)) {
			close(fd);
			continue;
		}
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		out[count++] = in;
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return count;
}

/* ---- accepting ---- */

struct listener {
	uint32_t magic;
	struct loop *loop;
	int fd; /* -1: freed, memory goes at the tail */
	const struct listener_ops *ops;
	void *arg;
	bool is_paused; /* by the owner */
	struct loop_watch watch;
	struct loop_timer stall; /* set: accepting rests */
	struct loop_task bury;
	int64_t reported_at_us; /* last on_stalled */
};

static void
update_watch(struct listener *l)
{
	bool on = !l->is_paused && !loop_timer_is_set(&l->stall);

	loop_watch_set(&l->watch, on ? LOOP_READ : 0);
}

static void
stall(struct listener *l)
{
	struct fault why = { 0 };
	int64_t now = loop_now_us(l->loop);

	(void)fault_sys(&why, RC_LIMIT, "cannot accept connections for now");
	loop_timer_set(l->loop, &l->stall, now + STALL_US);
	update_watch(l);
	if (l->ops->on_stalled == NULL || now - l->reported_at_us < STALL_REPORT_US)
		return;
	l->reported_at_us = now;
	l->ops->on_stalled(l->arg, &why);
}

static void
on_stall_over(void *arg)
{
	struct listener *l = FROM_ARG(struct listener, arg, LISTENER_MAGIC);

	update_watch(l);
}

static void
on_watch(void *arg, unsigned what)
{
	struct listener *l = FROM_ARG(struct listener, arg, LISTENER_MAGIC);

	(void)what;
	for (int i = 0; i < BATCH && l->fd >= 0 && !l->is_paused; i++) {
		struct net_addr peer;
		int fd = net_addr_accept(l->fd, &peer);
		if (fd >= 0) {
			l->ops->on_accept(l->arg, fd, &peer);
			continue;
		}
		if (errno == EAGAIN)
			return;
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			stall(l);
			return;
		}
		/* Anything else is the fault of that one connection, which is gone (accept(2)). */
	}
}

static void
bury(void *arg)
{
	struct listener *l = FROM_ARG(struct listener, arg, LISTENER_MAGIC);

	l->magic = 0;
	free(l);
}

struct listener *
listener_new(struct loop *loop, int fd, const struct listener_ops *ops, void *arg)
{
	struct listener *l = MEM_NEW(struct listener);

	l->magic = LISTENER_MAGIC;
	l->loop = loop;
	l->fd = fd;
	l->ops = ops;
	l->arg = arg;
	l->reported_at_us = loop_now_us(loop) - STALL_REPORT_US;
	loop_watch_init(&l->watch, loop, fd, on_watch, l);
	loop_timer_init(&l->stall, on_stall_over, l);
	loop_task_init(&l->bury, bury, l);
	update_watch(l);
	return l;
}

void
listener_free(struct listener **lp)
{
	struct listener *l = *lp;

	if (l == NULL)
		return;
	*lp = NULL;
	loop_watch_done(&l->watch);
	loop_timer_cancel(l->loop, &l->stall);
	close(l->fd);
	l->fd = -1;
	loop_defer(l->loop, &l->bury);
}

void
listener_pause(struct listener *l)
{
	l->is_paused = true;
	update_watch(l);
}

void
listener_resume(struct listener *l)
{
	l->is_paused = false;
	update_watch(l);
}

/* A signalfd watched like any other descriptor. */
#include "loop/signal.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

#define SIGNAL_MAGIC 0x51960a1cu

struct loop_signal {
	uint32_t magic;
	int fd;
	struct loop_watch watch;
	loop_signal_fn *on_signal;
	void *arg;
};

static sigset_t
the_three(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	return set;
}

void
loop_signal_block(void)
{
	sigset_t set = the_three();
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	int rc = pthread_sigmask(SIG_BLOCK, &set, NULL);
	ASSERT(rc == 0);
	rc = sigaction(SIGPIPE, &ignore, NULL);
	ASSERT(rc == 0);
}

/* One signal a call: the watch is level-triggered and calls again for the next, and a callback that
 * frees us may do so. */
static void
on_ready(void *arg, unsigned what)
{
	struct loop_signal *s = FROM_ARG(struct loop_signal, arg, SIGNAL_MAGIC);
	struct signalfd_siginfo info;

	(void)what;
	if (read(s->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		s->on_signal(s->arg, (int)info.ssi_signo);
}

struct loop_signal *
loop_signal_new(struct loop *loop, loop_signal_fn *on_signal, void *arg)
{
	struct loop_signal *s = MEM_NEW(struct loop_signal);
	sigset_t set = the_three();

	s->magic = SIGNAL_MAGIC;
	s->on_signal = on_signal;
	s->arg = arg;
	s->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	ASSERT(s->fd >= 0);
	loop_watch_init(&s->watch, loop, s->fd, on_ready, s);
	loop_watch_set(&s->watch, LOOP_READ);
	return s;
}

void
loop_signal_free(struct loop_signal **sp)
{
	struct loop_signal *s = *sp;

	if (s == NULL)
		return;
	*sp = NULL;
	loop_watch_done(&s->watch);
	close(s->fd);
	s->magic = 0;
	free(s);
}

/* pthread_create with a name and every signal blocked from the first instruction on. */
#include "loop/thread.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

struct loop_thread {
	pthread_t id;
	char name[16];
	loop_thread_fn *fn;
	void *arg;
};

static void *
thread_main(void *arg)
{
	struct loop_thread *t = arg;

	/* The name is for people; a system without names loses nothing else. */
	(void)pthread_setname_np(pthread_self(), t->name);
	t->fn(t->arg);
	return NULL;
}

struct loop_thread *
loop_thread_start(const char *name, loop_thread_fn *fn, void *arg)
{
	struct loop_thread *t = MEM_NEW(struct loop_thread);
	sigset_t all, before;

	t->fn = fn;
	t->arg = arg;
	snprintf(t->name, sizeof(t->name), "%.15s", name);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&t->id, NULL, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	ASSERT(rc == 0);
	return t;
}

void
loop_thread_join(struct loop_thread **tp)
{
	struct loop_thread *t = *tp;

	if (t == NULL)
		return;
	*tp = NULL;
	int rc = pthread_join(t->id, NULL);
	ASSERT(rc == 0);
	free(t);
}

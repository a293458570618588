/* Turns on top of libevent.
 *
 * libevent waits and reports readiness; everything else is ours. Timers live in a heap with a
 * single libevent alarm for the earliest. The alarm is moved only when something becomes due before
 * it: a deadline that is pushed back again and again (every SMTP reply does that) costs a heap
 * move, and now and then a turn that finds nothing due.
 *
 * The base is made without locks (one thread) and never with the changelist, which loses track of
 * descriptors that are closed and reused within a turn. Each watch has its own event for reading
 * and for writing, so that switching one is one epoll_ctl.
 *
 * Removing an event takes it off libevent's queue of active ones, which is why a watch that is done
 * is never called for what had been found ready before. Timers, tasks and hooks are unlinked one at
 * a time before each is called, which gives the same promise for them. */
#include "loop/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

#define WATCH_MAGIC 0x3a7c4e11u
#define LOOP_MAGIC  0x5e1f00d5u

struct loop {
	uint32_t magic;
	struct event_base *base;
	int alarm_fd; /* timerfd */
	struct event *alarm;
	int64_t alarm_at_us; /* when it rings; TIME_NEVER: it does not */
	struct heap timers;
	struct list tasks;
	struct list hooks;
	size_t watch_count;
	int64_t now_us; /* valid while is_now_known */
	bool is_now_known;
	bool is_running;
	bool is_stopping;
	bool is_in_timers;
	char *scratch;
};

static void
on_alarm(evutil_socket_t fd, short what, void *arg)
{
	struct loop *loop = FROM_ARG(struct loop, arg, LOOP_MAGIC);
	uint64_t rings;
	ssize_t n = read(fd, &rings, sizeof(rings));

	(void)what;
	ASSERT(n == (ssize_t)sizeof(rings) || errno == EAGAIN);
	loop->alarm_at_us = TIME_NEVER;
}

struct loop *
loop_new(void)
{
	struct loop *loop = MEM_NEW(struct loop);
	struct event_config *config = event_config_new();

	ASSERT(config != NULL);
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	loop->magic = LOOP_MAGIC;
	loop->base = event_base_new_with_config(config);
	event_config_free(config);
	ASSERT(loop->base != NULL);
	loop->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	ASSERT(loop->alarm_fd >= 0);
	loop->alarm = event_new(loop->base, loop->alarm_fd, EV_READ | EV_PERSIST, on_alarm, loop);
	ASSERT(loop->alarm != NULL);
	int rc = event_add(loop->alarm, NULL);
	ASSERT(rc == 0);
	loop->alarm_at_us = TIME_NEVER;
	heap_init(&loop->timers);
	list_init(&loop->tasks);
	list_init(&loop->hooks);
	loop->scratch = mem_realloc(NULL, LOOP_SCRATCH_BYTES);
	return loop;
}

static struct list *
pop_front(struct list *head)
{
	struct list *link = head->next;

	list_remove(link);
	return link;
}

/* Runs what is queued now; what these tasks defer waits for the next turn. */
static void
run_tasks(struct loop *loop)
{
	struct list batch;

	list_init(&batch);
	list_splice_back(&batch, &loop->tasks);
	while (!list_is_empty(&batch)) {
		struct loop_task *t = CONTAINER_OF(pop_front(&batch), struct loop_task, link);
		t->run(t->arg);
	}
}

void
loop_free(struct loop **lp)
{
	struct loop *loop = *lp;

	if (loop == NULL)
		return;
	ASSERT(!loop->is_running);
	*lp = NULL;
	while (!list_is_empty(&loop->tasks))
		run_tasks(loop);
	while (!list_is_empty(&loop->hooks))
		pop_front(&loop->hooks);
	ASSERT(loop->watch_count == 0);
	heap_done(&loop->timers);
	event_free(loop->alarm);
	close(loop->alarm_fd);
	event_base_free(loop->base);
	free(loop->scratch);
	loop->magic = 0;
	free(loop);
}

int64_t
loop_now_us(struct loop *loop)
{
	if (!loop->is_now_known || !loop->is_running) {
		loop->now_us = clock_monotonic_us();
		loop->is_now_known = true;
	}
	return loop->now_us;
}

char *
loop_scratch(struct loop *loop)
{
	return loop->scratch;
}

/* Makes the wait end in time for the earliest timer. */
static void
arm_alarm(struct loop *loop)
{
	const struct heap_node *first = heap_first(&loop->timers);

	if (first == NULL || first->key >= loop->alarm_at_us)
		return;
	int64_t at_us = first->key > 0 ? first->key : 1; /* 0 would disarm */
	const struct itimerspec at = {
		.it_value = { .tv_sec = at_us / SECONDS(1), .tv_nsec = at_us % SECONDS(1) * 1000 },
	};
	int rc = timerfd_settime(loop->alarm_fd, TFD_TIMER_ABSTIME, &at, NULL);
	ASSERT(rc == 0);
	loop->alarm_at_us = first->key;
}

static void
run_timers(struct loop *loop)
{
	struct heap_node *first = heap_first(&loop->timers);

	if (first == NULL || first->key > loop_now_us(loop))
		return;
	loop->is_in_timers = true;
	do {
		struct loop_timer *t = CONTAINER_OF(first, struct loop_timer, node);
		heap_remove(&loop->timers, first);
		t->on_due(t->arg);
		first = heap_first(&loop->timers);
	} while (first != NULL && first->key <= loop->now_us);
	loop->is_in_timers = false;
}

static void
run_hooks(struct loop *loop)
{
	struct list batch;

	list_init(&batch);
	list_splice_back(&batch, &loop->hooks);
	while (!list_is_empty(&batch)) {
		struct list *link = pop_front(&batch);
		list_push_back(&loop->hooks, link);
		struct loop_hook *h = CONTAINER_OF(link, struct loop_hook, link);
		h->on_turn_end(h->arg);
	}
}

static void
turn(struct loop *loop)
{
	int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;

	if (!list_is_empty(&loop->tasks))
		flags = EVLOOP_ONCE | EVLOOP_NONBLOCK; /* without ONCE: while anything is ready */
	arm_alarm(loop);
	loop->is_now_known = false;
	int rc = event_base_loop(loop->base, flags);
	ASSERT(rc >= 0);
	run_timers(loop);
	run_tasks(loop);
	run_hooks(loop);
}

void
loop_run(struct loop *loop)
{
	ASSERT(!loop->is_running);
	loop->is_running = true;
	while (!loop->is_stopping)
		turn(loop);
	loop->is_stopping = false;
	loop->is_running = false;
}

void
loop_stop(struct loop *loop)
{
	loop->is_stopping = true;
}

/* ---- timers ---- */

void
loop_timer_init(struct loop_timer *t, loop_fn *on_due, void *arg)
{
	*t = (struct loop_timer){ .on_due = on_due, .arg = arg };
}

void
loop_timer_set(struct loop *loop, struct loop_timer *t, int64_t at_us)
{
	if (at_us == TIME_NEVER) {
		loop_timer_cancel(loop, t);
		return;
	}
	/* Else a timer that sets itself for "now" would keep the turn from ending. */
	if (loop->is_in_timers && at_us <= loop->now_us)
		at_us = loop->now_us + 1;
	heap_set(&loop->timers, &t->node, at_us);
}

void
loop_timer_cancel(struct loop *loop, struct loop_timer *t)
{
	heap_remove(&loop->timers, &t->node);
}

/* ---- watches ---- */

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct loop_watch *w = FROM_ARG(struct loop_watch, arg, WATCH_MAGIC);

	(void)fd;
	w->on_ready(w->arg, (what & EV_READ) != 0 ? LOOP_READ : LOOP_WRITE);
}

void
loop_watch_init(struct loop_watch *w, struct loop *loop, int fd, loop_watch_fn *on_ready, void *arg)
{
	ASSERT(fd >= 0);
	*w = (struct loop_watch){
		.magic = WATCH_MAGIC, .loop = loop, .fd = fd, .on_ready = on_ready, .arg = arg
	};
	loop->watch_count++;
}

static void
switch_event(struct loop_watch *w, struct event **ev, short what, bool on)
{
	int rc;

	if (*ev == NULL) {
		*ev = event_new(w->loop->base, w->fd, (short)(what | EV_PERSIST), on_event, w);
		ASSERT(*ev != NULL);
	}
	rc = on ? event_add(*ev, NULL) : event_del(*ev);
	ASSERT(rc == 0);
}

void
loop_watch_set(struct loop_watch *w, unsigned interest)
{
	unsigned changed = w->interest ^ interest;

	if (changed == 0)
		return;
	ASSERT(w->magic == WATCH_MAGIC);
	w->interest = interest;
	if ((changed & LOOP_READ) != 0)
		switch_event(w, &w->read, EV_READ, (interest & LOOP_READ) != 0);
	if ((changed & LOOP_WRITE) != 0)
		switch_event(w, &w->write, EV_WRITE, (interest & LOOP_WRITE) != 0);
}

void
loop_watch_done(struct loop_watch *w)
{
	if (w->magic != WATCH_MAGIC)
		return;
	if (w->read != NULL)
		event_free(w->read);
	if (w->write != NULL)
		event_free(w->write);
	w->loop->watch_count--;
	*w = (struct loop_watch){ .fd = -1 };
}

/* ---- tasks and hooks ---- */

void
loop_task_init(struct loop_task *t, loop_fn *run, void *arg)
{
	*t = (struct loop_task){ .run = run, .arg = arg };
}

void
loop_defer(struct loop *loop, struct loop_task *t)
{
	if (!list_is_linked(&t->link))
		list_push_back(&loop->tasks, &t->link);
}

void
loop_task_cancel(struct loop_task *t)
{
	list_remove(&t->link);
}

void
loop_hook_add(struct loop *loop, struct loop_hook *h, loop_fn *on_turn_end, void *arg)
{
	*h = (struct loop_hook){ .on_turn_end = on_turn_end, .arg = arg };
	list_push_back(&loop->hooks, &h->link);
}

void
loop_hook_remove(struct loop_hook *h)
{
	list_remove(&h->link);
}

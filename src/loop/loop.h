/* One event loop: readiness of descriptors, timers, and work put off to the end of a turn.
 *
 * A thread runs at most one loop and everything attached to it belongs to that thread; other
 * threads reach it through a mailbox only (loop/mailbox.h). A turn is: wait; report the ready
 * descriptors; run the timers that are due; run the deferred tasks; run the hooks. What a task or
 * hook defers runs in the next turn, which then does not wait.
 *
 * Contract of every callback here: never before the call that asked for it has returned, never
 * after the call that cancels it, and from inside a callback anything may be cancelled, its own
 * cause included. The structs below live in their owner's memory and are initialised once; they
 * must be cancelled (done) before that memory goes away. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/heap.h"
#include "base/list.h"

struct event;
struct loop;

typedef void loop_fn(void *arg);

struct loop *loop_new(void);
/* Not from inside loop_run. Timers, watches, tasks and hooks must be gone by then; tasks that are
 * still queued (frees, mostly) are run first. */
void loop_free(struct loop **lp);

/* Turns until loop_stop; returns after the turn in which that was called. May be called again. */
void loop_run(struct loop *loop);
/* Ends loop_run with this turn. Loop thread only: other threads post a message that calls it. */
void loop_stop(struct loop *loop);

/* Monotonic time, read once a turn and again after a wait: good for deadlines, too coarse for
 * measuring what happens inside one callback. */
int64_t loop_now_us(struct loop *loop);

/* Bytes for the current callback to use as it likes, such as reading a socket; the next callback
 * finds its own bytes there. */
#define LOOP_SCRATCH_BYTES 65536
char *loop_scratch(struct loop *loop);

/* ---- timers: one callback at one moment ---- */

struct loop_timer {
	struct heap_node node; /* key: due, monotonic */
	loop_fn *on_due;
	void *arg;
};

void loop_timer_init(struct loop_timer *t, loop_fn *on_due, void *arg);
/* Due at `at_us` (monotonic); moves a timer that is already set. A moment in the past is due in
 * this turn, or, from inside a timer's callback, in the next. TIME_NEVER cancels. */
void loop_timer_set(struct loop *loop, struct loop_timer *t, int64_t at_us);
/* Harmless when it is not set. A timer that fired is not set any more. */
void loop_timer_cancel(struct loop *loop, struct loop_timer *t);
static inline bool
loop_timer_is_set(const struct loop_timer *t)
{
	return heap_has(&t->node);
}

/* ---- watches: readiness of one descriptor, level-triggered ---- */

#define LOOP_READ  1u
#define LOOP_WRITE 2u

/* `what` is LOOP_READ or LOOP_WRITE, one a call; errors and hang-ups come as both that are asked
 * for. */
typedef void loop_watch_fn(void *arg, unsigned what);

struct loop_watch {
	uint32_t magic;
	struct loop *loop;
	int fd;
	unsigned interest; /* LOOP_READ | LOOP_WRITE */
	loop_watch_fn *on_ready;
	void *arg;
	struct event *read; /* each made when first wanted */
	struct event *write;
};

/* Watches nothing yet. The descriptor stays the caller's. */
void loop_watch_init(
    struct loop_watch *w, struct loop *loop, int fd, loop_watch_fn *on_ready, void *arg);
/* From now on reports what is in `interest` and nothing else; costs nothing when that is unchanged.
 */
void loop_watch_set(struct loop_watch *w, unsigned interest);
/* Call it before the descriptor is closed. Harmless when repeated, and on zeroed memory. */
void loop_watch_done(struct loop_watch *w);

/* ---- tasks: once, at the tail of the turn; frees and flushes happen there ---- */

struct loop_task {
	struct list link;
	loop_fn *run;
	void *arg;
};

void loop_task_init(struct loop_task *t, loop_fn *run, void *arg);
/* Queues `t`, first come first served; one that is queued already stays where it is. */
void loop_defer(struct loop *loop, struct loop_task *t);
void loop_task_cancel(struct loop_task *t);

/* ---- hooks: at the end of every turn, after the tasks; outboxes flush there ---- */

struct loop_hook {
	struct list link;
	loop_fn *on_turn_end;
	void *arg;
};

void loop_hook_add(struct loop *loop, struct loop_hook *h, loop_fn *on_turn_end, void *arg);
void loop_hook_remove(struct loop_hook *h);

/* Threads that are started with a name and joined; the only place where they come from.
 *
 * A thread starts with every signal blocked, so that signals reach the loop that reads them. */
#pragma once

#include "base/compiler.h"

struct loop_thread;

typedef void loop_thread_fn(void *arg);

/* Runs `fn(arg)`; `name` (at most 15 bytes are kept) shows in top and gdb. A system that has no
 * thread left aborts the process: threads are started at start-up only. */
struct loop_thread *loop_thread_start(const char *name, loop_thread_fn *fn, void *arg);
/* Waits until `fn` has returned, then frees. Takes NULL, nulls the pointer. */
void loop_thread_join(struct loop_thread **t);

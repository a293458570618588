/* Signals as events of one loop: SIGTERM, SIGINT and SIGHUP.
 *
 * They are blocked in the whole process and read from a descriptor, so that no handler ever runs in
 * the middle of anything. */
#pragma once

#include "loop/loop.h"

struct loop_signal;

/* On a loop's thread; `signo` is SIGTERM, SIGINT or SIGHUP. Several of one kind may arrive as one.
 */
typedef void loop_signal_fn(void *arg, int signo);

/* Blocks the three, and ignores SIGPIPE (a write to a closed socket is an errno). Call it first
 * thing in main, before there are threads: those inherit it. */
void loop_signal_block(void);

/* One for the process. */
struct loop_signal *loop_signal_new(struct loop *loop, loop_signal_fn *on_signal, void *arg);
void loop_signal_free(struct loop_signal **s);

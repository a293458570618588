/* Why a call failed: filled once, where the failure is detected, and carried unchanged to the edge
 * that reports it.
 *
 * A function that can fail in ways worth explaining takes `struct fault *` as its last parameter;
 * NULL is allowed and means that the caller does not care. The text is one sentence for people that
 * names what to do where that is known; it never holds a secret. */
#pragma once

#include "base/compiler.h"
#include "base/rc.h"

struct fault {
	enum rc rc;
	int sys_errno;  /* 0 where no system call was involved */
	char text[256]; /* NUL-terminated, one line */
};

/* Fills `f` (unless NULL or already filled) and returns `rc`, so that `return fault_set(f, RC_IO,
 * "...")` reads as one step. */
enum rc fault_set(struct fault *f, enum rc rc, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The same, and appends the text of the current errno, which is kept in `sys_errno`. */
enum rc fault_sys(struct fault *f, enum rc rc, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Assertions.
 *
 * ASSERT states what only our own code can break. It stays in release builds: the process aborts,
 * is restarted by its supervisor, and the queue is durable. No peer, user, file or clock may be
 * able to trip one; what comes from outside is handled, not asserted.
 *
 * AUDIT is the same for checks too dear for production; it is compiled in debug and fuzz builds
 * only. */
#pragma once

#include <stdint.h>

#include "base/compiler.h"

#define ASSERT(x)                                                                                  \
	do {                                                                                       \
		if (UNLIKELY(!(x)))                                                                \
			check_failed(#x, __FILE__, __LINE__);                                      \
	} while (0)

#ifdef POSTHOUSE_AUDIT
#define AUDIT(x) ASSERT(x)
#else
#define AUDIT(x) ((void)sizeof(!(x)))
#endif

/* A case the types allow and the program never reaches. */
#define UNREACHABLE() check_failed("unreachable", __FILE__, __LINE__)

/* Prints where and what on standard error, then aborts. */
_Noreturn void check_failed(const char *what, const char *file, int line);

/* Turns a callback's `void *` back into its struct and checks that it is one and still alive: every
 * struct that travels through a `void *` begins with `uint32_t magic`. Use on the first line of a
 * callback. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a type cannot stand in parentheses */
#define FROM_ARG(type, arg, magic_)                                                                \
	__extension__({                                                                            \
		type *from_ = (arg);                                                               \
		ASSERT(from_ != NULL && from_->magic == (magic_));                                 \
		from_;                                                                             \
	})
/* NOLINTEND(bugprone-macro-parentheses) */

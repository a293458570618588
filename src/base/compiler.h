/* What the compilers offer beyond the language, under one name each. */
#pragma once

#include <assert.h>
#include <stddef.h>

#include "base/banned.h"

#define NODISCARD         [[nodiscard]]
#define FALLTHROUGH       [[fallthrough]]
#define UNUSED            [[maybe_unused]]
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/* `AUTO(foo_free) struct foo *f`: foo_free(&f) runs when f leaves its scope. */
#define AUTO(fn)          __attribute__((cleanup(fn)))

/* Hand over: the pointer leaves, the variable becomes NULL, the type stays. */
#define TAKE(p)                                                                                    \
	__extension__({                                                                            \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

#define COUNT_OF(a)                   (sizeof(a) / sizeof((a)[0]))

/* The struct of `type` whose `member` `p` points at. */
#define CONTAINER_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

#define LIKELY(x)                     __builtin_expect(!!(x), 1)
#define UNLIKELY(x)                   __builtin_expect(!!(x), 0)

#if defined(__GNUC__) && !defined(__clang__)
/* Lets -fanalyzer see who frees what a constructor returns. */
#define OWNED_BY(fn) __attribute__((malloc(fn, 1)))
#else
#define OWNED_BY(fn)
#endif

/* The log of the process: one line an event, as text or JSON, on standard error.
 *
 * A line has an event name with dots ("smtp.accepted"), a sentence, and the key-value pairs of its
 * context. A context is a chain on the stack or in the objects themselves: a recipient's context
 * points at its message's, that at its connection's; the line carries all of them without anybody
 * repeating a field. Never log a secret or content. Every line is one write(2), so threads need no
 * lock. Only edges log: sessions, jobs, main. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

/* One pair; `text` counts when its p is set, else `num`. Borrowed for the duration of the call. */
struct log_ctx {
	const struct log_ctx *parent; /* NULL at the root */
	const char *key;
	struct str text;
	uint64_t num;
};

#define LOG_NUM(parent_, key_, num_)  ((struct log_ctx){ (parent_), (key_), { 0 }, (num_) })
#define LOG_STR(parent_, key_, text_) ((struct log_ctx){ (parent_), (key_), (text_), 0 })

/* Set once before threads start; level may be changed at any time. */
void log_set_level(enum log_level level);
void log_set_format(enum log_format format);
/* Where lines go; default standard error. The descriptor stays the caller's. */
void log_set_fd(int fd);
bool log_is_on(enum log_level level);
/* "error", "warn", "info", "debug"; false when `name` is none of them. */
bool log_level_parse(struct str name, enum log_level *out);

/* Writes one line unless `level` is off. `ctx` may be NULL. Control characters are escaped. */
void log_event(enum log_level level, const struct log_ctx *ctx, const char *event, const char *fmt,
    ...) PRINTF_LIKE(4, 5);

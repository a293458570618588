/* Writing JSON into a buffer as it comes, without building a document first.
 *
 * Commas and escapes are the writer's business; the order of calls is the caller's, and a wrong one
 * (a value where a key belongs, an end too many) is our bug and asserted. Strings may hold
 * anything: what is not UTF-8 is replaced by U+FFFD, so the output always is. A full buffer is told
 * by the buffer, at the end. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct json_writer {
	struct buf *b;    /* the caller's; nobody else writes to it meanwhile */
	uint64_t objects; /* bit d: what is open at depth d + 1 is an object */
	uint8_t depth;    /* open objects and arrays, at most 64 */
	bool comma;       /* the next member needs one before it */
	bool keyed;       /* a key was written and waits for its value */
};

/* Starts a document at the end of `b`. */
void json_writer_init(struct json_writer *w, struct buf *b);
/* Asserts that everything opened is closed; frees nothing, there is nothing to free. */
void json_writer_done(struct json_writer *w);

void json_writer_object(struct json_writer *w);
void json_writer_array(struct json_writer *w);
/* Closes the innermost of the two. */
void json_writer_end(struct json_writer *w);

/* In an object each value follows a key. */
void json_writer_key(struct json_writer *w, struct str key);
void json_writer_str(struct json_writer *w, struct str s);
void json_writer_int(struct json_writer *w, int64_t i);
void json_writer_uint(struct json_writer *w, uint64_t u);
/* Shortest digits that read back the same; null for what JSON has no word for (NaN, infinities). */
void json_writer_real(struct json_writer *w, double d);
void json_writer_bool(struct json_writer *w, bool b);
void json_writer_null(struct json_writer *w);
/* A value that is JSON already, such as one kept from a request. */
void json_writer_raw(struct json_writer *w, struct str json);

/* Key and value in one call. */
void json_writer_put_str(struct json_writer *w, const char *key, struct str s);
void json_writer_put_int(struct json_writer *w, const char *key, int64_t i);
void json_writer_put_uint(struct json_writer *w, const char *key, uint64_t u);
void json_writer_put_bool(struct json_writer *w, const char *key, bool b);
void json_writer_put_null(struct json_writer *w, const char *key);
/* Key and start of what json_writer_end closes. */
void json_writer_put_object(struct json_writer *w, const char *key);
void json_writer_put_array(struct json_writer *w, const char *key);

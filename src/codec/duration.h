/* Spans of time, sizes and rates as people write them in settings and on the command line: "1h30m",
 * "25M", "10/s".
 *
 * Readers are strict: a number without a unit, a unit nobody knows or a value that does not fit is
 * refused with a sentence that names what would do. Writers give the shortest form that reads back
 * as exactly the same. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

#define DURATION_SECOND_US 1000000ull
#define DURATION_MINUTE_US (60 * DURATION_SECOND_US)
#define DURATION_HOUR_US   (60 * DURATION_MINUTE_US)
#define DURATION_DAY_US    (24 * DURATION_HOUR_US)
#define DURATION_WEEK_US   (7 * DURATION_DAY_US)
/* A thousand years: sums of a few spans with any clock fit 64 bits, signed too. */
#define DURATION_MAX_US    (365243 * DURATION_DAY_US)

/* So many things in so much time. */
struct rate {
	uint64_t count;
	uint64_t per_us; /* a second, minute, hour or day */
};

/* "2m", "1h30m", "500ms", "0": whole numbers with units w d h m s ms us, each at most once and
 * larger ones first; 0 needs none. At most DURATION_MAX_US. False, and *out untouched, with a
 * sentence in *why_out. */
NODISCARD bool duration_parse(struct str s, uint64_t *us_out, const char **why_out);

/* "25M", "64 KB", "1000": octets, with K, M, G or T for powers of 1024; a B or iB behind those
 * changes nothing. Either case, one blank allowed before the unit. */
NODISCARD bool duration_parse_size(struct str s, uint64_t *bytes_out, const char **why_out);

/* "10/s", "300/m", "1000/h", "5000/d"; the count is above 0. */
NODISCARD bool duration_parse_rate(struct str s, struct rate *out, const char **why_out);

void duration_add(struct buf *b, uint64_t us);
void duration_add_size(struct buf *b, uint64_t bytes);
/* per_us must be one of the units above. */
void duration_add_rate(struct buf *b, struct rate rate);

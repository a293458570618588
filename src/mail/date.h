/* Dates of messages (RFC 5322 §3.3).
 *
 * Read in every form that is met, obsolete ones included; written in one, in UTC. */
#pragma once

#include <stdint.h>

#include "base/str.h"

/* "Mon, 23 Nov 2026 07:48:33 +0000" and a NUL. */
#define MAIL_DATE_SIZE 32

/* The value of a Date field, comments and folds allowed, as wall time in microseconds. RC_INVALID,
 * *out untouched, when it is no date or lies outside the years 1900 to 9999. An unknown zone counts
 * as UTC. */
enum rc mail_date_parse(struct str value, int64_t *wall_us_out);

/* Wall time outside the years 1970 to 9999 is written as the nearest end. */
void mail_date_format(int64_t wall_us, char out[static MAIL_DATE_SIZE]);

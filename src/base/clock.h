/* Time, in microseconds.
 *
 * Two clocks, two uses. Monotonic time measures waits and deadlines within this process. Wall time
 * (since the epoch, UTC) is what is stored and shown, and what the queue plans by, since its plans
 * outlive the process. Pure code takes the time as a parameter and calls neither. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define MS(n)      ((int64_t)(n)*1000)
#define SECONDS(n) ((int64_t)(n)*1000000)
#define MINUTES(n) (SECONDS(n) * 60)
#define HOURS(n)   (MINUTES(n) * 60)
#define DAYS(n)    (HOURS(n) * 24)
/* Later than everything. */
#define TIME_NEVER INT64_MAX

int64_t clock_monotonic_us(void);
int64_t clock_wall_us(void);

/* RFC 3339 in UTC with milliseconds, such as "2026-11-23T07:48:33.123Z", NUL-terminated. */
#define CLOCK_TEXT_SIZE 32
void clock_format(int64_t wall_us, char out[static CLOCK_TEXT_SIZE]);

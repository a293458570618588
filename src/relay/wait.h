/* The wait that a reply asks for in words. */
#pragma once

#include <stdint.h>

#include "base/str.h"

/* Microseconds that `text` asks to wait, such as "try again in 120 seconds" or "come back in 2
 * minutes"; 0 when it names none. At most RELAY_WAIT_MAX_US. */
int64_t relay_wait_in_text(struct str text);

#define RELAY_WAIT_MAX_US (INT64_C(24) * 3600 * 1000000)

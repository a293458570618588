/* Alarms by HTTP: a POST to an address that an operator gave. */
#pragma once

#include "base/str.h"

struct pool;

/* Sends {"subject", "text"} as JSON to `url` from a thread of the pool, within ten seconds; a
 * failure or a status above 299 is logged. Copies what it needs; the caller does not wait. */
void api_alarm_post(struct pool *pool, struct str url, struct str subject, struct str text);

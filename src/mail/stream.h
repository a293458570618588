/* The lane a message travels in.
 *
 * A transactional message (a verification code, a notice) never waits behind a bulk one. The names
 * are part of the interface: settings, API and the X-Posthouse-Stream header use them. */
#pragma once

#include <stdbool.h>

#include "base/str.h"

enum stream { STREAM_TRANSACTIONAL, STREAM_BULK };
#define STREAM_COUNT 2

/* "transactional" or "bulk". Never NULL. */
const char *mail_stream_name(enum stream s);
/* False, *out untouched, when `name` (any case, no surrounding space) is neither. */
bool mail_stream_parse(struct str name, enum stream *out);

/* Text of the usual mail charsets as UTF-8. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

/* Appends `bytes`, which are in `charset` (any case), as valid UTF-8; what cannot be read becomes
 * U+FFFD. Control bytes stay. False, nothing appended: the charset is not known. Known are UTF-8,
 * US-ASCII, and what iconv offers of the common mail charsets. */
bool charset_to_utf8(struct buf *b, struct str charset, struct str bytes);

/* What an incremental parser says about the bytes it was shown.
 *
 * A parser is shown all bytes not yet used, from the first one on. It either takes a whole thing
 * off the front, or asks to be called again when there are more, or says that no continuation can
 * make sense. */
#pragma once

#include "base/compiler.h"

enum NODISCARD parse {
	PARSE_MORE,   /* what is there may become something: read more and call again */
	PARSE_ONE,    /* one whole thing was taken */
	PARSE_BROKEN, /* no further byte can repair this */
};

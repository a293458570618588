/* Names of the lanes: one row each. */
#include "mail/stream.h"

#include "base/check.h"

static const char *const names[] = {
	[STREAM_TRANSACTIONAL] = "transactional",
	[STREAM_BULK] = "bulk",
};
static_assert(COUNT_OF(names) == STREAM_COUNT, "every lane has a name");

const char *
mail_stream_name(enum stream s)
{
	ASSERT((size_t)s < STREAM_COUNT);
	return names[s];
}

bool
mail_stream_parse(struct str name, enum stream *out)
{
	for (size_t i = 0; i < STREAM_COUNT; i++) {
		if (str_eq_nocase(name, str_from(names[i]))) {
			*out = (enum stream)i;
			return true;
		}
	}
	return false;
}

/* Names of the states: one row each. */
#include "store/state.h"

#include "base/check.h"

static const char *const names[] = {
	[STORE_QUEUED] = "queued",
	[STORE_IN_DOUBT] = "in_doubt",
	[STORE_HELD] = "held",
	[STORE_CAPTURED] = "captured",
	[STORE_SENT] = "sent",
	[STORE_BOUNCED] = "bounced",
	[STORE_EXPIRED] = "expired",
	[STORE_FAILED] = "failed",
	[STORE_CANCELLED] = "cancelled",
	[STORE_SUPPRESSED] = "suppressed",
	[STORE_UNKNOWN] = "unknown",
};
static_assert(COUNT_OF(names) == STORE_STATE_COUNT, "every state has a name");

const char *
store_state_name(enum store_state s)
{
	ASSERT((size_t)s < STORE_STATE_COUNT);
	return names[s];
}

static bool
same_word(struct str a, const char *b)
{
	size_t i = 0;

	for (; i < a.n && b[i] != '\0'; i++) {
		if (a.p[i] != b[i] && !(a.p[i] == '-' && b[i] == '_'))
			return false;
	}
	return i == a.n && b[i] == '\0';
}

bool
store_state_parse(struct str name, enum store_state *out)
{
	for (size_t i = 0; i < STORE_STATE_COUNT; i++) {
		if (same_word(name, names[i])) {
			*out = (enum store_state)i;
			return true;
		}
	}
	return false;
}

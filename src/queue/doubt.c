/* One row for each policy: how long evidence may arrive before the one repeat.
 *
 * The first doubt is repeated unless the deadline comes before the repeat would: then there is
 * nothing to gain by sending, and the remaining time is left to evidence. */
#include "queue/doubt.h"

#include "base/check.h"
#include "base/clock.h"

static const struct {
	const char *name;
	int64_t repeat_after_us; /* TIME_NEVER: not by itself */
} policies[] = {
	[QUEUE_DOUBT_AT_LEAST_ONCE] = { "at-least-once", SECONDS(60) },
	[QUEUE_DOUBT_AT_MOST_ONCE] = { "at-most-once", TIME_NEVER },
	[QUEUE_DOUBT_BALANCED] = { "balanced", MINUTES(15) },
};
static_assert(COUNT_OF(policies) == QUEUE_DOUBT_POLICY_COUNT, "every policy has a row");

const char *
queue_doubt_name(enum queue_doubt_policy p)
{
	ASSERT((size_t)p < QUEUE_DOUBT_POLICY_COUNT);
	return policies[p].name;
}

bool
queue_doubt_parse(struct str name, enum queue_doubt_policy *out)
{
	for (size_t i = 0; i < QUEUE_DOUBT_POLICY_COUNT; i++) {
		if (str_eq_nocase(name, str_from(policies[i].name))) {
			*out = (enum queue_doubt_policy)i;
			return true;
		}
	}
	return false;
}

enum queue_doubt_policy
queue_doubt_default(enum stream lane)
{
	return lane == STREAM_BULK ? QUEUE_DOUBT_AT_MOST_ONCE : QUEUE_DOUBT_AT_LEAST_ONCE;
}

struct queue_doubt_verdict
queue_doubt_decide(const struct queue_doubt *d, int64_t now_us)
{
	ASSERT(d->doubts > 0 && (size_t)d->policy < QUEUE_DOUBT_POLICY_COUNT);
	if (d->doubts > 1 || d->deadline_us <= now_us)
		return (struct queue_doubt_verdict){ QUEUE_DOUBT_UNKNOWN, 0 };
	int64_t after = policies[d->policy].repeat_after_us;
	if (after == TIME_NEVER || d->since_us >= d->deadline_us - after)
		return (struct queue_doubt_verdict){ QUEUE_DOUBT_HOLD, d->deadline_us };
	return (struct queue_doubt_verdict){ QUEUE_DOUBT_REPEAT, d->since_us + after };
}

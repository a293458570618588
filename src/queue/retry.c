/* A step of the schedule, changed by what is known of the failure:
 *
 * - a recipient's refusal takes the schedule as it is;
 * - a capacity refusal is over sooner than a mailbox is emptied: never more than a quarter of an
 * hour;
 * - a relay's fault is not the message's: the relay's breaker holds the mail and sets the pace, and
 * the item only has to be at hand again soon after it closes.
 *
 * Jitter spreads those that failed together: a tenth to both sides, but only upwards of a wait that
 * the server named, since coming early costs another refusal. */
#include "queue/retry.h"

#include "base/check.h"
#include "base/clock.h"

const struct queue_retry_schedule queue_retry_default = {
	.count = 7,
	.step_us = { MINUTES(2), MINUTES(5), MINUTES(15), MINUTES(30), HOURS(1), HOURS(2),
	    HOURS(4) },
};

#define STEP_MIN     SECONDS(1)
#define STEP_MAX     DAYS(7)
#define WAIT_TRUSTED DAYS(1)
#define WAIT_ALONE   3 /* attempts for which a named wait replaces the schedule */
#define DELAY_MIN    SECONDS(1)

/* Longest step by kind of failure. */
static const int64_t longest[] = {
	[QUEUE_RETRY_RECIPIENT] = STEP_MAX,
	[QUEUE_RETRY_CAPACITY] = MINUTES(15),
	[QUEUE_RETRY_RELAY] = MINUTES(1),
};

/* "15m" in microseconds, 0 when it is no such thing or out of bounds. */
static int64_t
read_step(struct str word)
{
	static const struct {
		char unit;
		int64_t us;
	} units[] = { { 's', SECONDS(1) }, { 'm', MINUTES(1) }, { 'h', HOURS(1) },
		{ 'd', DAYS(1) } };
	uint64_t n;

	if (word.n < 2 || str_to_u64(str_sub(word, 0, word.n - 1), &n) != RC_OK)
		return 0;
	for (size_t i = 0; i < COUNT_OF(units); i++) {
		if (ascii_lower(word.p[word.n - 1]) != units[i].unit)
			continue;
		if (n < 1 || n > (uint64_t)(STEP_MAX / units[i].us))
			return 0;
		return (int64_t)n * units[i].us;
	}
	return 0;
}

enum rc
queue_retry_parse(struct str text, struct queue_retry_schedule *out, struct fault *f)
{
	struct queue_retry_schedule s = { 0 };
	struct str rest = text, word;

	while (str_cut(&rest, ' ', &word)) {
		word = str_trim(word);
		if (word.n == 0)
			continue;
		if (s.count == QUEUE_RETRY_STEPS_MAX)
			return fault_set(f, RC_LIMIT, "a retry schedule has at most %d steps",
			    QUEUE_RETRY_STEPS_MAX);
		int64_t step = read_step(word);
		if (step == 0)
			return fault_set(f, RC_INVALID,
			    "\"%.*s\" is no wait: write a number from 1s to 7d, such as 15m",
			    STR_ARG(str_sub(word, 0, 20)));
		if (s.count > 0 && step < s.step_us[s.count - 1])
			return fault_set(f, RC_INVALID,
			    "the waits of a retry schedule may not shrink: \"%.*s\" does",
			    STR_ARG(word));
		s.step_us[s.count++] = step;
	}
	if (s.count == 0)
		return fault_set(f, RC_INVALID, "a retry schedule needs a step, such as 2m");
	*out = s;
	return RC_OK;
}

/* Uniform in [from, to]. */
static int64_t
between(struct prng *r, int64_t from, int64_t to)
{
	return from + (int64_t)prng_below(r, (uint64_t)(to - from) + 1);
}

int64_t
queue_retry_due_us(const struct queue_retry_schedule *s, const struct queue_retry *retry,
    int64_t now_us, struct prng *r)
{
	ASSERT(s->count > 0 && s->count <= QUEUE_RETRY_STEPS_MAX);
	size_t at = retry->attempts > 0 ? retry->attempts - 1 : 0;
	int64_t step = s->step_us[at < s->count ? at : s->count - 1];
	int64_t wait = retry->wait_us < WAIT_TRUSTED ? retry->wait_us : WAIT_TRUSTED;

	if (step > longest[retry->kind])
		step = longest[retry->kind];
	if (wait > 0 && (retry->attempts <= WAIT_ALONE || wait >= step)) {
		if (wait < DELAY_MIN)
			wait = DELAY_MIN;
		return now_us + between(r, wait, wait + wait / 10);
	}
	int64_t least = step - step / 10;
	return now_us + between(r, wait > least ? wait : least, step + step / 10);
}

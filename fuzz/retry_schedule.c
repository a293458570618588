/* A schedule that parses has steps within their bounds, none shorter than the one before, and gives
 * times after now for every kind of failure and every named wait. */
#include "queue/retry.h"

#include "base/check.h"
#include "base/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct queue_retry_schedule s = { 0 };
	struct fault f = { 0 };
	struct prng r = prng_make(size);

	if (queue_retry_parse((struct str){ (const char *)data, size }, &s, &f) != RC_OK) {
		ASSERT(s.count == 0 && f.text[0] != '\0');
		return 0;
	}
	ASSERT(s.count > 0 && s.count <= QUEUE_RETRY_STEPS_MAX);
	for (size_t i = 0; i < s.count; i++) {
		ASSERT(s.step_us[i] >= SECONDS(1) && s.step_us[i] <= DAYS(7));
		ASSERT(i == 0 || s.step_us[i] >= s.step_us[i - 1]);
	}
	for (unsigned n = 0; n < 20; n++) {
		for (int kind = 0; kind < 3; kind++) {
			struct queue_retry retry = { (enum queue_retry_kind)kind, n,
				(int64_t)prng_next(&r) };
			int64_t due_us = queue_retry_due_us(&s, &retry, SECONDS(1), &r);
			ASSERT(due_us > SECONDS(1) && due_us <= SECONDS(1) + DAYS(8));
		}
	}
	return 0;
}

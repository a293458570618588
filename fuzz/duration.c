/* What was read is written and read again the same. */
#include "codec/duration.h"

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct str in = str_make((const char *)data, size);
	struct rate rate, rate_again;
	uint64_t v, again;
	const char *why = NULL;

	buf_init(&b, 1000);
	if (duration_parse(in, &v, &why)) {
		duration_add(&b, v);
		ASSERT(v <= DURATION_MAX_US && duration_parse(buf_str(&b), &again, &why) &&
		       again == v);
	} else {
		ASSERT(why != NULL);
	}
	buf_clear(&b);
	if (duration_parse_size(in, &v, &why)) {
		duration_add_size(&b, v);
		ASSERT(duration_parse_size(buf_str(&b), &again, &why) && again == v);
	}
	buf_clear(&b);
	if (duration_parse_rate(in, &rate, &why)) {
		duration_add_rate(&b, rate);
		ASSERT(duration_parse_rate(buf_str(&b), &rate_again, &why));
		ASSERT(rate.count == rate_again.count && rate.per_us == rate_again.per_us &&
		       rate.count > 0);
	}
	return 0;
}

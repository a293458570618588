/* What mail has been like of late: what a new relay would have to carry. */
#pragma once

#include "base/arena.h"
#include "base/fault.h"
#include "store/reader.h"

/* The newest so many messages are looked at. */
#define STORE_USE_SAMPLE  20000
#define STORE_USE_SENDERS 25

struct store_use {
	uint64_t messages; /* looked at */
	uint64_t max_bytes;
	uint32_t max_rcpts;
	uint64_t eight_bit, utf8, dsn;
	/* recipients sent in the busiest hour and day of the last 7 days */
	uint64_t busiest_hour, busiest_day;
	struct store_use_sender {
		struct str address; /* empty: the null sender */
		uint64_t count;
	} * senders; /* the busiest first */
	size_t n_senders;
};

enum rc store_query_use(
    struct store_reader *r, struct arena *a, struct store_use *out, struct fault *fault);

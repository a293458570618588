/* What is wrong, since when, and what to do: for /status and for alarms. */
#pragma once

#include "api/view.h"
#include "store/query_queue.h"

struct api_problem {
	struct str key; /* the same problem has the same key at the next look */
	struct str what;
	struct str remedy;
	int64_t since_us; /* 0: unknown */
};

#define API_PROBLEMS_MAX 64

struct api_problems {
	struct api_problem v[API_PROBLEMS_MAX];
	size_t n;
	bool captured_mode; /* no relay was ever added */
};

/* On the pool, after api_look with waits. Texts live in the call's arena. */
enum rc api_problems_read(struct api_call *c, struct store_reader *r,
    const struct api_groups *groups, struct api_problems *out, struct fault *f);

/* Spans, sizes, rates: tables of units, largest first, which both readers and writers walk in that
 * order. */
#include "codec/duration.h"

#include "base/check.h"

struct unit {
	struct str name;
	uint64_t value;
};

static const struct unit spans[] = {
	{ STR_INIT("w"), DURATION_WEEK_US },
	{ STR_INIT("d"), DURATION_DAY_US },
	{ STR_INIT("h"), DURATION_HOUR_US },
	{ STR_INIT("m"), DURATION_MINUTE_US },
	{ STR_INIT("s"), DURATION_SECOND_US },
	{ STR_INIT("ms"), 1000 },
	{ STR_INIT("us"), 1 },
};

static const struct unit sizes[] = {
	{ STR_INIT("T"), (uint64_t)1 << 40 },
	{ STR_INIT("G"), (uint64_t)1 << 30 },
	{ STR_INIT("M"), (uint64_t)1 << 20 },
	{ STR_INIT("K"), (uint64_t)1 << 10 },
};

static const struct unit rates[] = {
	{ STR_INIT("d"), DURATION_DAY_US },
	{ STR_INIT("h"), DURATION_HOUR_US },
	{ STR_INIT("m"), DURATION_MINUTE_US },
	{ STR_INIT("s"), DURATION_SECOND_US },
};

static bool
no(const char **why_out, const char *why)
{
	*why_out = why;
	return false;
}

/* Takes the run of digits, or with `digits` false of anything else, off the front. */
static struct str
take_run(struct str *s, bool digits)
{
	size_t n = 0;

	while (n < s->n && ascii_is_digit(s->p[n]) == digits)
		n++;
	struct str run = str_sub(*s, 0, n);
	*s = str_skip(*s, n);
	return run;
}

/* The row of a unit by its exact name, `n` if there is none. */
static size_t
find_unit(const struct unit *units, size_t n, struct str name)
{
	size_t i = 0;

	while (i < n && !str_eq(name, units[i].name))
		i++;
	return i;
}

bool
duration_parse(struct str s, uint64_t *us_out, const char **why_out)
{
	uint64_t total = 0, v, us;
	size_t next = 0; /* rows above this one are used up */

	if (str_eq(s, STR("0"))) {
		*us_out = 0;
		return true;
	}
	if (s.n == 0)
		return no(why_out, "needs a time such as 30s, 5m, 1h30m or 2d");
	while (s.n != 0) {
		struct str number = take_run(&s, true), name = take_run(&s, false);
		if (number.n == 0)
			return no(why_out, "not a time: write it as 30s, 5m, 1h30m or 2d");
		if (name.n == 0)
			return no(why_out, "needs a unit: w, d, h, m, s, ms or us");
		size_t i = find_unit(spans, COUNT_OF(spans), name);
		if (i == COUNT_OF(spans))
			return no(why_out, "unknown unit of time: use w, d, h, m, s, ms or us");
		if (i < next)
			return no(why_out, "larger units come first, each once, as in 1h30m");
		next = i + 1;
		if (str_to_u64(number, &v) != RC_OK ||
		    __builtin_mul_overflow(v, spans[i].value, &us) ||
		    __builtin_add_overflow(total, us, &total) || total > DURATION_MAX_US)
			return no(why_out, "longer than a thousand years");
	}
	*us_out = total;
	return true;
}

bool
duration_parse_size(struct str s, uint64_t *bytes_out, const char **why_out)
{
	struct str number = take_run(&s, true);
	uint64_t v, factor = 1;

	if (number.n == 0)
		return no(why_out, "not a size: write it as 500K, 25M or 2G");
	if (s.n > 1 && s.p[0] == ' ')
		s = str_skip(s, 1);
	if (s.n != 0 && !str_eq_nocase(s, STR("B"))) {
		size_t i = 0;
		while (i < COUNT_OF(sizes) && !str_starts_nocase(s, sizes[i].name))
			i++;
		struct str tail = str_skip(s, 1);
		if (i == COUNT_OF(sizes) || (tail.n != 0 && !str_eq_nocase(tail, STR("B")) &&
						!str_eq_nocase(tail, STR("iB"))))
			return no(why_out, "unknown unit of size: use K, M, G or T");
		factor = sizes[i].value;
	}
	if (str_to_u64(number, &v) != RC_OK || __builtin_mul_overflow(v, factor, &v) ||
	    v > INT64_MAX)
		return no(why_out, "size too large");
	*bytes_out = v;
	return true;
}

bool
duration_parse_rate(struct str s, struct rate *out, const char **why_out)
{
	struct str number = take_run(&s, true);
	uint64_t v;

	if (number.n == 0 || s.n == 0 || s.p[0] != '/')
		return no(why_out, "not a rate: write it as 10/s, 300/m, 1000/h or 5000/d");
	size_t i = find_unit(rates, COUNT_OF(rates), str_skip(s, 1));
	if (i == COUNT_OF(rates))
		return no(why_out, "unknown unit of a rate: use /s, /m, /h or /d");
	if (str_to_u64(number, &v) != RC_OK || v > UINT32_MAX)
		return no(why_out, "rate too high");
	if (v == 0)
		return no(why_out, "a rate must be above 0");
	*out = (struct rate){ .count = v, .per_us = rates[i].value };
	return true;
}

void
duration_add(struct buf *b, uint64_t us)
{
	if (us == 0)
		buf_add_byte(b, '0');
	for (size_t i = 0; i < COUNT_OF(spans); i++) {
		uint64_t unit = spans[i].value;
		ASSERT(unit != 0);
		if (us >= unit)
			buf_addf(b, "%llu%s", (unsigned long long)(us / unit), spans[i].name.p);
		us %= unit;
	}
}

void
duration_add_size(struct buf *b, uint64_t bytes)
{
	size_t i = 0;

	while (i < COUNT_OF(sizes) && (bytes == 0 || bytes % sizes[i].value != 0))
		i++;
	if (i < COUNT_OF(sizes))
		buf_addf(
		    b, "%llu%s", (unsigned long long)(bytes / sizes[i].value), sizes[i].name.p);
	else
		buf_addf(b, "%llu", (unsigned long long)bytes);
}

void
duration_add_rate(struct buf *b, struct rate rate)
{
	size_t i = 0;

	while (i < COUNT_OF(rates) && rates[i].value != rate.per_us)
		i++;
	ASSERT(i < COUNT_OF(rates));
	buf_addf(b, "%llu/%s", (unsigned long long)rate.count, rates[i].name.p);
}

/* Numbers are said with as much precision as a person uses: one unit, and one digit behind the
 * point only below ten. */
#include "cli/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

/* ---- reading ---- */

/* Takes `n` digits off the front of `s`. */
static bool
take_number(struct str *s, size_t n, int *out)
{
	uint64_t v;

	if (s->n < n || str_to_u64(str_sub(*s, 0, n), &v) != RC_OK)
		return false;
	*s = str_skip(*s, n);
	*out = (int)v;
	return true;
}

static bool
take_byte(struct str *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = str_skip(*s, 1);
	return true;
}

/* "Z", "+01:00", or nothing. */
static bool
take_offset(struct str *s, int64_t *seconds_out)
{
	int h, m;
	bool minus = s->n != 0 && s->p[0] == '-';

	*seconds_out = 0;
	if (s->n == 0 || take_byte(s, 'Z') || take_byte(s, 'z'))
		return true;
	if (!take_byte(s, '+') && !take_byte(s, '-'))
		return false;
	if (!take_number(s, 2, &h) || h > 23)
		return false;
	(void)take_byte(s, ':');
	if (!take_number(s, 2, &m) || m > 59)
		return false;
	*seconds_out = (minus ? -1 : 1) * (h * 3600 + m * 60);
	return true;
}

static int64_t
take_fraction(struct str *s)
{
	int64_t us = 0, unit = 100000;

	if (!take_byte(s, '.'))
		return 0;
	for (; s->n != 0 && ascii_is_digit(s->p[0]); *s = str_skip(*s, 1), unit /= 10)
		us += (s->p[0] - '0') * unit;
	return us;
}

static bool
take_date(struct str *s, struct tm *tm)
{
	if (!take_number(s, 4, &tm->tm_year) || !take_byte(s, '-') ||
	    !take_number(s, 2, &tm->tm_mon) || !take_byte(s, '-') ||
	    !take_number(s, 2, &tm->tm_mday))
		return false;
	tm->tm_year -= 1900;
	tm->tm_mon -= 1;
	return tm->tm_mon >= 0 && tm->tm_mon < 12 && tm->tm_mday >= 1 && tm->tm_mday <= 31;
}

bool
cli_words_parse_time(struct str s, int64_t *us_out)
{
	struct tm tm = { 0 };
	int64_t fraction = 0, offset = 0;

	if (!take_date(&s, &tm))
		return false;
	if (s.n != 0) {
		if (!take_byte(&s, 'T') && !take_byte(&s, 't') && !take_byte(&s, ' '))
			return false;
		if (!take_number(&s, 2, &tm.tm_hour) || !take_byte(&s, ':') ||
		    !take_number(&s, 2, &tm.tm_min) || tm.tm_hour > 23 || tm.tm_min > 59)
			return false;
		if (take_byte(&s, ':')) {
			if (!take_number(&s, 2, &tm.tm_sec) || tm.tm_sec > 60)
				return false;
			fraction = take_fraction(&s);
		}
		if (!take_offset(&s, &offset))
			return false;
	}
	if (s.n != 0)
		return false;
	*us_out = SECONDS((int64_t)timegm(&tm) - offset) + fraction;
	return true;
}

/* ---- writing ---- */

static const struct unit {
	int64_t us;
	const char *name;
} units[] = {
	{ DAYS(1), "days" },
	{ HOURS(1), "h" },
	{ MINUTES(1), "min" },
	{ SECONDS(1), "s" },
};

/* In the largest unit of which there are two: "119 s", then "2 min". */
static void
add_rough(struct buf *b, int64_t us)
{
	size_t i = 0;

	while (i + 1 < COUNT_OF(units) && us < 2 * units[i].us)
		i++;
	buf_addf(b, "%lld %s", (long long)(us / units[i].us), units[i].name);
}

void
cli_words_ago(struct buf *b, int64_t then_us, int64_t now_us)
{
	int64_t us = now_us - then_us;

	if (us > -SECONDS(1) && us < SECONDS(2)) {
		buf_add(b, us < 0 ? STR("now") : STR("just now"));
	} else if (us < 0) {
		buf_add(b, STR("in "));
		add_rough(b, -us);
	} else {
		add_rough(b, us);
		buf_add(b, STR(" ago"));
	}
}

void
cli_words_span(struct buf *b, int64_t us)
{
	if (us < 0)
		us = 0;
	if (us < MS(1))
		buf_addf(b, "%lld µs", (long long)us);
	else if (us < SECONDS(1))
		buf_addf(b, "%lld ms", (long long)(us / MS(1)));
	else if (us < SECONDS(10) && us % SECONDS(1) >= MS(100))
		buf_addf(b, "%lld.%lld s", (long long)(us / SECONDS(1)),
		    (long long)(us % SECONDS(1) / MS(100)));
	else
		add_rough(b, us);
}

static void
to_local(int64_t us, struct tm *out)
{
	time_t t = (time_t)(us / SECONDS(1) - (us % SECONDS(1) < 0));

	if (localtime_r(&t, out) == NULL)
		*out = (struct tm){ .tm_year = 70, .tm_mday = 1 };
}

void
cli_words_clock(struct buf *b, int64_t us, int64_t now_us)
{
	struct tm tm, today;
	char text[64];

	to_local(us, &tm);
	to_local(now_us, &today);
	bool same = tm.tm_year == today.tm_year && tm.tm_yday == today.tm_yday;
	size_t n = strftime(text, sizeof(text), same ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &tm);
	buf_add(b, str_make(text, n));
}

void
cli_words_date(struct buf *b, int64_t us)
{
	struct tm tm;
	char text[64];

	to_local(us, &tm);
	size_t n = strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z", &tm);
	buf_add(b, str_make(text, n));
}

void
cli_words_size(struct buf *b, uint64_t bytes)
{
	static const char names[] = "KMGTPE";
	double v = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		buf_addf(b, bytes == 1 ? "%llu byte" : "%llu bytes", (unsigned long long)bytes);
		return;
	}
	while (v >= 1023.5) {
		v /= 1024;
		i++;
	}
	buf_addf(b, v < 9.95 ? "%.1f %cB" : "%.0f %cB", v, names[i]);
}

void
cli_words_count(struct buf *b, uint64_t n)
{
	char digits[24];
	int k = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);

	for (int i = 0; i < k; i++) {
		if (i != 0 && (k - i) % 3 == 0)
			buf_add_byte(b, ',');
		buf_add_byte(b, digits[i]);
	}
}

void
cli_words_plural(struct buf *b, uint64_t n, const char *one, const char *many)
{
	cli_words_count(b, n);
	buf_addf(b, " %s", n == 1 ? one : many);
}

/* ---- guessing ---- */

#define WORD_MAX 64

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t
cli_words_distance(struct str a, struct str b)
{
	size_t rows[3][WORD_MAX]; /* of the table: two before, the one before, this one */

	if (a.n >= WORD_MAX || b.n >= WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= b.n; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		size_t *now = rows[i % 3], *before = rows[(i + 2) % 3], *two = rows[(i + 1) % 3];
		now[0] = i;
		for (size_t j = 1; j <= b.n; j++) {
			bool differ = ascii_lower(a.p[i - 1]) != ascii_lower(b.p[j - 1]);
			now[j] = least(before[j - 1] + differ, least(before[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && ascii_lower(a.p[i - 1]) == ascii_lower(b.p[j - 2]) &&
			    ascii_lower(a.p[i - 2]) == ascii_lower(b.p[j - 1]))
				now[j] = least(now[j], two[j - 2] + 1);
		}
	}
	return rows[a.n % 3][b.n];
}

void
cli_words_offer(struct cli_words_guess *g, const char *candidate)
{
	struct str c = str_from(candidate);
	size_t d = cli_words_distance(g->word, c);

	/* Who types the beginning of a word means it. */
	if (g->word.n >= 2 && str_starts_nocase(c, g->word))
		d = least(d, 1);
	if (d > 1 + g->word.n / 4 || (g->best != NULL && d >= g->distance))
		return;
	g->best = candidate;
	g->distance = d;
}

/* Dates of messages.
 *
 * The calendar is proleptic Gregorian, counted in days from 1970-03-01 shifted into eras of 400
 * years, so no table of month lengths is needed for the conversion itself and no library clock is
 * asked. The reader takes words and numbers in their order and skips comments, commas and white
 * space between them. */
#include "mail/date.h"

#include <stdio.h>

#include "base/clock.h"

static const char days[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01 was a Thursday */
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Days since 1970-01-01 of a date whose month is 1..12; years from 0 on. */
static int64_t
days_from_civil(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = y / 400, yoe = y % 400;
	int64_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void
civil_from_days(int64_t n, int *year, int *month, int *day)
{
	int64_t z = n + 719468;
	int64_t era = z / 146097, doe = z % 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*day = (int)(doy - (153 * mp + 2) / 5 + 1);
	*month = (int)(mp < 10 ? mp + 3 : mp - 9);
	*year = (int)(yoe + era * 400 + (*month <= 2));
}

static void
skip_space(struct str *s)
{
	int depth = 0;

	while (s->n != 0) {
		char c = s->p[0];
		if (depth != 0 && c == '\\' && s->n > 1)
			*s = str_skip(*s, 1);
		else if (c == '(')
			depth++;
		else if (c == ')' && depth != 0)
			depth--;
		else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n' && c != ',')
			return;
		*s = str_skip(*s, 1);
	}
}

/* A number of `min` to `max` digits; *digits_out tells how many there were. */
static bool
take_number(struct str *s, size_t min, size_t max, int64_t *out, size_t *digits_out)
{
	size_t n = 0;
	int64_t v = 0;

	skip_space(s);
	while (n < s->n && n < max && ascii_is_digit(s->p[n]))
		v = v * 10 + (s->p[n++] - '0');
	if (n < min || (n < s->n && ascii_is_digit(s->p[n])))
		return false;
	*s = str_skip(*s, n);
	*out = v;
	*digits_out = n;
	return true;
}

static struct str
take_word(struct str *s)
{
	size_t n = 0;

	skip_space(s);
	while (n < s->n && ascii_is_alpha(s->p[n]))
		n++;
	struct str word = str_sub(*s, 0, n);
	*s = str_skip(*s, n);
	return word;
}

/* 0-based place of the three-letter `word` in `names`, or -1. */
static int
find_name(const char *names, struct str word)
{
	if (word.n < 3)
		return -1;
	for (int i = 0; names[i * 3] != '\0'; i++) {
		if (str_eq_nocase(str_make(names + (ptrdiff_t)i * 3, 3), str_sub(word, 0, 3)))
			return i;
	}
	return -1;
}

/* Seconds east of UTC. */
static bool
take_zone(struct str *s, int64_t *out)
{
	static const struct {
		struct str name;
		int hours;
	} zones[] = {
		{ STR_INIT("EST"), -5 },
		{ STR_INIT("EDT"), -4 },
		{ STR_INIT("CST"), -6 },
		{ STR_INIT("CDT"), -5 },
		{ STR_INIT("MST"), -7 },
		{ STR_INIT("MDT"), -6 },
		{ STR_INIT("PST"), -8 },
		{ STR_INIT("PDT"), -7 },
	};
	int64_t hhmm;
	size_t digits;

	*out = 0;
	skip_space(s);
	if (s->n != 0 && (s->p[0] == '+' || s->p[0] == '-')) {
		int64_t sign = s->p[0] == '-' ? -1 : 1;
		*s = str_skip(*s, 1);
		if (!take_number(s, 4, 4, &hhmm, &digits) || hhmm % 100 > 59)
			return false;
		*out = sign * (hhmm / 100 * 3600 + hhmm % 100 * 60);
		return true;
	}
	struct str word = take_word(s);
	for (size_t i = 0; i < COUNT_OF(zones); i++) {
		if (str_eq_nocase(word, zones[i].name))
			*out = (int64_t)zones[i].hours * 3600;
	}
	return true;
}

/* "hh:mm[:ss]" as seconds. */
static bool
take_time(struct str *s, int64_t *out)
{
	int64_t part[3] = { 0 };
	size_t digits;

	for (int i = 0; i < 3; i++) {
		if (i != 0) {
			skip_space(s);
			if (s->n == 0 || s->p[0] != ':') {
				if (i == 1)
					return false;
				break;
			}
			*s = str_skip(*s, 1);
		}
		if (!take_number(s, 1, 2, &part[i], &digits))
			return false;
	}
	if (part[0] > 23 || part[1] > 59 || part[2] > 60)
		return false;
	*out = part[0] * 3600 + part[1] * 60 + part[2];
	return true;
}

enum rc
mail_date_parse(struct str value, int64_t *wall_us_out)
{
	int64_t day, year, time, zone;
	size_t digits;

	skip_space(&value);
	if (value.n != 0 && ascii_is_alpha(value.p[0]) && find_name(days, take_word(&value)) < 0)
		return RC_INVALID;
	if (!take_number(&value, 1, 2, &day, &digits))
		return RC_INVALID;
	int month = find_name(months, take_word(&value)) + 1;
	if (month == 0 || !take_number(&value, 2, 4, &year, &digits))
		return RC_INVALID;
	if (digits < 4) /* RFC 5322 §4.3: two and three digits of the last century's software */
		year += digits == 2 && year < 50 ? 2000 : 1900;
	if (year < 1900 || !take_time(&value, &time) || !take_zone(&value, &zone))
		return RC_INVALID;
	skip_space(&value);
	int64_t n = days_from_civil(year, month, day);
	if (value.n != 0 || day < 1 || n >= days_from_civil(year + month / 12, month % 12 + 1, 1))
		return RC_INVALID;
	*wall_us_out = SECONDS(n * 86400 + time - zone);
	return RC_OK;
}

void
mail_date_format(int64_t wall_us, char out[static MAIL_DATE_SIZE])
{
	int64_t end = SECONDS(days_from_civil(10000, 1, 1) * 86400) - 1;
	int64_t s = (wall_us < 0 ? 0 : wall_us > end ? end : wall_us) / SECONDS(1);
	int year, month, day, time = (int)(s % 86400);

	civil_from_days(s / 86400, &year, &month, &day);
	/* The remainders tell the compiler how short the numbers are. */
	snprintf(out, MAIL_DATE_SIZE, "%.3s, %u %.3s %04u %02u:%02u:%02u +0000",
	    days + s / 86400 % 7 * 3, (unsigned)day % 100, months + (ptrdiff_t)(month - 1) * 3,
	    (unsigned)year % 10000, (unsigned)(time / 3600) % 100, (unsigned)(time / 60) % 60,
	    (unsigned)time % 60);
}

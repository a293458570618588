/* One reader for each option; a table ties them to their names and permissions. */
#include "submit/options.h"

#include <time.h>

#include "account/book.h"
#include "base/clock.h"
#include "mail/date.h"

static bool
two_digits(struct str s, size_t at, int *out)
{
	if (at + 2 > s.n || !ascii_is_digit(s.p[at]) || !ascii_is_digit(s.p[at + 1]))
		return false;
	*out = (s.p[at] - '0') * 10 + (s.p[at + 1] - '0');
	return true;
}

/* "2026-11-23T07:48:33Z", with a fraction that is ignored, or an offset such as "+08:00" (RFC
 * 3339). */
static bool
read_rfc3339(struct str s, int64_t *out)
{
	int c, y, mon, day, h, min, sec, oh = 0, om = 0;

	if (s.n < 20 || s.p[4] != '-' || s.p[7] != '-' || ascii_lower(s.p[10]) != 't' ||
	    s.p[13] != ':' || s.p[16] != ':')
		return false;
	if (!two_digits(s, 0, &c) || !two_digits(s, 2, &y) || !two_digits(s, 5, &mon) ||
	    !two_digits(s, 8, &day) || !two_digits(s, 11, &h) || !two_digits(s, 14, &min) ||
	    !two_digits(s, 17, &sec))
		return false;
	if (mon < 1 || mon > 12 || day < 1 || day > 31 || h > 23 || min > 59 || sec > 60)
		return false;
	size_t at = 19;
	if (s.p[at] == '.') {
		at++;
		while (at < s.n && ascii_is_digit(s.p[at]))
			at++;
	}
	struct str zone = str_skip(s, at);
	bool utc = zone.n == 1 && ascii_lower(zone.p[0]) == 'z';
	if (!utc && (zone.n != 6 || (zone.p[0] != '+' && zone.p[0] != '-') || zone.p[3] != ':' ||
			!two_digits(zone, 1, &oh) || !two_digits(zone, 4, &om)))
		return false;
	struct tm tm = { .tm_year = c * 100 + y - 1900,
		.tm_mon = mon - 1,
		.tm_mday = day,
		.tm_hour = h,
		.tm_min = min,
		.tm_sec = sec };
	int64_t offset = (int64_t)(oh * 60 + om) * 60 * (zone.p[0] == '-' ? -1 : 1);
	*out = SECONDS((int64_t)timegm(&tm) - offset);
	return true;
}

/* "90s", "10m", "2h", "1d". */
static bool
read_wait(struct str s, int64_t *out)
{
	uint64_t n;

	if (s.n < 2 || str_to_u64(str_sub(s, 0, s.n - 1), &n) != RC_OK || n > 10000000)
		return false;
	switch (s.p[s.n - 1]) {
	case 's': *out = SECONDS((int64_t)n); return true;
	case 'm': *out = MINUTES((int64_t)n); return true;
	case 'h': *out = HOURS((int64_t)n); return true;
	case 'd': *out = DAYS((int64_t)n); return true;
	default: return false;
	}
}

static bool
read_moment(struct str s, int64_t now_us, int64_t *out)
{
	int64_t wait;

	if (read_wait(s, &wait)) {
		*out = now_us + wait;
		return true;
	}
	return read_rfc3339(s, out) || mail_date_parse(s, out) == RC_OK;
}

static bool
read_stream(struct str s, int64_t now_us, struct submit_options *o)
{
	(void)now_us;
	o->has_stream = true;
	return mail_stream_parse(s, &o->stream);
}

static bool
read_tag(struct str s, int64_t now_us, struct submit_options *o)
{
	(void)now_us;
	o->tag = s;
	for (size_t i = 0; i < s.n; i++) {
		if (!ascii_is_alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_' && s.p[i] != '.')
			return false;
	}
	return s.n >= 1 && s.n <= 64;
}

static bool
read_doubt(struct str s, int64_t now_us, struct submit_options *o)
{
	(void)now_us;
	o->has_doubt = true;
	return queue_doubt_parse(s, &o->doubt);
}

static bool
read_deadline(struct str s, int64_t now_us, struct submit_options *o)
{
	return read_moment(s, now_us, &o->deadline_us) && o->deadline_us > now_us;
}

static bool
read_send_at(struct str s, int64_t now_us, struct submit_options *o)
{
	return read_moment(s, now_us, &o->send_at_us);
}

static const struct {
	bool (*read)(struct str s, int64_t now_us, struct submit_options *o);
	unsigned permission;
	const char *wants;
} readers[] = {
	[MAIL_OPTION_STREAM] = { read_stream, ACCOUNT_OPTION_STREAM, "transactional or bulk" },
	[MAIL_OPTION_TAG] = { read_tag, ACCOUNT_OPTION_TAG,
	    "1 to 64 letters, digits, '-', '_' and '.'" },
	[MAIL_OPTION_DOUBT] = { read_doubt, ACCOUNT_OPTION_DOUBT,
	    "at-least-once, at-most-once or balanced" },
	[MAIL_OPTION_DEADLINE] = { read_deadline, ACCOUNT_OPTION_DEADLINE,
	    "a time in the future such as 10m or 2026-11-23T12:00:00Z" },
	[MAIL_OPTION_SEND_AT] = { read_send_at, ACCOUNT_OPTION_SEND_AT,
	    "a time such as 10m or 2026-11-23T12:00:00Z" },
};
static_assert(COUNT_OF(readers) == MAIL_OPTION_COUNT, "every option has a reader");

bool
submit_options_read(const struct mail_scan *scan, unsigned permitted, int64_t now_us,
    struct submit_options *out, char why[static SUBMIT_WHY_SIZE])
{
	struct submit_options o = { .deadline_us = TIME_NEVER };

	if (scan->bad_option.n != 0) {
		snprintf(why, SUBMIT_WHY_SIZE,
		    "%.*s is unknown or given twice; X-Posthouse-Stream, -Tag, -Doubt, "
		    "-Deadline and -Send-At may each stand once",
		    STR_ARG(str_sub(scan->bad_option, 0, 64)));
		return false;
	}
	for (size_t i = 0; i < MAIL_OPTION_COUNT && scan->has_options; i++) {
		struct str value = scan->options[i];
		const char *name = mail_scan_option_name((enum mail_option)i);
		if (value.p == NULL)
			continue;
		if ((permitted & readers[i].permission) == 0) {
			snprintf(why, SUBMIT_WHY_SIZE,
			    "this credential may not use X-Posthouse-%s; the operator can allow it "
			    "with 'posthouse credential edit --options'",
			    name);
			return false;
		}
		if (!readers[i].read(str_trim(value), now_us, &o)) {
			snprintf(why, SUBMIT_WHY_SIZE, "X-Posthouse-%s takes %s", name,
			    readers[i].wants);
			return false;
		}
	}
	*out = o;
	return true;
}

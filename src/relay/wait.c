/* Waits in words.
 *
 * A number with a unit of time is a wait when the text speaks of trying again, and when the number
 * does not state a period of counting ("100 messages per 15 minutes", "in the last hour"). Only the
 * first such number counts. "A few minutes" names no number and is none.
 *
 * LIMITS: the first TEXT_MAX bytes of a text. */
#include "relay/wait.h"

#include "base/check.h"
#include "base/clock.h"

#define TEXT_MAX 2048

static_assert(RELAY_WAIT_MAX_US == DAYS(1), "a day at most");

static const struct {
	struct str name;
	int64_t us;
} wait_units[] = {
	{ STR_INIT("seconds"), SECONDS(1) },
	{ STR_INIT("second"), SECONDS(1) },
	{ STR_INIT("secs"), SECONDS(1) },
	{ STR_INIT("sec"), SECONDS(1) },
	{ STR_INIT("s"), SECONDS(1) },
	{ STR_INIT("minutes"), MINUTES(1) },
	{ STR_INIT("minute"), MINUTES(1) },
	{ STR_INIT("mins"), MINUTES(1) },
	{ STR_INIT("min"), MINUTES(1) },
	{ STR_INIT("m"), MINUTES(1) },
	{ STR_INIT("hours"), HOURS(1) },
	{ STR_INIT("hour"), HOURS(1) },
	{ STR_INIT("hrs"), HOURS(1) },
	{ STR_INIT("hr"), HOURS(1) },
	{ STR_INIT("h"), HOURS(1) },
};

/* Words that speak of trying again, and words before a number that make it a period of counting. */
static const struct str again_words[] = { STR_INIT("again"), STR_INIT("retry"), STR_INIT("wait"),
	STR_INIT("later"), STR_INIT("back in"), STR_INIT("greylist"), STR_INIT("graylist"),
	STR_INIT("deferred for"), STR_INIT("delay") };
static const struct str period_words[] = { STR_INIT("per"), STR_INIT("every"), STR_INIT("each"),
	STR_INIT("within"), STR_INIT("last"), STR_INIT("past"), STR_INIT("previous"),
	STR_INIT("/") };

static bool
speaks_of_again(struct str text)
{
	for (size_t i = 0; i < COUNT_OF(again_words); i++) {
		if (str_find_nocase(text, again_words[i]) != text.n)
			return true;
	}
	return false;
}

/* Microseconds of the unit that is the word at the head of `s`; 0 when it is none. */
static int64_t
unit_at(struct str s)
{
	size_t n = 0;

	if (s.n != 0 && (s.p[0] == ' ' || s.p[0] == '-'))
		s = str_skip(s, 1);
	while (n < s.n && ascii_is_alpha(s.p[n]))
		n++;
	/* "(s)" as in "second(s)" ends a word as well. */
	for (size_t i = 0; i < COUNT_OF(wait_units); i++) {
		if (str_eq_nocase(str_sub(s, 0, n), wait_units[i].name))
			return wait_units[i].us;
	}
	return 0;
}

static bool
ends_with_period_word(struct str before)
{
	before = str_trim(before);
	for (size_t i = 0; i < COUNT_OF(period_words); i++) {
		if (str_ends_nocase(before, period_words[i]))
			return true;
	}
	return false;
}

/* A number that stands alone: no part of a name, an address, a code or a decimal. */
static bool
stands_alone(struct str text, size_t at)
{
	char c = at == 0 ? ' ' : text.p[at - 1];

	return !ascii_is_alnum(c) && !str_has_byte(STR(".:-_"), c);
}

int64_t
relay_wait_in_text(struct str text)
{
	text = str_sub(text, 0, TEXT_MAX);
	if (!speaks_of_again(text))
		return 0;
	for (size_t at = 0; at < text.n;) {
		size_t n = 0;
		int64_t count = 0, unit;
		if (!ascii_is_digit(text.p[at])) {
			at++;
			continue;
		}
		for (; at + n < text.n && ascii_is_digit(text.p[at + n]); n++) {
			if (count < 1000000)
				count = count * 10 + (text.p[at + n] - '0');
		}
		unit = unit_at(str_skip(text, at + n));
		if (unit != 0 && count != 0 && stands_alone(text, at) &&
		    !ends_with_period_word(str_sub(text, 0, at)))
			return count < RELAY_WAIT_MAX_US / unit ? count * unit : RELAY_WAIT_MAX_US;
		at += n;
	}
	return 0;
}

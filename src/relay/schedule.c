/* Schedules: the steps of a canary, named, written by a person, and how long they take.
 *
 * A step's share is the smallest of the usual ones at which its clean messages arrive within the
 * time it is meant to take (PATIENCE); so a server with a hundred messages a day is not asked to
 * wait a year for ten of them at one per cent. */
#include "base/check.h"
#include "base/clock.h"
#include "relay/changeover.h"

#define PATIENCE  MINUTES(20)
#define SMALL_DAY 500

static const struct relay_schedule small = {
	.steps = { { 1000, 10, 1, 0, 200 }, { 500, 10, 0, 0, 200 } },
	.n_steps = 2,
	.full_us = HOURS(24),
	.full_clean = 30,
	.vouch_us = HOURS(12),
	.name = "small",
};
static const struct relay_schedule normal = {
	.steps = { { 10, 10, 1, 0, 200 }, { 50, 36, 0, MINUTES(10), 100 },
	    { 250, 73, 0, MINUTES(20), 50 }, { 500, 73, 0, MINUTES(20), 50 } },
	.n_steps = 4,
	.full_us = MINUTES(60),
	.full_clean = 73,
	.vouch_us = MINUTES(5),
	.name = "normal",
};
static const struct relay_schedule fast = {
	.steps = { { 200, 10, 2, 0, 200 }, { 500, 36, 0, 0, 100 }, { 500, 73, 0, 0, 50 } },
	.n_steps = 3,
	.full_us = SECONDS(10),
	.full_clean = 30,
	.vouch_us = SECONDS(2),
	.name = "fast",
};

/* Raises shares until each step can end in its time. */
static void
suit(struct relay_schedule *s, uint64_t per_day)
{
	for (uint32_t i = 0; i < s->n_steps; i++) {
		struct relay_changeover_step *step = &s->steps[i];
		int64_t time = step->least_us > PATIENCE ? step->least_us : PATIENCE;
		double there = (double)per_day * (double)time / (double)DAYS(1);
		double needed = there > 0 ? (double)step->clean / there * 1000 : 1000;
		if (needed > step->share)
			step->share = needed > 500 ? 500 : (uint16_t)(needed + 1);
	}
}

enum rc
relay_schedule_named(struct str name, uint64_t per_day, struct relay_schedule *out, struct fault *f)
{
	if (str_eq_nocase(name, STR("auto")))
		name = per_day < SMALL_DAY ? STR("small") : STR("normal");
	if (str_eq_nocase(name, STR("small"))) {
		*out = small;
	} else if (str_eq_nocase(name, STR("fast"))) {
		*out = fast;
	} else if (str_eq_nocase(name, STR("normal"))) {
		*out = normal;
		suit(out, per_day);
	} else {
		return fault_set(f, RC_INVALID,
		    "'%.*s' is no schedule; choose auto, small, normal or fast, or name a file of steps",
		    STR_ARG(str_sub(name, 0, 60)));
	}
	return RC_OK;
}

/* ---- of a person's own ---- */

static bool
next_word(struct str *line, struct str *out)
{
	*line = str_trim(*line);
	if (line->n == 0)
		return false;
	size_t n = 0;
	while (n < line->n && line->p[n] != ' ' && line->p[n] != '\t')
		n++;
	*out = str_sub(*line, 0, n);
	*line = str_skip(*line, n);
	return true;
}

/* The next word as a number up to `max`; `otherwise` where there is none. */
static bool
next_number(struct str *line, uint64_t otherwise, uint64_t max, uint64_t *out)
{
	struct str word;

	*out = otherwise;
	if (!next_word(line, &word))
		return otherwise != UINT64_MAX;
	return str_to_u64(word, out) == RC_OK && *out <= max;
}

static bool
read_step(struct str share, struct str rest, struct relay_changeover_step *out)
{
	uint64_t percent, clean, minutes, at_once;

	if (share.n < 2 || share.p[share.n - 1] != '%' ||
	    str_to_u64(str_sub(share, 0, share.n - 1), &percent) != RC_OK || percent == 0 ||
	    percent > 100 || !next_number(&rest, UINT64_MAX, 60000, &clean) || clean == 0 ||
	    !next_number(&rest, 0, 60 * 24 * 60, &minutes) ||
	    !next_number(&rest, 0, 1000, &at_once) || str_trim(rest).n != 0)
		return false;
	*out = (struct relay_changeover_step){ .share = (uint16_t)(percent * 10),
		.clean = (uint16_t)clean,
		.at_once = (uint16_t)at_once,
		.least_us = MINUTES((int64_t)minutes),
		.worst_pm = clean < 30   ? 200
			    : clean < 60 ? 100
					 : 50 };
	return true;
}

static bool
read_full(struct str rest, struct relay_schedule *out)
{
	uint64_t minutes, clean;

	if (!next_number(&rest, UINT64_MAX, 60 * 24 * 60, &minutes) ||
	    !next_number(&rest, 0, 1000000, &clean) || str_trim(rest).n != 0)
		return false;
	out->full_us = MINUTES((int64_t)minutes);
	out->full_clean = (uint32_t)clean;
	return true;
}

enum rc
relay_schedule_parse(struct str text, struct relay_schedule *out, struct fault *f)
{
	struct relay_schedule s = { .vouch_us = MINUTES(5), .name = "file" };
	unsigned number = 0;
	bool has_full = false;
	struct str line, word;

	while (str_cut(&text, '\n', &line)) {
		number++;
		line = str_trim(str_sub(line, 0, str_find(line, '#')));
		if (!next_word(&line, &word))
			continue;
		bool is_full = str_eq_nocase(word, STR("full"));
		bool good =
		    !has_full && (is_full || s.n_steps < RELAY_CHANGEOVER_STEPS_MAX) &&
		    (is_full ? read_full(line, &s) : read_step(word, line, &s.steps[s.n_steps]));
		if (!good)
			return fault_set(f, RC_INVALID,
			    "line %u of the schedule: expected 'SHARE%% CLEAN [MINUTES [AT-ONCE]]' or, last, "
			    "'full MINUTES [CLEAN]', with at most %d steps",
			    number, RELAY_CHANGEOVER_STEPS_MAX);
		s.n_steps += !is_full;
		has_full |= is_full;
	}
	if (s.n_steps == 0 || !has_full)
		return fault_set(f, RC_INVALID,
		    "the schedule needs at least one step, such as '5%% 36 10', and a last line such as 'full 60'");
	*out = s;
	return RC_OK;
}

/* ---- how long ---- */

static int64_t
time_for(double messages, uint64_t per_day, double share)
{
	double flow = (double)per_day * share;

	if (messages <= 0)
		return 0;
	if (flow <= 0 || messages / flow > 3650)
		return TIME_NEVER;
	return (int64_t)(messages / flow * (double)DAYS(1));
}

static int64_t
add(int64_t a, int64_t b)
{
	return a == TIME_NEVER || b == TIME_NEVER ? TIME_NEVER : a + b;
}

void
relay_schedule_estimate(
    const struct relay_schedule *s, uint64_t per_day, struct relay_schedule_time *out)
{
	*out = (struct relay_schedule_time){ 0 };
	for (uint32_t i = 0; i < s->n_steps; i++) {
		const struct relay_changeover_step *step = &s->steps[i];
		int64_t t = time_for(step->clean, per_day, step->share / 1000.0);
		out->step_us[i] = t > step->least_us ? t : step->least_us;
		out->until_full_us = add(out->until_full_us, out->step_us[i]);
	}
	int64_t t = time_for(s->full_clean, per_day, 1);
	bool by_person = s->full_us == 0 && s->full_clean == 0;
	out->until_confirmed_us =
	    by_person ? TIME_NEVER : add(out->until_full_us, t > s->full_us ? t : s->full_us);
}

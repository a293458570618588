/* A changeover as JSON and back: numbers by a table of names and places, lists by hand.
 *
 * Everything read is checked before it is believed: a file that was edited or damaged is refused,
 * never obeyed. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/json_writer.h"
#include "relay/changeover_private.h"

enum kind { I64, U64, U32, BOOL, REAL };

struct field {
	const char *name;
	enum kind kind;
	size_t at;
};

#define F(name, kind, member)                                                                      \
	{                                                                                          \
		name, kind, offsetof(struct relay_changeover, member)                              \
	}
static const struct field fields[] = {
	F("id", U64, opts.id),
	F("old_outcomes", U64, opts.old_outcomes),
	F("old_faults", U64, opts.old_faults),
	F("has_probe", BOOL, opts.has_probe),
	F("started_us", I64, opts.now_us),
	F("full_us", I64, opts.schedule.full_us),
	F("full_clean", U32, opts.schedule.full_clean),
	F("vouch_us", I64, opts.schedule.vouch_us),
	F("false_revert", REAL, opts.rules.false_revert),
	F("false_promote", REAL, opts.rules.false_promote),
	F("rule_p0", REAL, opts.rules.p0),
	F("rule_p0_max", REAL, opts.rules.p0_max),
	F("rule_p0_from", U32, opts.rules.p0_from),
	F("rule_connects", U32, opts.rules.connects),
	F("rule_doubts", U32, opts.rules.doubts),
	F("rule_doubts_within", U32, opts.rules.doubts_within),
	F("rule_doubt_share", REAL, opts.rules.doubt_share),
	F("rule_slow_factor", REAL, opts.rules.slow_factor),
	F("rule_slow_slack_us", I64, opts.rules.slow_slack_us),
	F("rule_slow_from", U32, opts.rules.slow_from),
	F("rule_cusum_p1", REAL, opts.rules.cusum_p1),
	F("rule_cusum_h", REAL, opts.rules.cusum_h),
	F("rule_starved_us", I64, opts.rules.starved_us),
	F("rule_settled_us", I64, opts.rules.settled_us),
	F("rule_retry_us", I64, opts.rules.retry_us),
	F("rule_near_deadline_us", I64, opts.rules.near_deadline_us),
	F("rule_warm_first_pm", U32, opts.rules.warm_first_pm),
	F("rule_warm_days", U32, opts.rules.warm_days),
	F("rule_warm_bad", REAL, opts.rules.warm_bad),
	F("step", U32, step),
	F("our_side", BOOL, our_side),
	F("by_person", BOOL, by_person),
	F("unproven", BOOL, unproven),
	F("old_proven", BOOL, old_proven),
	F("due_told", BOOL, due_told),
	F("p0", REAL, p0),
	F("since_us", I64, since_us),
	F("settled_us", I64, settled_us),
	F("last_us", I64, last_us),
	F("green_us", I64, green_us),
	F("retry_us", I64, retry_us),
	F("wants", U64, wants),
	F("cusum", REAL, cusum),
	F("connects", U32, connects),
	F("new_total", U64, new_total),
	F("samples_old", U32, n_latency[0]),
	F("samples_new", U32, n_latency[1]),
	F("day", I64, day),
	F("first_day", I64, first_day),
	F("warm_round", U32, warm_round),
};
#undef F

#define TALLY_WORDS (sizeof(struct changeover_tally) / sizeof(uint64_t))
static_assert(sizeof(struct changeover_tally) == 7 * sizeof(uint64_t), "nothing but counters");

/* ---- writing ---- */

static void
write_real(struct json_writer *w, const char *name, double v)
{
	json_writer_key(w, str_from(name));
	json_writer_real(w, v);
}

static void
write_field(struct json_writer *w, const struct field *f, const void *p)
{
	switch (f->kind) {
	case I64: json_writer_put_int(w, f->name, *(const int64_t *)p); return;
	case U64:
		json_writer_put_int(w, f->name, (int64_t)(*(const uint64_t *)p & INT64_MAX));
		return;
	case U32: json_writer_put_int(w, f->name, *(const uint32_t *)p); return;
	case BOOL: json_writer_put_bool(w, f->name, *(const bool *)p); return;
	case REAL: write_real(w, f->name, *(const double *)p); return;
	}
	UNREACHABLE();
}

static void
write_test(struct json_writer *w, const struct changeover_test *t)
{
	json_writer_array(w);
	json_writer_real(w, t->llr);
	json_writer_int(w, t->clean);
	json_writer_int(w, t->faults);
	json_writer_end(w);
}

static void
write_words(struct json_writer *w, const uint64_t *v, size_t n)
{
	json_writer_array(w);
	for (size_t i = 0; i < n; i++)
		json_writer_int(w, (int64_t)(v[i] & INT64_MAX));
	json_writer_end(w);
}

static void
write_steps(const struct relay_changeover *c, struct json_writer *w)
{
	json_writer_put_array(w, "steps");
	for (uint32_t i = 0; i < c->opts.schedule.n_steps; i++) {
		const struct relay_changeover_step *s = &c->opts.schedule.steps[i];
		json_writer_array(w);
		json_writer_int(w, s->share);
		json_writer_int(w, s->clean);
		json_writer_int(w, s->at_once);
		json_writer_int(w, s->least_us);
		json_writer_int(w, s->worst_pm);
		json_writer_end(w);
	}
	json_writer_end(w);
}

static void
write_evidence(const struct relay_changeover *c, struct json_writer *w)
{
	json_writer_put_array(w, "tests");
	write_test(w, &c->test);
	for (int g = 0; g < RELAY_RGROUP_COUNT; g++)
		write_test(w, &c->by_group[g]);
	json_writer_end(w);
	json_writer_put_array(w, "counts");
	for (int s = 0; s < 2; s++) {
		write_words(w, (const uint64_t *)(const void *)&c->counts[s], TALLY_WORDS);
		for (int g = 0; g < RELAY_RGROUP_COUNT; g++)
			write_words(
			    w, (const uint64_t *)(const void *)&c->group_counts[s][g], TALLY_WORDS);
	}
	json_writer_end(w);
	json_writer_put_array(w, "latency");
	for (int s = 0; s < 2; s++) {
		uint32_t n =
		    c->n_latency[s] < CHANGEOVER_SAMPLES ? c->n_latency[s] : CHANGEOVER_SAMPLES;
		json_writer_array(w);
		for (uint32_t i = 0; i < n; i++)
			json_writer_int(w, c->latency[s][i]);
		json_writer_end(w);
	}
	json_writer_end(w);
}

void
relay_changeover_write(const struct relay_changeover *c, struct json_writer *w)
{
	json_writer_object(w);
	json_writer_put_str(w, "state", str_from(relay_changeover_state_name(c->state)));
	json_writer_put_str(w, "before", str_from(relay_changeover_state_name(c->before)));
	json_writer_put_int(w, "kind", c->opts.kind);
	json_writer_put_str(w, "schedule", str_from(c->opts.schedule.name));
	json_writer_put_str(w, "reason", str_from(c->reason));
	for (size_t i = 0; i < COUNT_OF(fields); i++)
		write_field(w, &fields[i], (const char *)c + fields[i].at);
	write_steps(c, w);
	write_evidence(c, w);
	json_writer_put_array(w, "excluded");
	for (int g = 0; g < RELAY_RGROUP_COUNT; g++)
		json_writer_bool(w, c->is_excluded[g]);
	json_writer_end(w);
	json_writer_key(w, STR("usual"));
	write_words(w, c->opts.usual, RELAY_RGROUP_COUNT);
	json_writer_key(w, STR("warm_taken"));
	write_words(w, c->warm_taken, RELAY_RGROUP_COUNT);
	json_writer_key(w, STR("warm_bad"));
	write_words(w, c->warm_bad, RELAY_RGROUP_COUNT);
	json_writer_end(w);
}

/* ---- reading ---- */

static enum rc
read_field(const struct json *v, const struct field *field, void *p, struct fault *f)
{
	int64_t i = 0;
	const struct json *found = json_at(v, field->name);

	if (field->kind == REAL) {
		double d = found != NULL && (json_kind(found) == JSON_KIND_REAL ||
						json_kind(found) == JSON_KIND_INT)
			       ? json_number(found)
			       : NAN;
		if (!isfinite(d) || fabs(d) > 1e9)
			return fault_set(f, RC_INVALID, "%s is no number", field->name);
		*(double *)p = d;
		return RC_OK;
	}
	if (field->kind == BOOL)
		return json_get_bool(v, field->name, p, f);
	int64_t max = field->kind == U32 ? UINT32_MAX : INT64_MAX / 4;
	enum rc rc = json_get_int(v, field->name, 0, max, &i, f);
	if (rc != RC_OK)
		return rc;
	if (field->kind == U32)
		*(uint32_t *)p = (uint32_t)i;
	else
		*(int64_t *)p = i; /* I64 and U64: never below 0 */
	return RC_OK;
}

static enum rc
read_words(const struct json *v, uint64_t *out, size_t n, struct fault *f)
{
	if (v == NULL || json_kind(v) != JSON_KIND_ARRAY || json_count(v) != n)
		return fault_set(f, RC_INVALID, "a list of counters is damaged");
	for (size_t i = 0; i < n; i++) {
		const struct json *item = json_item(v, i);
		double d = json_kind(item) == JSON_KIND_INT ? json_number(item) : -1;
		if (d < 0 || d > 9e18)
			return fault_set(f, RC_INVALID, "a counter is damaged");
		out[i] = (uint64_t)d;
	}
	return RC_OK;
}

static enum rc
read_test(const struct json *v, struct changeover_test *out, struct fault *f)
{
	if (v == NULL || json_kind(v) != JSON_KIND_ARRAY || json_count(v) != 3)
		return fault_set(f, RC_INVALID, "a test is damaged");
	double llr = json_number(json_item(v, 0)), clean = json_number(json_item(v, 1)),
	       faults = json_number(json_item(v, 2));
	if (!isfinite(llr) || fabs(llr) > 1e9 || clean < 0 || clean > UINT32_MAX || faults < 0 ||
	    faults > UINT32_MAX)
		return fault_set(f, RC_INVALID, "a test is damaged");
	*out = (struct changeover_test){ llr, (uint32_t)clean, (uint32_t)faults };
	return RC_OK;
}

static enum rc
read_steps(const struct json *v, struct relay_schedule *s, struct fault *f)
{
	const struct json *list = json_at(v, "steps");
	uint64_t w[5];

	if (list == NULL || json_kind(list) != JSON_KIND_ARRAY || json_count(list) == 0 ||
	    json_count(list) > RELAY_CHANGEOVER_STEPS_MAX)
		return fault_set(f, RC_INVALID, "the schedule is damaged");
	for (size_t i = 0; i < json_count(list); i++) {
		enum rc rc = read_words(json_item(list, i), w, 5, f);
		if (rc != RC_OK)
			return rc;
		if (w[0] == 0 || w[0] > 1000 || w[1] == 0 || w[1] > UINT16_MAX ||
		    w[2] > UINT16_MAX || w[3] > INT64_MAX / 4 || w[4] == 0 || w[4] > 900)
			return fault_set(f, RC_INVALID, "a step of the schedule is damaged");
		s->steps[i] = (struct relay_changeover_step){ (uint16_t)w[0], (uint16_t)w[1],
			(uint16_t)w[2], (int64_t)w[3], (uint16_t)w[4] };
	}
	s->n_steps = (uint32_t)json_count(list);
	return RC_OK;
}

static enum rc
read_evidence(const struct json *v, struct relay_changeover *c, struct fault *f)
{
	const struct json *tests = json_at(v, "tests"), *counts = json_at(v, "counts"),
			  *latency = json_at(v, "latency");
	enum rc rc = RC_OK;

	if (tests == NULL || json_kind(tests) != JSON_KIND_ARRAY ||
	    json_count(tests) != RELAY_RGROUP_COUNT + 1 || counts == NULL ||
	    json_kind(counts) != JSON_KIND_ARRAY ||
	    json_count(counts) != 2 * (RELAY_RGROUP_COUNT + 1) || latency == NULL ||
	    json_kind(latency) != JSON_KIND_ARRAY || json_count(latency) != 2)
		return fault_set(f, RC_INVALID, "the evidence is damaged");
	rc = read_test(json_item(tests, 0), &c->test, f);
	for (int g = 0; g < RELAY_RGROUP_COUNT && rc == RC_OK; g++)
		rc = read_test(json_item(tests, (size_t)g + 1), &c->by_group[g], f);
	for (size_t s = 0; s < 2 && rc == RC_OK; s++) {
		size_t at = s * (RELAY_RGROUP_COUNT + 1);
		rc = read_words(
		    json_item(counts, at), (uint64_t *)(void *)&c->counts[s], TALLY_WORDS, f);
		for (size_t g = 0; g < RELAY_RGROUP_COUNT && rc == RC_OK; g++)
			rc = read_words(json_item(counts, at + 1 + g),
			    (uint64_t *)(void *)&c->group_counts[s][g], TALLY_WORDS, f);
	}
	for (size_t s = 0; s < 2 && rc == RC_OK; s++) {
		uint32_t n =
		    c->n_latency[s] < CHANGEOVER_SAMPLES ? c->n_latency[s] : CHANGEOVER_SAMPLES;
		rc = read_words(json_item(latency, s), (uint64_t *)(void *)c->latency[s], n, f);
	}
	return rc;
}

static enum rc
read_state(
    const struct json *v, const char *name, enum relay_changeover_state *out, struct fault *f)
{
	struct str text;
	enum rc rc = json_get_str(v, name, &text, f);

	if (rc != RC_OK)
		return rc;
	for (int s = 0; s < RELAY_CHANGEOVER_STATE_COUNT; s++) {
		if (!str_eq(text,
			str_from(relay_changeover_state_name((enum relay_changeover_state)s))))
			continue;
		*out = (enum relay_changeover_state)s;
		return RC_OK;
	}
	return fault_set(f, RC_INVALID, "'%.*s' is no state", STR_ARG(str_sub(text, 0, 40)));
}

static enum rc
read_head(const struct json *v, struct relay_changeover *c, struct fault *f)
{
	struct str schedule = { 0 }, reason = { 0 };
	int64_t kind = 0;
	enum rc rc = read_state(v, "state", &c->state, f);

	if (rc == RC_OK)
		rc = read_state(v, "before", &c->before, f);
	if (rc == RC_OK)
		rc = json_get_int(v, "kind", 0, RELAY_CHANGEOVER_WARM_UP, &kind, f);
	if (rc == RC_OK)
		rc = json_get_str(v, "schedule", &schedule, f);
	if (rc == RC_OK)
		rc = json_get_str(v, "reason", &reason, f);
	if (rc != RC_OK)
		return rc;
	c->opts.kind = (enum relay_changeover_kind)kind;
	snprintf(c->opts.schedule.name, sizeof(c->opts.schedule.name), "%.*s",
	    STR_ARG(str_sub(schedule, 0, 15)));
	snprintf(
	    c->reason, sizeof(c->reason), "%.*s", STR_ARG(str_sub(reason, 0, CHANGEOVER_TEXT - 1)));
	return RC_OK;
}

/* What relay_changeover_audit asserts, asked of what came from outside. */
static bool
holds(const struct relay_changeover *c)
{
	const struct relay_changeover_rules *r = &c->opts.rules;
	bool aside = c->state == RELAY_CHANGEOVER_HELD || c->state == RELAY_CHANGEOVER_SUSPECT;

	if (c->step >= c->opts.schedule.n_steps || (!aside && c->before != c->state) ||
	    c->before == RELAY_CHANGEOVER_HELD || c->before == RELAY_CHANGEOVER_SUSPECT ||
	    (aside && relay_changeover_is_settled(c->before)) ||
	    relay_changeover_is_settled(c->state) != (c->settled_us != 0) ||
	    (c->our_side && c->state != RELAY_CHANGEOVER_HELD) || r->connects == 0 ||
	    c->connects > r->connects || r->warm_days == 0 || r->false_revert <= 0 ||
	    r->false_revert >= 1 || c->p0 <= 0 || c->p0 >= 0.4 || r->cusum_p1 <= c->p0 ||
	    r->cusum_p1 >= 1 || r->cusum_h <= 0)
		return false;
	return !changeover_is_watching(c) ||
	       (c->test.llr < changeover_fail_at(c) && c->cusum < r->cusum_h);
}

enum rc
relay_changeover_read(const struct json *v, struct relay_changeover **out, struct fault *f)
{
	AUTO(relay_changeover_free) struct relay_changeover *c = MEM_NEW(struct relay_changeover);
	uint64_t excluded[RELAY_RGROUP_COUNT];
	enum rc rc = json_kind(v) == JSON_KIND_OBJECT
			 ? read_head(v, c, f)
			 : fault_set(f, RC_INVALID, "a changeover is a JSON object");

	for (size_t i = 0; i < COUNT_OF(fields) && rc == RC_OK; i++)
		rc = read_field(v, &fields[i], (char *)c + fields[i].at, f);
	if (rc == RC_OK)
		rc = read_steps(v, &c->opts.schedule, f);
	if (rc == RC_OK)
		rc = read_evidence(v, c, f);
	if (rc == RC_OK)
		rc = read_words(json_at(v, "usual"), c->opts.usual, RELAY_RGROUP_COUNT, f);
	if (rc == RC_OK)
		rc = read_words(json_at(v, "warm_taken"), c->warm_taken, RELAY_RGROUP_COUNT, f);
	if (rc == RC_OK)
		rc = read_words(json_at(v, "warm_bad"), c->warm_bad, RELAY_RGROUP_COUNT, f);
	const struct json *list = json_at(v, "excluded");
	if (rc == RC_OK && (list == NULL || json_kind(list) != JSON_KIND_ARRAY ||
			       json_count(list) != RELAY_RGROUP_COUNT))
		rc = fault_set(f, RC_INVALID, "the excluded groups are damaged");
	for (size_t g = 0; g < RELAY_RGROUP_COUNT && rc == RC_OK; g++) {
		const struct json *item = json_item(list, g);
		excluded[g] = json_kind(item) == JSON_KIND_BOOL && json_bool(item);
		c->is_excluded[g] = excluded[g] != 0;
	}
	if (rc == RC_OK && !holds(c))
		rc = fault_set(f, RC_INVALID, "the changeover contradicts itself");
	if (rc == RC_OK)
		*out = TAKE(c);
	return rc;
}

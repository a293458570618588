/* A changeover as JSON and back, by tables: single values by name, and lists of like things, each
 * an array of its values in the order of its table.
 *
 * Everything read is checked before it is believed: a file that was edited or damaged is refused,
 * never obeyed. What must hold is asked of the same function as the audit asks. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/json_writer.h"
#include "relay/changeover_private.h"

#define INT_MAX_READ  (INT64_MAX / 4) /* sums of two do not overflow */
#define REAL_MAX_READ 1e9

/* COUNT: from 0 to INT_MAX_READ. HASH: any 64 bits. */
enum kind { COUNT, HASH, U32, U16, BOOL, REAL };

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
	F("id", COUNT, opts.id),
	F("old_outcomes", COUNT, opts.old_outcomes),
	F("old_faults", COUNT, opts.old_faults),
	F("has_probe", BOOL, opts.has_probe),
	F("started_us", COUNT, opts.now_us),
	F("n_steps", U32, opts.schedule.n_steps),
	F("full_us", COUNT, opts.schedule.full_us),
	F("full_clean", U32, opts.schedule.full_clean),
	F("vouch_us", COUNT, opts.schedule.vouch_us),
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
	F("rule_slow_slack_us", COUNT, opts.rules.slow_slack_us),
	F("rule_slow_from", U32, opts.rules.slow_from),
	F("rule_cusum_p1", REAL, opts.rules.cusum_p1),
	F("rule_cusum_h", REAL, opts.rules.cusum_h),
	F("rule_starved_us", COUNT, opts.rules.starved_us),
	F("rule_settled_us", COUNT, opts.rules.settled_us),
	F("rule_retry_us", COUNT, opts.rules.retry_us),
	F("rule_near_deadline_us", COUNT, opts.rules.near_deadline_us),
	F("rule_warm_first_pm", U32, opts.rules.warm_first_pm),
	F("rule_warm_days", U32, opts.rules.warm_days),
	F("rule_warm_bad", REAL, opts.rules.warm_bad),
	F("step", U32, step),
	F("our_side", BOOL, our_side),
	F("by_person", BOOL, by_person),
	F("unproven", BOOL, unproven),
	F("old_proven", BOOL, old_proven),
	F("due_told", BOOL, due_told),
	F("slow_borne", BOOL, slow_borne),
	F("lone_domain", BOOL, lone_domain),
	F("p0", REAL, p0),
	F("since_us", COUNT, since_us),
	F("settled_us", COUNT, settled_us),
	F("last_us", COUNT, last_us),
	F("green_us", COUNT, green_us),
	F("retry_us", COUNT, retry_us),
	F("warned_us", COUNT, warned_us),
	F("wants", COUNT, wants),
	F("test_sum", REAL, test.sum),
	F("test_clean", U32, test.clean),
	F("test_faults", U32, test.faults),
	F("creep", REAL, creep),
	F("crash", REAL, crash),
	F("proof", REAL, proof),
	F("n_windows", U32, n_windows),
	F("n_ignored", U32, n_ignored),
	F("connects", U32, connects),
	F("new_total", COUNT, new_total),
	F("samples_old", U32, n_latency[0]),
	F("samples_new", U32, n_latency[1]),
	F("day", COUNT, day),
};
#undef F

/* ---- lists ---- */

#define G(kind, type, member)                                                                      \
	{                                                                                          \
#member, kind, offsetof(type, member)                                              \
	}
static const struct field step_fields[] = {
	G(U16, struct relay_changeover_step, share),
	G(U16, struct relay_changeover_step, clean),
	G(U16, struct relay_changeover_step, at_once),
	G(COUNT, struct relay_changeover_step, least_us),
	G(U16, struct relay_changeover_step, worst_pm),
};
static const struct field group_fields[] = {
	G(REAL, struct changeover_group, watch),
	G(REAL, struct changeover_group, rest),
	G(REAL, struct changeover_group, peers),
	G(REAL, struct changeover_group, gave),
	G(HASH, struct changeover_group, domain),
	G(U32, struct changeover_group, faults),
};
static const struct field window_fields[] = {
	G(HASH, struct changeover_window, domain),
	G(COUNT, struct changeover_window, at_us),
};
static const struct field tally_fields[] = {
	G(COUNT, struct changeover_tally, sent),
	G(COUNT, struct changeover_tally, relay_faults),
	G(COUNT, struct changeover_tally, recipient_faults),
	G(COUNT, struct changeover_tally, in_doubt),
	G(COUNT, struct changeover_tally, capacity),
	G(COUNT, struct changeover_tally, cut),
	G(COUNT, struct changeover_tally, alone),
};
static const struct field warm_fields[] = {
	G(COUNT, struct changeover_warm, cap),
	G(COUNT, struct changeover_warm, today),
	G(COUNT, struct changeover_warm, today_bad),
	G(COUNT, struct changeover_warm, taken),
	G(COUNT, struct changeover_warm, bad),
	G(U32, struct changeover_warm, days),
};
#undef G
static const struct field one_count[] = { { "", COUNT, 0 } };
static const struct field one_hash[] = { { "", HASH, 0 } };
static const struct field one_bool[] = { { "", BOOL, 0 } };

struct list {
	const char *name;
	const struct field *fields;
	size_t n_fields;
	size_t at, stride, most;
	size_t in_use_at; /* of a uint32_t that says how many; 0: all */
};

#define AT(member)    offsetof(struct relay_changeover, member)
#define ITEM(member)  sizeof(((struct relay_changeover *)0)->member)
#define FIELDS(table) (table), COUNT_OF(table)
static const struct list lists[] = {
	{ "steps", FIELDS(step_fields), AT(opts.schedule.steps), ITEM(opts.schedule.steps[0]),
	    RELAY_CHANGEOVER_STEPS_MAX, AT(opts.schedule.n_steps) },
	{ "usual", FIELDS(one_count), AT(opts.usual), ITEM(opts.usual[0]), RELAY_RGROUP_COUNT, 0 },
	{ "groups", FIELDS(group_fields), AT(groups), ITEM(groups[0]), RELAY_RGROUP_COUNT, 0 },
	{ "excluded", FIELDS(one_bool), AT(is_excluded), ITEM(is_excluded[0]), RELAY_RGROUP_COUNT,
	    0 },
	{ "windows", FIELDS(window_fields), AT(windows), ITEM(windows[0]), CHANGEOVER_DOMAINS,
	    AT(n_windows) },
	{ "ignored", FIELDS(one_hash), AT(ignored), ITEM(ignored[0]), CHANGEOVER_IGNORED,
	    AT(n_ignored) },
	{ "counts", FIELDS(tally_fields), AT(counts), ITEM(counts[0]), 2, 0 },
	{ "group_counts", FIELDS(tally_fields), AT(group_counts), ITEM(counts[0]),
	    2 * RELAY_RGROUP_COUNT, 0 },
	{ "latency_old", FIELDS(one_count), AT(latency[0]), ITEM(latency[0][0]), CHANGEOVER_SAMPLES,
	    AT(n_latency[0]) },
	{ "latency_new", FIELDS(one_count), AT(latency[1]), ITEM(latency[1][0]), CHANGEOVER_SAMPLES,
	    AT(n_latency[1]) },
	{ "warm", FIELDS(warm_fields), AT(warm), ITEM(warm[0]), RELAY_RGROUP_COUNT, 0 },
};
#undef AT
#undef ITEM
#undef FIELDS

static size_t
in_use(const struct relay_changeover *c, const struct list *l)
{
	uint32_t n = UINT32_MAX;

	if (l->in_use_at != 0)
		memcpy(&n, (const char *)c + l->in_use_at, sizeof(n));
	return n < l->most ? n : l->most;
}

/* ---- writing ---- */

static void
write_value(struct json_writer *w, enum kind kind, const void *p)
{
	switch (kind) {
	case COUNT:
	case HASH: json_writer_int(w, *(const int64_t *)p); return;
	case U32: json_writer_int(w, *(const uint32_t *)p); return;
	case U16: json_writer_int(w, *(const uint16_t *)p); return;
	case BOOL: json_writer_bool(w, *(const bool *)p); return;
	case REAL: json_writer_real(w, *(const double *)p); return;
	}
	UNREACHABLE();
}

static void
write_item(struct json_writer *w, const struct list *l, const char *item)
{
	if (l->n_fields > 1)
		json_writer_array(w);
	for (size_t i = 0; i < l->n_fields; i++)
		write_value(w, l->fields[i].kind, item + l->fields[i].at);
	if (l->n_fields > 1)
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
	for (size_t i = 0; i < COUNT_OF(fields); i++) {
		json_writer_key(w, str_from(fields[i].name));
		write_value(w, fields[i].kind, (const char *)c + fields[i].at);
	}
	for (size_t i = 0; i < COUNT_OF(lists); i++) {
		const struct list *l = &lists[i];
		json_writer_put_array(w, l->name);
		for (size_t k = 0; k < in_use(c, l); k++)
			write_item(w, l, (const char *)c + l->at + k * l->stride);
		json_writer_end(w);
	}
	json_writer_end(w);
}

/* ---- reading ---- */

/* The value itself, which may be NULL. */
static bool
read_value(const struct json *v, enum kind kind, void *p)
{
	enum json_kind is = v != NULL ? json_kind(v) : JSON_KIND_NULL;
	int64_t i = 0, least = kind == HASH ? INT64_MIN : 0, most = INT64_MAX;

	if (kind == BOOL) {
		*(bool *)p = is == JSON_KIND_BOOL && json_bool(v);
		return is == JSON_KIND_BOOL;
	}
	if (kind == REAL) {
		double d = is == JSON_KIND_REAL || is == JSON_KIND_INT ? json_number(v) : NAN;
		*(double *)p = d;
		return isfinite(d) && fabs(d) <= REAL_MAX_READ;
	}
	if (kind == COUNT)
		most = INT_MAX_READ;
	else if (kind == U32)
		most = UINT32_MAX;
	else if (kind == U16)
		most = UINT16_MAX;
	if (is != JSON_KIND_INT || json_get_int(v, "", least, most, &i, NULL) != RC_OK)
		return false;
	if (kind == U32)
		*(uint32_t *)p = (uint32_t)i;
	else if (kind == U16)
		*(uint16_t *)p = (uint16_t)i;
	else
		*(int64_t *)p = i;
	return true;
}

static bool
read_item(const struct json *v, const struct list *l, char *item)
{
	if (l->n_fields == 1)
		return read_value(v, l->fields[0].kind, item);
	if (v == NULL || json_kind(v) != JSON_KIND_ARRAY || json_count(v) != l->n_fields)
		return false;
	for (size_t i = 0; i < l->n_fields; i++) {
		if (!read_value(json_item(v, i), l->fields[i].kind, item + l->fields[i].at))
			return false;
	}
	return true;
}

static enum rc
read_list(const struct json *v, const struct list *l, struct relay_changeover *c, struct fault *f)
{
	const struct json *list = json_at(v, l->name);
	size_t n = in_use(c, l);
	bool good = list != NULL && json_kind(list) == JSON_KIND_ARRAY && json_count(list) == n;

	for (size_t k = 0; k < n && good; k++)
		good = read_item(json_item(list, k), l, (char *)c + l->at + k * l->stride);
	return good ? RC_OK : fault_set(f, RC_INVALID, "its list \"%s\" is damaged", l->name);
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
		enum relay_changeover_state state = (enum relay_changeover_state)s;
		if (!str_eq(text, str_from(relay_changeover_state_name(state))))
			continue;
		*out = state;
		return RC_OK;
	}
	return fault_set(f, RC_INVALID, "\"%.*s\" is no state", STR_ARG(str_sub(text, 0, 40)));
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
	changeover_words(c->opts.schedule.name, sizeof(c->opts.schedule.name), schedule);
	changeover_words(c->reason, sizeof(c->reason), reason);
	return RC_OK;
}

/* Numbers that the sums cannot work with. */
static bool
has_sane_rules(const struct relay_changeover *c)
{
	const struct relay_changeover_rules *r = &c->opts.rules;
	const struct relay_schedule *s = &c->opts.schedule;

	if (s->n_steps == 0 || s->n_steps > RELAY_CHANGEOVER_STEPS_MAX)
		return false;
	for (uint32_t i = 0; i < s->n_steps; i++) {
		const struct relay_changeover_step *step = &s->steps[i];
		if (step->share == 0 || step->share > 1000 || step->clean == 0 ||
		    step->worst_pm == 0 || step->worst_pm > 950)
			return false;
	}
	return c->p0 >= 1e-6 && c->p0 <= 0.09 && r->false_revert >= 1e-9 && r->false_revert < 1 &&
	       r->false_promote >= 1e-12 && r->false_promote < 1 && r->cusum_p1 > 0 &&
	       r->cusum_p1 <= 0.9 && r->cusum_h > 0 && r->connects > 0 && r->warm_days > 0;
}

enum rc
relay_changeover_read(const struct json *v, struct relay_changeover **out, struct fault *f)
{
	AUTO(relay_changeover_free) struct relay_changeover *c = MEM_NEW(struct relay_changeover);
	enum rc rc = json_kind(v) == JSON_KIND_OBJECT
			 ? read_head(v, c, f)
			 : fault_set(f, RC_INVALID, "a changeover is a JSON object");

	for (size_t i = 0; i < COUNT_OF(fields) && rc == RC_OK; i++) {
		if (!read_value(
			json_at(v, fields[i].name), fields[i].kind, (char *)c + fields[i].at))
			rc =
			    fault_set(f, RC_INVALID, "its value \"%s\" is damaged", fields[i].name);
	}
	for (size_t i = 0; i < COUNT_OF(lists) && rc == RC_OK; i++)
		rc = read_list(v, &lists[i], c, f);
	if (rc != RC_OK)
		return rc;
	if (!has_sane_rules(c))
		return fault_set(f, RC_INVALID, "its rules are beyond all bounds");
	changeover_set_odds(c);
	const char *broken = changeover_broken(c);
	if (broken != NULL)
		return fault_set(f, RC_INVALID, "it contradicts itself: %s", broken);
	*out = TAKE(c);
	return RC_OK;
}

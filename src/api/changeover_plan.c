/* POST /changeovers/plan: what a changeover would do, how long it would take, what is missing.
 * Nothing is changed and nobody is spoken to.
 *
 * The volume is what the statistics of the last week say of the old version; a service younger than
 * that is judged by the days it has. */
#include "api/changeover.h"

#include "store/config_system.h"
#include "store/query_queue.h"

#define STAT_ROWS_MAX 50000

/* ---- the volume ---- */

static void
count(struct api_changeover_volume *v, const struct store_stat_row *row)
{
	bool is_fault = row->state != STORE_SENT && (row->attribution == RELAY_BLAME_RELAY ||
							row->attribution == RELAY_BLAME_IDENTITY);

	v->outcomes += row->count;
	v->faults += is_fault ? row->count : 0;
	if (row->state == STORE_SENT || row->state == STORE_BOUNCED)
		v->per_day += row->count; /* a sum so far */
}

static enum rc
measure(struct api_call *c, struct store_reader *r, struct version_id version,
    struct api_changeover_volume *v, struct fault *f)
{
	int64_t now = clock_wall_us();
	struct store_stat_list q = { .since_hour = (now - API_CHANGEOVER_OBSERVED) / HOURS(1),
		.until_hour = now / HOURS(1) + 1,
		.version = version,
		.max = STAT_ROWS_MAX };
	int64_t first_hour = q.until_hour;
	enum rc rc = store_query_stats(r, &q, &c->arena, f);

	*v = (struct api_changeover_volume){ 0 };
	for (uint32_t i = 0; rc == RC_OK && i < q.n; i++) {
		count(v, &q.rows[i]);
		if (q.rows[i].hour < first_hour)
			first_hour = q.rows[i].hour;
	}
	v->observed_us = now - HOURS(first_hour);
	if (v->observed_us < HOURS(1)) /* hours are what is counted by */
		v->observed_us = HOURS(1);
	if (v->observed_us > API_CHANGEOVER_OBSERVED)
		v->observed_us = API_CHANGEOVER_OBSERVED;
	v->per_day = (uint64_t)((double)v->per_day * (double)DAYS(1) / (double)v->observed_us);
	return rc;
}

/* ---- the schedule ---- */

/* The text of a schedule has shares in it; names have not. */
static enum rc
choose_schedule(struct api_changeover_plan *p, struct fault *f)
{
	struct str s = p->form.schedule;

	if (str_has_byte(s, '%') || str_has_byte(s, '\n'))
		return relay_schedule_parse(s, &p->schedule, f);
	return relay_schedule_named(s, p->volume.per_day, &p->schedule, f);
}

enum rc
api_changeover_plan_read(
    struct api_call *c, struct store_reader *r, struct api_changeover_plan *p, struct fault *f)
{
	enum rc rc = api_changeover_resolve(c, r, &p->form, &p->way, f);

	if (rc == RC_OK)
		rc = measure(c, r, p->way.from->id, &p->volume, f);
	if (rc == RC_OK)
		rc = choose_schedule(p, f);
	relay_changeover_rules_default(&p->rules);
	return rc;
}

/* ---- what waits ---- */

struct plan_task {
	struct api_changeover_plan plan;
	struct api_groups groups;
	uint64_t waiting;     /* recipients */
	uint32_t n_groups;    /* that hold them */
	struct str uncarried; /* senders that the new version would not take */
	uint32_t n_uncarried;
	struct store_alarm_row *alarms;
	uint32_t n_alarms;
};

static bool
is_moved(const struct api_changeover_way *way, struct route_id route)
{
	for (uint32_t i = 0; i < way->n_routes; i++)
		if (way->routes[i]->id == route.v)
			return true;
	return false;
}

#define NAMED_MAX 5

static void
note_sender(struct api_call *c, struct plan_task *t, struct str sender)
{
	if (t->n_uncarried++ < NAMED_MAX)
		t->uncarried = arena_strf(&c->arena, "%.*s%s%.*s", STR_ARG(t->uncarried),
		    t->uncarried.n != 0 ? ", " : "", STR_ARG(str_sub(sender, 0, 80)));
}

/* The last word of a group's key is its sender, as far as routes tell senders apart. */
static struct str
key_sender(struct str key)
{
	struct str sender = str_skip(key, str_find_last(key, ' ') + 1);

	return str_eq(sender, STR("*")) ? STR("senders without a rule") : sender;
}

static void
count_waiting(struct api_call *c, struct plan_task *t)
{
	const struct api_changeover_way *way = &t->plan.way;
	struct str rewritten;

	for (size_t i = 0; i < t->groups.n; i++) {
		const struct api_group *g = &t->groups.v[i];
		if (g->where.refusal != RELAY_REFUSAL_NONE || !is_moved(way, g->where.route))
			continue;
		t->n_groups++;
		t->waiting += g->n[STREAM_TRANSACTIONAL] + g->n[STREAM_BULK];
		if (!relay_book_carries_key(
			c->relays, way->to->id, g->where.route, g->key, &rewritten))
			note_sender(c, t, key_sender(g->key));
	}
}

static bool
list_has(struct str list, struct str word)
{
	struct str at;

	while (api_next_word(&list, &at))
		if (str_eq_nocase(at, word))
			return true;
	return false;
}

/* Senders that the old version names and the new one does not, nor rewrites. */
static void
compare_senders(struct api_call *c, struct plan_task *t)
{
	const struct store_relay_version_row *to = t->plan.way.to;
	struct str rest = t->plan.way.from->senders, word;

	if (to->senders.n == 0)
		return;
	while (api_next_word(&rest, &word)) {
		struct str domain = str_skip(word, str_find(word, '@')), rule, rules = to->rewrites;
		bool carried = list_has(to->senders, word) || list_has(to->senders, domain);
		while (!carried && api_next_word(&rules, &rule)) {
			struct str old = str_sub(rule, 0, str_find_last(rule, '='));
			carried = str_eq(old, STR("*")) || str_eq_nocase(old, word) ||
				  str_eq_nocase(old, domain);
		}
		if (!carried)
			note_sender(c, t, word);
	}
}

/* ---- the answer ---- */

static void
put_routes(struct json_writer *w, const struct api_changeover_way *way)
{
	json_writer_put_array(w, "routes");
	for (uint32_t i = 0; i < way->n_routes; i++)
		json_writer_str(w, way->routes[i]->name);
	json_writer_end(w);
}

static void
put_seconds(struct json_writer *w, const char *key, int64_t us)
{
	if (us == TIME_NEVER)
		json_writer_put_null(w, key);
	else
		api_changeover_put_number(w, key, (double)(us / MS(1)) / 1000);
}

static void
put_schedule(struct api_call *c, const struct api_changeover_plan *p)
{
	const struct relay_schedule *s = &p->schedule;
	struct relay_schedule_time time = { 0 };
	struct json_writer *w = &c->json;
	int64_t now = clock_wall_us();

	relay_schedule_estimate(s, p->volume.per_day, &time);
	json_writer_put_object(w, "schedule");
	json_writer_put_str(w, "name", str_from(s->name));
	json_writer_put_array(w, "steps");
	for (uint32_t i = 0; i < s->n_steps; i++) {
		const struct relay_changeover_step *step = &s->steps[i];
		json_writer_object(w);
		api_changeover_put_number(w, "share", step->share / 10.0);
		json_writer_put_uint(w, "clean", step->clean);
		json_writer_put_uint(w, "at_once", step->at_once);
		put_seconds(w, "least_s", step->least_us);
		api_changeover_put_number(w, "worst", step->worst_pm / 10.0);
		put_seconds(w, "takes_s", time.step_us[i]);
		json_writer_end(w);
	}
	json_writer_end(w);
	json_writer_put_object(w, "full");
	put_seconds(w, "lasts_s", s->full_us);
	json_writer_put_uint(w, "clean", s->full_clean);
	json_writer_end(w);
	put_seconds(w, "until_full_s", time.until_full_us);
	put_seconds(w, "until_confirmed_s", time.until_confirmed_us);
	api_put_time(
	    w, "full_at", time.until_full_us == TIME_NEVER ? TIME_NEVER : now + time.until_full_us);
	api_put_time(w, "confirmed_at",
	    time.until_confirmed_us == TIME_NEVER ? TIME_NEVER : now + time.until_confirmed_us);
	put_seconds(w, "settled_s", p->rules.settled_us);
	json_writer_end(w);
}

static void
put_lack(struct json_writer *w, const char *id, struct str what, struct str todo)
{
	json_writer_object(w);
	json_writer_put_str(w, "id", str_from(id));
	json_writer_put_str(w, "what", what);
	json_writer_put_str(w, "do", todo);
	json_writer_end(w);
}

static void
put_missing(struct api_call *c, const struct plan_task *t)
{
	const struct api_changeover_plan *p = &t->plan;
	const struct store_relay_version_row *to = p->way.to;
	struct json_writer *w = &c->json;
	struct str name = p->way.to_relay->name;

	json_writer_put_array(w, "missing");
	if (t->n_uncarried != 0)
		put_lack(w, "sender",
		    arena_strf(&c->arena, "%.*s@%u does not carry %u of the senders in use: %.*s%s",
			STR_ARG(name), to->number, t->n_uncarried, STR_ARG(t->uncarried),
			t->n_uncarried > NAMED_MAX ? " ..." : ""),
		    arena_strf(&c->arena,
			"their mail stays with the old version and then has no way: 'posthouse relay edit %.*s --from ADDRESS' or --rewrite-from OLD=NEW first",
			STR_ARG(name)));
	if (str_eq(to->tls, STR("none")) && !str_eq(p->way.from->tls, STR("none")) &&
	    p->form.allow_weaker.n == 0)
		put_lack(w, "weaker",
		    arena_strf(&c->arena, "%.*s@%u has no TLS and the old version has",
			STR_ARG(name), to->number),
		    STR("give it TLS with 'posthouse relay edit', or say why not with --allow-weaker \"REASON\"; the preflight refuses otherwise"));
	if (!p->has_probe)
		put_lack(w, "probe",
		    STR("there is no mailbox to send probes to, so it can only be proven that the relay accepts mail, not that it arrives"),
		    STR("'posthouse mailbox add NAME --host IMAP-HOST --user USER --secret-file FILE --for probe'"));
	if (to->bounces.n == 0)
		put_lack(w, "bounces", STR("nobody reads the bounces that come home later"),
		    arena_strf(&c->arena,
			"'posthouse relay edit %.*s --bounces MAILBOX' names the mailbox where they arrive",
			STR_ARG(name)));
	if (t->n_alarms == 0)
		put_lack(w, "alarm", STR("nobody is told when it is held or taken back"),
		    STR("'posthouse alarm add --mail ADDRESS', --command or --url"));
	json_writer_end(w);
}

/* No failure among n leaves room for a rate of z²/(n + z²), by the bound of Wilson at 95 %. */
static double
percent_left(uint32_t clean)
{
	return 100 * 3.8415 / (clean + 3.8415);
}

static void
put_unproven(struct api_call *c, const struct plan_task *t)
{
	const struct api_changeover_plan *p = &t->plan;
	struct json_writer *w = &c->json;
	uint32_t clean = p->schedule.full_clean;

	for (uint32_t i = 0; i < p->schedule.n_steps; i++)
		clean += p->schedule.steps[i].clean;
	json_writer_put_array(w, "unproven");
	if (!p->has_probe)
		json_writer_str(w, STR("whether accepted mail reaches the inbox"));
	json_writer_str(
	    w, arena_strf(&c->arena,
		   "failures rarer than %.1f %%: %u clean messages cannot tell less from none",
		   percent_left(clean), clean));
	if (p->volume.outcomes < 300)
		json_writer_str(w,
		    arena_strf(&c->arena,
			"how the old version usually does: it has %llu outcomes of late, so the new one is held against 1 %% of failures",
			(unsigned long long)p->volume.outcomes));
	json_writer_end(w);
}

static void
put_volume(struct json_writer *w, const struct api_changeover_volume *v)
{
	json_writer_put_object(w, "volume");
	json_writer_put_uint(w, "per_day", v->per_day);
	json_writer_put_uint(w, "outcomes", v->outcomes);
	json_writer_put_uint(w, "relay_faults", v->faults);
	api_changeover_put_number(w, "observed_days", (double)(v->observed_us / HOURS(1)) / 24);
	json_writer_end(w);
}

static enum rc
put_plan(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct plan_task *t = c->data;
	const struct api_changeover_way *way = &t->plan.way;
	struct json_writer *w = &c->json;
	enum rc rc = api_changeover_plan_read(c, r, &t->plan, f);

	if (rc == RC_OK)
		rc = api_groups_read(c, r, &t->groups, f);
	if (rc == RC_OK)
		rc = store_config_alarm_list(r, &c->arena, &t->alarms, &t->n_alarms, f);
	if (rc != RC_OK)
		return rc;
	compare_senders(c, t);
	count_waiting(c, t);
	json_writer_object(w);
	json_writer_put_str(w, "object", STR("plan"));
	json_writer_put_str(w, "kind", str_from(api_changeover_kind_name(t->plan.form.kind)));
	json_writer_put_object(w, "from");
	api_changeover_put_version(w, &way->rows, way->from->id);
	json_writer_end(w);
	json_writer_put_object(w, "to");
	api_changeover_put_version(w, &way->rows, way->to->id);
	json_writer_end(w);
	put_routes(w, way);
	json_writer_put_object(w, "waiting");
	json_writer_put_uint(w, "recipients", t->waiting);
	json_writer_put_uint(w, "groups", t->n_groups);
	json_writer_put_bool(w, "more", t->groups.cut);
	json_writer_end(w);
	put_volume(w, &t->plan.volume);
	put_schedule(c, &t->plan);
	put_missing(c, t);
	put_unproven(c, t);
	json_writer_end(w);
	return RC_OK;
}

static void
plan(struct api_call *c)
{
	api_answer_from(c, put_plan);
}

void
api_changeover_plan(struct api_call *c)
{
	struct plan_task *t = ARENA_NEW(&c->arena, struct plan_task);
	struct fault f = { 0 };

	c->data = t;
	if (api_changeover_form_read(c->body, &t->plan.form, &f) != RC_OK)
		api_fail_with(c, &f);
	else
		api_look(c, true, plan);
}

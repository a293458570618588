/* GET /changeovers: all of them, one in full, and what happened.
 *
 * What the dispatcher has in force is shown as it is at this moment; anything else from its row,
 * where the machine was kept with its last step. */
#include "api/changeover.h"

#define MACHINE_MAX   ((size_t)4 << 20)
#define EVENTS_SHOWN  20
#define EVENTS_LISTED 1000

const char *
api_changeover_kind_name(enum relay_changeover_kind kind)
{
	switch (kind) {
	case RELAY_CHANGEOVER_GRADUAL: break;
	case RELAY_CHANGEOVER_EMERGENCY: return "emergency";
	case RELAY_CHANGEOVER_WARM_UP: return "warm_up";
	}
	return "gradual";
}

/* ---- names ---- */

static struct str
relay_name(const struct api_relay_rows *rows, const struct store_relay_version_row *v)
{
	for (uint32_t i = 0; v != NULL && i < rows->n_relays; i++)
		if (ID_EQ(rows->relays[i].id, v->relay))
			return rows->relays[i].name;
	return (struct str){ 0 };
}

struct str
api_changeover_version_name(
    struct arena *a, const struct api_relay_rows *rows, struct version_id id)
{
	const struct store_relay_version_row *v = api_relay_version(rows, id);
	struct str name = relay_name(rows, v);

	if (name.n == 0)
		return STR("a relay that is gone");
	return arena_strf(a, "%.*s@%u", STR_ARG(name), v->number);
}

struct str
api_changeover_route_names(struct arena *a, const struct api_relay_rows *rows, struct str ids)
{
	struct str out = { 0 }, word;
	uint64_t id;

	while (api_next_word(&ids, &word)) {
		struct str name = word;
		for (uint32_t i = 0; i < rows->n_routes && str_to_u64(word, &id) == RC_OK; i++)
			if (rows->routes[i].id == id)
				name = rows->routes[i].name;
		out = arena_strf(
		    a, "%.*s%s%.*s", STR_ARG(out), out.n != 0 ? ", " : "", STR_ARG(name));
	}
	return out;
}

void
api_changeover_put_version(
    struct json_writer *w, const struct api_relay_rows *rows, struct version_id id)
{
	const struct store_relay_version_row *v = api_relay_version(rows, id);

	api_put_text(w, "relay", relay_name(rows, v));
	json_writer_put_uint(w, "version", v != NULL ? v->number : 0);
	api_put_text(w, "host", v != NULL ? v->host : (struct str){ 0 });
	json_writer_put_uint(w, "port", v != NULL ? v->port : 0);
}

/* ---- the machine ---- */

static void
put_ms(struct json_writer *w, const char *key, int64_t us)
{
	if (us <= 0) {
		json_writer_put_null(w, key);
		return;
	}
	json_writer_key(w, str_from(key));
	json_writer_real(w, (double)us / 1000);
}

void
api_changeover_put_number(struct json_writer *w, const char *key, double v)
{
	json_writer_key(w, str_from(key));
	if (v == (double)(int64_t)v)
		json_writer_int(w, (int64_t)v);
	else
		json_writer_real(w, v);
}

static void
put_counts(struct json_writer *w, const char *key, const struct relay_changeover_counts *n)
{
	json_writer_put_object(w, key);
	json_writer_put_uint(w, "sent", n->sent);
	json_writer_put_uint(w, "relay_faults", n->relay_faults);
	json_writer_put_uint(w, "recipient_faults", n->recipient_faults);
	json_writer_put_uint(w, "in_doubt", n->in_doubt);
	json_writer_put_uint(w, "capacity", n->capacity);
	json_writer_put_uint(w, "cut", n->cut);
	json_writer_put_uint(w, "alone", n->alone);
	put_ms(w, "p50_ms", n->p50_us);
	put_ms(w, "p95_ms", n->p95_us);
	json_writer_end(w);
}

static void
put_groups(struct json_writer *w, const struct relay_changeover_view *v)
{
	json_writer_put_array(w, "groups");
	for (unsigned g = 0; g < RELAY_RGROUP_COUNT; g++) {
		const struct relay_changeover_counts *old = &v->by_group[RELAY_OLD][g],
						     *new = &v->by_group[RELAY_NEW][g];
		if (!v->is_excluded[g] &&
		    old->sent + old->relay_faults + new->sent + new->relay_faults + new->in_doubt ==
			0)
			continue;
		json_writer_object(w);
		json_writer_put_str(w, "group", str_from(relay_rgroup_name((enum relay_rgroup)g)));
		json_writer_put_bool(w, "excluded", v->is_excluded[g]);
		put_counts(w, "old", old);
		put_counts(w, "new", new);
		json_writer_end(w);
	}
	json_writer_end(w);
}

/* The step that its evidence is for. */
static void
put_progress(struct json_writer *w, const struct relay_changeover_view *v)
{
	const struct relay_schedule *s = v->schedule;
	bool in_step = v->state == RELAY_CHANGEOVER_CANARY && v->step < s->n_steps;

	json_writer_put_uint(w, "clean", v->clean);
	json_writer_put_uint(w, "clean_needed", v->clean_needed);
	api_changeover_put_number(w, "green_s", (double)(v->green_us / MS(1)) / 1000);
	api_changeover_put_number(w, "green_needed_s", (double)(v->green_needed_us / MS(1)) / 1000);
	json_writer_put_uint(w, "at_once", in_step ? s->steps[v->step].at_once : 0);
	json_writer_put_object(w, "test");
	api_changeover_put_number(w, "llr", v->llr);
	api_changeover_put_number(w, "pass", v->llr_pass);
	api_changeover_put_number(w, "fail", v->llr_fail);
	json_writer_end(w);
}

/* What the present state waits for, in words; empty where it waits for nothing. */
static struct str
waits_for(struct arena *a, const struct relay_changeover_view *v)
{
	uint32_t left = v->clean < v->clean_needed ? v->clean_needed - v->clean : 0;
	int64_t green = v->green_needed_us - v->green_us;

	switch (v->state) {
	case RELAY_CHANGEOVER_DRAFT: return STR("the preflight of the new version");
	case RELAY_CHANGEOVER_CHECKED: return STR("probes to arrive");
	case RELAY_CHANGEOVER_PROBED: return STR("its first step");
	case RELAY_CHANGEOVER_SUSPECT: return STR("a check of the old version");
	case RELAY_CHANGEOVER_HELD:
		return v->is_our_side
			   ? STR("the old version to work again; then it goes on by itself")
			   : STR("a person: resume, confirm or revert");
	case RELAY_CHANGEOVER_CONFIRMED:
		return STR("the end of the time that the old version is kept");
	case RELAY_CHANGEOVER_CANARY:
	case RELAY_CHANGEOVER_FULL: break;
	case RELAY_CHANGEOVER_RETIRED:
	case RELAY_CHANGEOVER_REVERTED:
	case RELAY_CHANGEOVER_REFUSED: return (struct str){ 0 };
	case RELAY_CHANGEOVER_STATE_COUNT: break;
	}
	if (left != 0 && green > 0)
		return arena_strf(a, "%u more clean messages and %lld s more with evidence", left,
		    (long long)(green / SECONDS(1)) + 1);
	if (left != 0)
		return arena_strf(a, "%u more clean message%s", left, left == 1 ? "" : "s");
	if (green > 0)
		return arena_strf(
		    a, "%lld s more with evidence", (long long)(green / SECONDS(1)) + 1);
	return v->clean_needed != 0 || v->green_needed_us != 0 ? STR("the next message")
							       : STR("a person: confirm or revert");
}

static void
put_view(struct api_call *c, const struct relay_changeover_view *v, bool in_full)
{
	struct json_writer *w = &c->json;

	json_writer_put_str(w, "state", str_from(relay_changeover_state_name(v->state)));
	if (v->state == RELAY_CHANGEOVER_HELD)
		json_writer_put_str(
		    w, "held_from", str_from(relay_changeover_state_name(v->held_from)));
	json_writer_put_str(w, "kind", str_from(api_changeover_kind_name(v->kind)));
	json_writer_put_uint(w, "step", v->step + (v->state >= RELAY_CHANGEOVER_CANARY));
	json_writer_put_uint(w, "steps", v->n_steps);
	api_changeover_put_number(w, "share", v->share / 10.0);
	json_writer_put_str(w, "reason", str_from(v->reason));
	api_put_text(w, "waits_for", waits_for(&c->arena, v));
	api_put_time(w, "since", v->since_us);
	api_put_time(w, "settled_at", v->settled_us);
	json_writer_put_bool(w, "unproven", v->is_unproven);
	json_writer_put_object(w, "counts");
	put_counts(w, "old", &v->counts[RELAY_OLD]);
	put_counts(w, "new", &v->counts[RELAY_NEW]);
	json_writer_end(w);
	if (!in_full)
		return;
	json_writer_put_bool(w, "old_proven", v->old_proven);
	json_writer_put_str(w, "schedule", str_from(v->schedule->name));
	put_progress(w, v);
	put_groups(w, v);
}

/* ---- history ---- */

static void
put_event(struct json_writer *w, const struct store_changeover_event *e)
{
	json_writer_object(w);
	json_writer_put_uint(w, "id", e->id);
	api_put_time(w, "at", e->at_us);
	json_writer_put_str(w, "kind", e->kind);
	json_writer_put_str(w, "state", e->state);
	json_writer_put_uint(w, "step", e->step);
	json_writer_put_str(w, "text", e->text);
	json_writer_end(w);
}

static enum rc
put_events(struct api_call *c, struct store_reader *r, uint64_t id, uint32_t max, struct fault *f)
{
	struct store_changeover_history h = { .changeover = id, .max = max };
	enum rc rc = store_config_changeover_event_list(r, &h, &c->arena, f);

	json_writer_put_array(&c->json, "events");
	for (uint32_t i = 0; rc == RC_OK && i < h.n; i++)
		put_event(&c->json, &h.rows[i]);
	json_writer_end(&c->json);
	return rc;
}

/* ---- one of them ---- */

static enum rc
put_state(struct api_call *c, const struct store_changeover_row *row, bool in_full, struct fault *f)
{
	const struct relay_changeover_view *live = api_view_changeover(c, row->id);
	AUTO(relay_changeover_free) struct relay_changeover *machine = NULL;
	AUTO(json_free) struct json *kept = NULL;
	struct relay_changeover_view v = { 0 };

	if (live != NULL) {
		put_view(c, live, in_full);
		return RC_OK;
	}
	enum rc rc = json_parse(row->machine, MACHINE_MAX, &kept, f);
	if (rc == RC_OK)
		rc = relay_changeover_read(kept, &machine, f);
	if (rc != RC_OK)
		return rc;
	relay_changeover_view(machine, &v);
	put_view(c, &v, in_full);
	return RC_OK;
}

enum rc
api_changeover_put(struct api_call *c, struct store_reader *r, const struct api_relay_rows *rows,
    const struct store_changeover_row *row, uint32_t events, struct fault *f)
{
	struct json_writer *w = &c->json;

	json_writer_object(w);
	json_writer_put_str(w, "object", STR("changeover"));
	json_writer_put_uint(w, "id", row->id);
	json_writer_put_bool(w, "open", row->open && row->settled_us == 0);
	json_writer_put_object(w, "from");
	api_changeover_put_version(w, rows, row->from);
	json_writer_end(w);
	json_writer_put_object(w, "to");
	api_changeover_put_version(w, rows, row->to);
	json_writer_end(w);
	api_put_words(w, "routes", api_changeover_route_names(&c->arena, rows, row->routes));
	api_put_text(w, "who", row->who);
	api_put_text(w, "note", row->note);
	api_put_text(w, "allow_weaker", row->allow_weaker);
	if (row->snapshot != 0)
		json_writer_put_uint(w, "snapshot", row->snapshot);
	else
		json_writer_put_null(w, "snapshot");
	api_put_time(w, "started_at", row->started_us);
	enum rc rc = put_state(c, row, events != 0, f);
	if (rc == RC_OK && events != 0)
		rc = put_events(c, r, row->id, events, f);
	json_writer_end(w);
	return rc;
}

static const struct store_changeover_row *
choose_last(const struct store_changeover_list *q)
{
	for (uint32_t i = 0; i < q->n; i++) /* newest first */
		if (q->rows[i].open && q->rows[i].settled_us == 0)
			return &q->rows[i];
	return q->n != 0 ? &q->rows[0] : NULL;
}

#define LAST_LOOKED_AT 100

enum rc
api_changeover_find(struct api_call *c, struct store_reader *r, struct str id,
    struct store_changeover_row *out, struct fault *f)
{
	struct store_changeover_list q = { .max = LAST_LOOKED_AT };
	bool last = str_eq(id, STR("last"));

	if (!last && (str_to_u64(id, &q.id) != RC_OK || q.id == 0))
		return fault_set(f, RC_NOT_FOUND, "'%.*s' is no id of a changeover",
		    STR_ARG(str_sub(id, 0, 40)));
	enum rc rc = store_config_changeover_list(r, &q, &c->arena, f);
	if (rc != RC_OK)
		return rc;
	const struct store_changeover_row *row = choose_last(&q);
	if (row == NULL)
		return fault_set(f, RC_NOT_FOUND,
		    last
			? "there has been no changeover yet; 'posthouse changeover start --to RELAY' makes one"
			: "there is no changeover %llu; 'posthouse changeover history' lists them",
		    (unsigned long long)q.id);
	*out = *row;
	return RC_OK;
}

static enum rc
put_one(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct api_relay_rows rows = { 0 };
	struct store_changeover_row row = { 0 };
	enum rc rc = api_relay_rows_read(r, &c->arena, &rows, f);

	if (rc == RC_OK)
		rc = api_changeover_find(c, r, c->name, &row, f);
	return rc == RC_OK ? api_changeover_put(c, r, &rows, &row, EVENTS_SHOWN, f) : rc;
}

static void
answer_one(struct api_call *c)
{
	api_answer_from(c, put_one);
}

void
api_changeover_show_one(struct api_call *c)
{
	api_look(c, false, answer_one);
}

void
api_changeover_show(struct api_call *c)
{
	api_changeover_show_one(c);
}

/* ---- lists ---- */

static enum rc
put_list(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct api_relay_rows rows = { 0 };
	struct store_changeover_list q = { 0 };
	uint32_t limit = 0;
	enum rc rc = api_limit(c, &limit, f);

	q.max = limit + 1;
	if (rc == RC_OK)
		rc = api_relay_rows_read(r, &c->arena, &rows, f);
	if (rc == RC_OK)
		rc = store_config_changeover_list(r, &q, &c->arena, f);
	if (rc != RC_OK)
		return rc;
	api_list_begin(&c->json);
	for (uint32_t i = 0; rc == RC_OK && i < q.n && i < limit; i++)
		rc = api_changeover_put(c, r, &rows, &q.rows[i], 0, f);
	api_list_end(&c->json, q.n > limit);
	return rc;
}

static void
answer_list(struct api_call *c)
{
	api_answer_from(c, put_list);
}

void
api_changeover_list(struct api_call *c)
{
	api_look(c, false, answer_list);
}

static enum rc
put_history(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct str after = http_query(c->request, "after");
	struct store_changeover_row row = { 0 };
	struct store_changeover_event *events = NULL;
	struct store_changeover_history h = { .max = EVENTS_LISTED };
	uint64_t behind = 0;
	uint32_t n = 0, limit = 0;
	bool more = false;
	enum rc rc = api_limit(c, &limit, f);

	if (rc == RC_OK && after.n != 0 && str_to_u64(after, &behind) != RC_OK)
		rc = fault_set(f, RC_INVALID, "after must be the id of an event");
	if (rc == RC_OK)
		rc = api_changeover_find(c, r, c->name, &row, f);
	h.changeover = row.id;
	if (rc == RC_OK)
		rc = store_config_changeover_event_list(r, &h, &c->arena, f);
	if (rc != RC_OK)
		return rc;
	events = h.rows;
	n = h.n;
	api_list_begin(&c->json);
	for (uint32_t i = 0; i < n; i++) {
		if (events[i].id <= behind)
			continue;
		more = limit == 0;
		if (more)
			break;
		limit--;
		put_event(&c->json, &events[i]);
	}
	api_list_end(&c->json, more);
	return RC_OK;
}

void
api_changeover_events(struct api_call *c)
{
	api_answer_from(c, put_history);
}

/* Relays for display. Secrets never come out; whether there is one does. */
#include "api/relay.h"

#include "api/changeover.h"
#include "api/view.h"
#include "relay/settings.h"
#include "store/config_system.h"

enum rc
api_relay_rows_read(
    struct store_reader *r, struct arena *a, struct api_relay_rows *out, struct fault *f)
{
	enum rc rc = store_config_relay_list(r, a, &out->relays, &out->n_relays, f);

	if (rc == RC_OK)
		rc = store_config_relay_version_list(
		    r, (struct relay_id){ 0 }, a, &out->versions, &out->n_versions, f);
	if (rc == RC_OK)
		rc = store_config_route_list(r, a, &out->routes, &out->n_routes, f);
	return rc;
}

enum rc
api_relay_find(const struct api_relay_rows *rows, struct str name, struct store_relay_row **out,
    struct fault *f)
{
	for (uint32_t i = 0; i < rows->n_relays; i++) {
		if (str_eq_nocase(rows->relays[i].name, name)) {
			*out = &rows->relays[i];
			return RC_OK;
		}
	}
	return fault_set(f, RC_NOT_FOUND,
	    "there is no relay '%.*s'; 'posthouse relay list' shows them all",
	    STR_ARG(str_sub(name, 0, 64)));
}

struct store_relay_version_row *
api_relay_version(const struct api_relay_rows *rows, struct version_id id)
{
	for (uint32_t i = 0; i < rows->n_versions; i++)
		if (ID_EQ(rows->versions[i].id, id))
			return &rows->versions[i];
	return NULL;
}

bool
api_relay_has_route(const struct api_relay_rows *rows, struct relay_id relay)
{
	for (uint32_t i = 0; i < rows->n_routes; i++)
		if (ID_EQ(rows->routes[i].relay, relay))
			return true;
	return false;
}

static void
put_rewrites(struct json_writer *w, struct str list)
{
	struct str word;

	json_writer_put_object(w, "rewrite_from");
	while (api_next_word(&list, &word)) {
		size_t eq = str_find_last(word, '=');
		json_writer_key(w, str_sub(word, 0, eq));
		json_writer_str(w, str_skip(word, eq + 1));
	}
	json_writer_end(w);
}

static void
put_limits(struct json_writer *w, const struct store_relay_version_row *v)
{
	char rate[RELAY_RATE_TEXT_SIZE];

	relay_rate_format((struct relay_rate){ v->rate_count, v->rate_per_s }, rate);
	json_writer_put_uint(w, "max_connections", v->max_connections);
	json_writer_put_str(w, "rate", str_from(rate));
	json_writer_put_uint(w, "daily_quota", v->daily_quota);
	json_writer_put_uint(w, "max_recipients", v->max_recipients);
}

/* ---- how a version came to be, and where it went ---- */

/* What is known besides the rows of relays; empty where lists are wanted. */
struct relay_past {
	struct store_changeover_list moves;
	struct store_audit_list audit; /* about this relay */
};

#define AUDIT_LOOKED_AT 500
#define SAME_CHANGE     SECONDS(2)

static enum rc
read_past(struct api_call *c, struct store_reader *r, struct str relay, struct relay_past *out,
    struct fault *f)
{
	enum rc rc = store_config_changeover_list(r, &out->moves, &c->arena, f);

	out->audit = (struct store_audit_list){ .target = relay, .max = AUDIT_LOOKED_AT };
	return rc == RC_OK ? store_config_audit_list(r, &out->audit, &c->arena, f) : rc;
}

/* The entry that was written in the same transaction as the version; NULL: it is gone. */
static const struct store_audit_row *
maker_of(const struct relay_past *past, const struct store_relay_version_row *v)
{
	const struct store_audit_row *best = NULL;
	int64_t least = SAME_CHANGE;

	for (uint32_t i = 0; i < past->audit.n; i++) {
		const struct store_audit_row *row = &past->audit.rows[i];
		int64_t apart = row->at_us - v->created_us;
		if (apart < 0)
			apart = -apart;
		bool makes =
		    str_eq(row->what, STR("relay.add")) || str_eq(row->what, STR("relay.edit"));
		if (makes && apart < least) {
			best = row;
			least = apart;
		}
	}
	return best;
}

static void
put_past(struct api_call *c, const struct api_relay_rows *rows, const struct relay_past *past,
    const struct store_relay_version_row *v)
{
	struct json_writer *w = &c->json;
	const struct store_audit_row *maker = maker_of(past, v);

	api_put_text(w, "created_by", maker != NULL ? maker->who : (struct str){ 0 });
	api_put_text(w, "why", maker != NULL ? maker->why : (struct str){ 0 });
	json_writer_put_array(w, "changeovers");
	for (uint32_t i = 0; i < past->moves.n; i++) {
		const struct store_changeover_row *m = &past->moves.rows[i];
		bool comes = ID_EQ(m->to, v->id);
		if (!comes && !ID_EQ(m->from, v->id))
			continue;
		json_writer_object(w);
		json_writer_put_uint(w, "id", m->id);
		json_writer_put_str(w, "side", comes ? STR("new") : STR("old"));
		json_writer_put_str(w, "other",
		    api_changeover_version_name(&c->arena, rows, comes ? m->from : m->to));
		json_writer_put_str(w, "state", m->state);
		json_writer_put_str(w, "who", m->who);
		api_put_text(w, "note", m->note);
		api_put_time(w, "started_at", m->started_us);
		api_put_time(w, "settled_at", m->settled_us);
		json_writer_end(w);
	}
	json_writer_end(w);
}

static void
put_version(struct api_call *c, const struct api_relay_rows *rows, const struct relay_past *past,
    const struct store_relay_version_row *v)
{
	struct json_writer *w = &c->json;

	json_writer_object(w);
	json_writer_put_uint(w, "number", v->number);
	json_writer_put_str(w, "host", v->host);
	json_writer_put_uint(w, "port", v->port);
	json_writer_put_str(w, "tls", v->tls);
	api_put_text(w, "tls_name", v->tls_name);
	api_put_text(w, "ca_file", v->ca_file);
	api_put_text(w, "user", v->user);
	json_writer_put_bool(w, "has_secret", v->secret.n != 0);
	json_writer_put_str(w, "auth", v->auth.n != 0 ? v->auth : STR("any"));
	api_put_words(w, "from", v->senders);
	put_rewrites(w, v->rewrites);
	api_put_text(w, "bounces", v->bounces);
	put_limits(w, v);
	api_put_text(w, "provider", v->provider);
	api_put_text(w, "allow_plaintext", v->allow_plaintext);
	api_put_time(w, "created_at", v->created_us);
	if (past != NULL)
		put_past(c, rows, past, v);
	json_writer_end(w);
}

static void
put_status(struct api_call *c, struct version_id current)
{
	const struct relay_version_row *row = relay_book_version(c->relays, current);

	if (row == NULL) {
		json_writer_put_null(&c->json, "status");
		return;
	}
	json_writer_put_object(&c->json, "status");
	api_put_way(c, row);
	json_writer_end(&c->json);
}

/* What came of a change. */
static void
put_task(struct json_writer *w, const struct api_relay_task *task)
{
	if (task == NULL)
		return;
	if (task->made != 0)
		json_writer_put_uint(w, "version", task->made);
	if (task->hint.n != 0)
		json_writer_put_str(w, "hint", task->hint);
	if (task->kept_secret)
		json_writer_put_bool(w, "checked", false);
}

/* What is set at the top is that of the current version, for those who do not care for versions. */
static void
put_relay(struct api_call *c, const struct api_relay_rows *rows, const struct relay_past *past,
    const struct store_relay_row *relay)
{
	struct json_writer *w = &c->json;
	const struct store_relay_version_row *now = api_relay_version(rows, relay->version);

	json_writer_object(w);
	json_writer_put_str(w, "name", relay->name);
	api_put_text(w, "note", relay->note);
	json_writer_put_bool(w, "paused", str_eq(relay->state, STR("paused")));
	json_writer_put_bool(w, "retired", str_eq(relay->state, STR("retired")));
	api_put_text(w, "paused_why", relay->state_why);
	json_writer_put_uint(w, "current", now != NULL ? now->number : 0);
	if (now != NULL) {
		json_writer_put_str(w, "host", now->host);
		json_writer_put_uint(w, "port", now->port);
		json_writer_put_str(w, "tls", now->tls);
		api_put_text(w, "user", now->user);
		api_put_words(w, "from", now->senders);
		put_limits(w, now);
	}
	json_writer_put_bool(w, "in_use", api_relay_has_route(rows, relay->id));
	json_writer_put_array(w, "versions");
	for (uint32_t i = 0; i < rows->n_versions; i++)
		if (ID_EQ(rows->versions[i].relay, relay->id))
			put_version(c, rows, past, &rows->versions[i]);
	json_writer_end(w);
	put_status(c, relay->version);
	api_put_time(w, "created_at", relay->created_us);
	put_task(w, c->data);
	json_writer_end(w);
}

enum rc
api_relay_put(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct api_relay_rows rows = { 0 };
	struct store_relay_row *relay = NULL;
	struct relay_past past = { 0 };
	enum rc rc = api_relay_rows_read(r, &c->arena, &rows, f);

	if (rc == RC_OK)
		rc = api_relay_find(&rows, c->name, &relay, f);
	if (rc != RC_OK)
		return rc;
	ASSERT(relay != NULL);
	rc = read_past(c, r, relay->name, &past, f);
	if (rc != RC_OK)
		return rc;
	put_relay(c, &rows, &past, relay);
	return RC_OK;
}

static enum rc
put_all(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct api_relay_rows rows = { 0 };
	enum rc rc = api_relay_rows_read(r, &c->arena, &rows, f);

	if (rc != RC_OK)
		return rc;
	api_list_begin(&c->json);
	for (uint32_t i = 0; i < rows.n_relays; i++)
		put_relay(c, &rows, NULL, &rows.relays[i]);
	api_list_end(&c->json, false);
	return RC_OK;
}

static void
show_all(struct api_call *c)
{
	api_answer_from(c, put_all);
}

static void
show_one(struct api_call *c)
{
	api_answer_from(c, api_relay_put);
}

void
api_relay_list(struct api_call *c)
{
	api_look(c, false, show_all);
}

void
api_relay_show(struct api_call *c)
{
	api_look(c, false, show_one);
}

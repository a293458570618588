/* POST /relays/{name}/retire, and the wiping of secrets after the settled period.
 *
 * A secret is kept as long as something in use logs in with it: the version in use of a relay that
 * is not retired, or either end of a changeover under way. With verify_revoked the old login is
 * tried once more, and must be refused: a secret that was only forgotten here still opens the door
 * at the provider. */
#include "api/relay_retire.h"

#include "api/changeover.h"
#include "api/preflight_ask.h"
#include "api/watch.h"
#include "base/log.h"
#include "deliver/changeover.h"
#include "store/config_system.h"

struct retire_task {
	bool verify;
	bool whole; /* the relay with all its versions */
	struct api_relay_rows rows;
	struct store_changeover_list moves;
	struct store_relay_row *relay;
	struct store_relay_version_row **versions; /* what is to be wiped */
	uint32_t n;
	uint32_t next; /* to be verified */
	struct api_check check;
	struct store_alarm_row *alarms;
	uint32_t n_alarms;
};

/* ---- what is in use ---- */

static bool
is_moving(const struct store_changeover_list *moves, struct version_id v)
{
	for (uint32_t i = 0; i < moves->n; i++) {
		const struct store_changeover_row *row = &moves->rows[i];
		if (row->open && row->settled_us == 0 && (ID_EQ(row->from, v) || ID_EQ(row->to, v)))
			return true;
	}
	return false;
}

static bool
is_current(const struct api_relay_rows *rows, const struct store_relay_version_row *v)
{
	for (uint32_t i = 0; i < rows->n_relays; i++)
		if (ID_EQ(rows->relays[i].version, v->id))
			return !str_eq(rows->relays[i].state, STR("retired"));
	return false;
}

static bool
same_login(const struct store_relay_version_row *a, const struct store_relay_version_row *b)
{
	return str_eq(a->user, b->user) && str_eq_nocase(a->host, b->host);
}

/* Another version in use that logs in as the same user there, or NULL. */
static const struct store_relay_version_row *
sharer_of(const struct api_relay_rows *rows, const struct store_changeover_list *moves,
    const struct store_relay_version_row *v)
{
	for (uint32_t i = 0; i < rows->n_versions; i++) {
		const struct store_relay_version_row *other = &rows->versions[i];
		if (!ID_EQ(other->id, v->id) && same_login(other, v) &&
		    (is_current(rows, other) || is_moving(moves, other->id)))
			return other;
	}
	return NULL;
}

/* ---- by itself ---- */

static enum rc
tidy(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	struct store_reader *r = store_tx_reader(tx);
	struct api_relay_rows rows = { 0 };
	struct store_changeover_list moves = { 0 };
	enum rc rc = api_relay_rows_read(r, &c->arena, &rows, f);

	if (rc == RC_OK)
		rc = store_config_changeover_list(r, &moves, &c->arena, f);
	for (uint32_t i = 0; rc == RC_OK && i < moves.n; i++) {
		const struct store_changeover_row *row = &moves.rows[i];
		struct store_relay_version_row *v = api_relay_version(&rows, row->from);
		if (!str_eq(row->state, STR("retired")) || v == NULL || v->secret.n == 0 ||
		    is_current(&rows, v) || is_moving(&moves, v->id) ||
		    sharer_of(&rows, &moves, v) != NULL)
			continue;
		v->secret = (struct str){ 0 };
		rc = store_config_changeover_wipe(tx, v->id, f);
		if (rc == RC_OK)
			rc = api_audit(c, tx, "relay.wipe",
			    api_changeover_version_name(&c->arena, &rows, v->id),
			    arena_strf(&c->arena, "changeover %llu is over for good",
				(unsigned long long)row->id),
			    f);
	}
	return rc;
}

static void
publish_tidied(struct api_call *c)
{
	api_publish(c, api_done);
}

void
api_relay_retire_tidy(struct api *a)
{
	struct api_call *c = api_call_new(a, NULL);

	c->who = STR("posthouse");
	api_write(c, tidy, publish_tidied);
}

/* ---- by a person: what is meant ---- */

static enum rc
choose_versions(struct api_call *c, struct retire_task *t, struct fault *f)
{
	struct str name = c->name;
	size_t at = str_find_last(name, '@');
	uint64_t number = 0;
	enum rc rc = api_relay_find(&t->rows, str_sub(name, 0, at), &t->relay, f);

	if (rc != RC_OK)
		return rc;
	t->whole = at == name.n;
	if (!t->whole && str_to_u64(str_skip(name, at + 1), &number) != RC_OK)
		number = 0;
	t->versions =
	    ARENA_NEW_ARRAY(&c->arena, struct store_relay_version_row *, t->rows.n_versions);
	for (uint32_t i = 0; i < t->rows.n_versions; i++) {
		struct store_relay_version_row *v = &t->rows.versions[i];
		if (ID_EQ(v->relay, t->relay->id) && (t->whole || v->number == number))
			t->versions[t->n++] = v;
	}
	if (t->n == 0)
		return fault_set(f, RC_NOT_FOUND,
		    "relay '%.*s' has no version '%.*s'; 'posthouse relay show %.*s' lists them",
		    STR_ARG(t->relay->name), STR_ARG(str_sub(str_skip(name, at + 1), 0, 20)),
		    STR_ARG(t->relay->name));
	return RC_OK;
}

static enum rc
check_versions(const struct retire_task *t, struct fault *f)
{
	struct str name = t->relay->name;

	if (t->whole && api_relay_has_route(&t->rows, t->relay->id))
		return fault_set(f, RC_DENIED,
		    "a route goes through relay '%.*s'; move it away first: 'posthouse changeover start --to OTHER'",
		    STR_ARG(name));
	for (uint32_t i = 0; i < t->n; i++) {
		const struct store_relay_version_row *v = t->versions[i];
		if (is_moving(&t->moves, v->id))
			return fault_set(f, RC_DENIED,
			    "%.*s@%u is part of a changeover under way; 'posthouse changeover status' shows it",
			    STR_ARG(name), v->number);
		if (!t->whole && is_current(&t->rows, v))
			return fault_set(f, RC_DENIED,
			    "%.*s@%u is the version in use of its relay; name the relay alone to retire all of it",
			    STR_ARG(name), v->number);
	}
	return RC_OK;
}

static enum rc
find(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct retire_task *t = c->data;
	enum rc rc = api_relay_rows_read(r, &c->arena, &t->rows, f);

	t->moves = (struct store_changeover_list){ 0 };
	t->n = 0;
	if (rc == RC_OK)
		rc = store_config_changeover_list(r, &t->moves, &c->arena, f);
	if (rc == RC_OK)
		rc = store_config_alarm_list(r, &c->arena, &t->alarms, &t->n_alarms, f);
	if (rc == RC_OK)
		rc = choose_versions(c, t, f);
	return rc == RC_OK ? check_versions(t, f) : rc;
}

/* ---- by a person: doing it ---- */

static enum rc
wipe(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	struct retire_task *t = c->data;
	enum rc rc = find(c, store_tx_reader(tx), f);

	for (uint32_t i = 0; rc == RC_OK && i < t->n; i++)
		rc = store_config_changeover_wipe(tx, t->versions[i]->id, f);
	if (rc == RC_OK && t->whole) {
		t->relay->state = STR("retired");
		t->relay->state_why = STR("retired by an operator");
		rc = store_config_relay_put(tx, t->relay, f);
	}
	return rc == RC_OK ? api_audit(c, tx, "relay.retire", c->name,
				 t->verify ? STR("the old login is refused") : (struct str){ 0 }, f)
			   : rc;
}

/* Changeovers that kept a version for the settled period need not any more. */
static void
end_moves(struct api_call *c, struct deliver *d)
{
	const struct retire_task *t = c->data;

	for (uint32_t i = 0; i < t->moves.n; i++) {
		const struct store_changeover_row *row = &t->moves.rows[i];
		for (uint32_t k = 0; k < t->n; k++)
			if (row->open && ID_EQ(row->from, t->versions[k]->id))
				(void)!deliver_changeover_command(d, row->id,
				    DELIVER_CHANGEOVER_RETIRE, STR("the relay is retired"), NULL);
	}
}

static void
answer(struct api_call *c)
{
	const struct retire_task *t = c->data;
	struct json_writer *w = &c->json;

	json_writer_object(w);
	json_writer_put_str(w, "object", STR("retired"));
	json_writer_put_str(w, "relay", t->relay->name);
	json_writer_put_array(w, "versions");
	for (uint32_t i = 0; i < t->n; i++)
		json_writer_uint(w, t->versions[i]->number);
	json_writer_end(w);
	json_writer_put_bool(w, "verified", t->verify);
	json_writer_end(w);
	api_done(c);
}

static void
publish(struct api_call *c)
{
	api_publish(c, answer);
}

static void
order(struct api_call *c)
{
	api_order(c, end_moves, publish);
}

/* ---- the old login ---- */

static void verify_next(struct api_call *c);

static void
still_open(struct api_call *c, const struct store_relay_version_row *v)
{
	const struct retire_task *t = c->data;
	struct str subject =
	    arena_strf(&c->arena, "Posthouse on %.*s: the old login of %.*s@%u still works",
		STR_ARG(c->api->opts.hostname), STR_ARG(t->relay->name), v->number);
	struct str text = arena_strf(&c->arena,
	    "The secret of %.*s at %.*s was to be revoked, and the server still takes it.\n"
	    "What to do: revoke it at the provider, then 'posthouse relay retire %.*s --verify-revoked' again.\n",
	    STR_ARG(v->user), STR_ARG(v->host), STR_ARG(c->name));

	api_watch_sound(c->api, t->alarms, t->n_alarms, subject, text);
	api_fail(c, RC_EXISTS,
	    "the old login of %.*s@%u still works, so its secret is kept; revoke it at the provider and try again",
	    STR_ARG(t->relay->name), v->number);
}

static void
verified(struct api_call *c)
{
	struct retire_task *t = c->data;
	const struct store_relay_version_row *v = t->versions[t->next];
	const struct api_check *k = &t->check;

	if (k->rc == RC_OK && k->passed) {
		still_open(c, v);
	} else if (k->rc != RC_OK || k->failed != PREFLIGHT_STAGE_AUTH) {
		api_fail(c, RC_EXISTS,
		    "whether the old login of %.*s@%u is refused could not be seen (%.*s), so its secret is kept",
		    STR_ARG(t->relay->name), v->number, STR_ARG(str_sub(k->summary, 0, 120)));
	} else {
		t->next++;
		verify_next(c);
	}
}

static void
verify_next(struct api_call *c)
{
	struct retire_task *t = c->data;

	while (t->verify && t->next < t->n && t->versions[t->next]->secret.n == 0)
		t->next++;
	if (!t->verify || t->next >= t->n) {
		api_write(c, wipe, order);
		return;
	}
	t->check = (struct api_check){ .version = t->versions[t->next]->id };
	api_preflight_ask(c, &t->check, verified);
}

void
api_relay_retire(struct api_call *c)
{
	static const char *const fields[] = { "verify_revoked" };
	struct retire_task *t = ARENA_NEW(&c->arena, struct retire_task);
	struct fault f = { 0 };
	enum rc rc = RC_OK;

	c->data = t;
	if (c->body != NULL)
		rc = json_only(c->body, fields, COUNT_OF(fields), &f);
	if (rc == RC_OK && c->body != NULL)
		rc = json_opt_bool(c->body, "verify_revoked", &t->verify, &f);
	if (rc != RC_OK)
		api_fail_with(c, &f);
	else
		api_read(c, find, verify_next);
}

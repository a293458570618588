/* Changes of relays.
 *
 * A change is made and judged in one transaction: rows are written, the books are built from them,
 * and what the books refuse undoes the change. A relay version is immutable; what changes where or
 * how mail goes makes another one, which becomes current by itself only where no mail is moved by
 * that: the relay is on no route, or nothing was ever sent through it and nothing waits for it.
 * Otherwise a changeover is the way. */
#include "api/books.h"
#include "api/mailbox.h"
#include "api/relay.h"
#include "deliver/deliver.h"
#include "store/config_system.h"
#include "store/query_queue.h"
#include "store/state.h"

static struct api_relay_task *
task_of(struct api_call *c)
{
	if (c->data == NULL)
		c->data = ARENA_NEW(&c->arena, struct api_relay_task);
	return c->data;
}

/* Whether the books can be built from what the transaction has written so far. */
static enum rc
judge(struct store_tx *tx, struct fault *f)
{
	AUTO(relay_book_unref) struct relay_book *book = NULL;

	return api_books_read(store_tx_reader(tx), &book, NULL, f);
}

/* ---- after the change ---- */

static void
show(struct api_call *c)
{
	api_answer_from(c, api_relay_put);
}

static void
look(struct api_call *c)
{
	api_look(c, false, show);
}

/* Every version of the relay is paused or resumed, since a changeover may use any. */
static void
tell_desk(struct api_call *c, struct deliver *d)
{
	const struct api_relay_task *t = c->data;

	for (size_t i = 0; i < relay_book_version_count(c->relays); i++) {
		const struct relay_version_row *v = relay_book_version_at(c->relays, i);
		if (!ID_EQ(v->relay, t->relay))
			continue;
		if (t->paused)
			relay_desk_pause(deliver_desk(d), v->id, t->why, deliver_now_us(d));
		else
			relay_desk_resume(deliver_desk(d), v->id, deliver_now_us(d));
	}
	deliver_settle(d);
}

static void
published(struct api_call *c)
{
	const struct api_relay_task *t = c->data;

	/* A new secret deserves a try at once, though the old one was refused. */
	if (t->paused || t->kept_secret)
		api_order(c, tell_desk, look);
	else
		look(c);
}

static void
publish(struct api_call *c)
{
	api_publish(c, published);
}

static void
note_pause(struct api_relay_task *t, const struct store_relay_row *relay)
{
	t->relay = relay->id;
	t->paused = str_eq(relay->state, STR("paused"));
	t->why = relay->state_why;
}

/* ---- adding ---- */

static enum rc
add_default_route(
    struct store_tx *tx, const struct api_relay_rows *rows, struct relay_id relay, struct fault *f)
{
	struct store_route_row route = { .name = STR("default"),
		.relay = relay,
		.is_default = true,
		.created_us = clock_wall_us() };

	if (rows->n_routes != 0)
		return RC_OK;
	return store_config_route_put(tx, &route, f);
}

static enum rc
add(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	struct api_relay_task *t = c->data;
	struct api_relay_rows rows = { 0 };
	struct store_relay_row *same;
	struct store_relay_version_row v = t->form.v;
	struct store_relay_row relay = { .name = t->form.name,
		.state = STR("active"),
		.note = t->form.note,
		.created_us = clock_wall_us() };
	enum rc rc = api_relay_rows_read(store_tx_reader(tx), &c->arena, &rows, f);

	if (rc == RC_OK && api_relay_find(&rows, relay.name, &same, NULL) == RC_OK)
		return fault_set(f, RC_EXISTS,
		    "there is a relay '%.*s' already; change it with 'posthouse relay edit', or take another name",
		    STR_ARG(same->name));
	if (rc == RC_OK)
		rc = api_mailbox_must_exist(store_tx_reader(tx), v.bounces, &c->arena, f);
	if (rc == RC_OK)
		rc = store_config_relay_put(tx, &relay, f);
	if (rc == RC_OK && t->form.secret.p != NULL)
		rc = api_relay_seal(c, relay.id, t->form.secret, &v.secret, f);
	v.relay = relay.id;
	v.created_us = relay.created_us;
	if (rc == RC_OK)
		rc = store_config_relay_version_add(tx, &v, f);
	relay.version = v.id;
	if (rc == RC_OK)
		rc = store_config_relay_put(tx, &relay, f);
	if (rc == RC_OK)
		rc = add_default_route(tx, &rows, relay.id, f);
	if (rc == RC_OK)
		rc = store_config_setting_put(tx, STR("had-relay"), STR("yes"), f);
	if (rc == RC_OK)
		rc = judge(tx, f);
	return rc == RC_OK ? api_audit(c, tx, "relay.add", relay.name, t->form.note, f) : rc;
}

void
api_relay_add(struct api_call *c)
{
	struct api_relay_task *t = task_of(c);
	struct fault f = { 0 };

	if (api_relay_form_read(c->body, true, &c->arena, &t->form, &f) != RC_OK) {
		api_fail_with(c, &f);
		return;
	}
	c->name = t->form.name;
	c->status = 201;
	api_write(c, add, publish);
}

/* ---- editing ---- */

/* Whether anything was ever sent through the relay. */
static enum rc
has_sent(struct store_reader *r, const struct api_relay_rows *rows, struct relay_id relay,
    struct arena *a, bool *out, struct fault *f)
{
	*out = false;
	for (uint32_t i = 0; i < rows->n_versions && !*out; i++) {
		struct store_stat_list q = { .until_hour = clock_wall_us() / HOURS(1) + 1,
			.version = rows->versions[i].id,
			.max = 1000 };
		if (!ID_EQ(rows->versions[i].relay, relay))
			continue;
		enum rc rc = store_query_stats(r, &q, a, f);
		if (rc != RC_OK)
			return rc;
		for (uint32_t k = 0; k < q.n; k++)
			*out |= q.rows[k].state == STORE_SENT;
		*out |= q.n == q.max;
	}
	return RC_OK;
}

static enum rc
add_version(struct api_call *c, struct store_tx *tx, const struct api_relay_rows *rows,
    struct store_relay_row *relay, struct fault *f)
{
	struct api_relay_task *t = c->data;
	struct store_relay_version_row v = t->form.v;
	bool sent = false;
	enum rc rc = RC_OK;

	v.id = (struct version_id){ 0 };
	v.created_us = clock_wall_us();
	v.caps_seen = false;
	if (t->form.secret.p != NULL)
		rc = api_relay_seal(c, relay->id, t->form.secret, &v.secret, f);
	if (v.user.n == 0)
		v.secret = (struct str){ 0 };
	if (rc == RC_OK)
		rc = store_config_relay_version_add(tx, &v, f);
	if (rc == RC_OK)
		rc = has_sent(store_tx_reader(tx), rows, relay->id, &c->arena, &sent, f);
	if (rc != RC_OK)
		return rc;
	t->made = v.number;
	t->hint = (struct str){ 0 };
	if (!api_relay_has_route(rows, relay->id) ||
	    (!sent && !api_groups_wait_for(&t->groups, relay->id)))
		relay->version = v.id;
	else
		t->hint = arena_strf(&c->arena, "posthouse changeover start --to %.*s@%u",
		    STR_ARG(relay->name), v.number);
	return RC_OK;
}

static enum rc
edit(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	struct api_relay_task *t = c->data;
	struct api_relay_rows rows = { 0 };
	struct store_relay_row *relay = NULL;
	enum rc rc = api_relay_rows_read(store_tx_reader(tx), &c->arena, &rows, f);

	if (rc == RC_OK)
		rc = api_relay_find(&rows, c->name, &relay, f);
	if (rc != RC_OK)
		return rc;
	const struct store_relay_version_row *now = api_relay_version(&rows, relay->version);
	t->form = (struct api_relay_form){ 0 };
	if (now != NULL)
		t->form.v = *now;
	t->form.v.relay = relay->id;
	rc = api_relay_form_read(c->body, false, &c->arena, &t->form, f);
	if (rc == RC_OK && json_at(c->body, "bounces") != NULL)
		rc = api_mailbox_must_exist(store_tx_reader(tx), t->form.v.bounces, &c->arena, f);
	if (rc == RC_OK && (t->form.has_way || now == NULL))
		rc = add_version(c, tx, &rows, relay, f);
	else if (rc == RC_OK && t->form.has_limits)
		rc = store_config_relay_version_tune(tx, &t->form.v, f);
	if (t->form.has_note)
		relay->note = t->form.note;
	note_pause(t, relay);
	if (rc == RC_OK)
		rc = store_config_relay_put(tx, relay, f);
	if (rc == RC_OK)
		rc = judge(tx, f);
	return rc == RC_OK ? api_audit(c, tx, "relay.edit", relay->name, t->form.note, f) : rc;
}

static enum rc
read_groups(struct api_call *c, struct store_reader *r, struct fault *f)
{
	return api_groups_read(c, r, &task_of(c)->groups, f);
}

static void
write_edit(struct api_call *c)
{
	api_write(c, edit, publish);
}

static void
group_edit(struct api_call *c)
{
	api_read(c, read_groups, write_edit);
}

void
api_relay_edit(struct api_call *c)
{
	api_look(c, true, group_edit);
}

/* ---- the secret ---- */

/* Versions that log in as the same user at the same host share the secret. */
static enum rc
set_secret(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	struct api_relay_task *t = c->data;
	struct api_relay_rows rows = { 0 };
	struct store_relay_row *relay = NULL;
	struct str sealed = { 0 };
	enum rc rc = api_relay_rows_read(store_tx_reader(tx), &c->arena, &rows, f);

	if (rc == RC_OK)
		rc = api_relay_find(&rows, c->name, &relay, f);
	if (rc != RC_OK)
		return rc;
	const struct store_relay_version_row *now = api_relay_version(&rows, relay->version);
	if (now == NULL || now->user.n == 0)
		return fault_set(f, RC_INVALID,
		    "relay '%.*s' logs in as nobody; give it a user first with 'posthouse relay edit --user'",
		    STR_ARG(relay->name));
	rc = api_relay_seal(c, relay->id, t->form.secret, &sealed, f);
	for (uint32_t i = 0; i < rows.n_versions && rc == RC_OK; i++) {
		struct store_relay_version_row *v = &rows.versions[i];
		if (!ID_EQ(v->relay, relay->id) || !str_eq(v->user, now->user) ||
		    !str_eq_nocase(v->host, now->host))
			continue;
		v->secret = sealed;
		rc = store_config_relay_version_tune(tx, v, f);
	}
	note_pause(t, relay);
	return rc == RC_OK ? api_audit(c, tx, "relay.secret", relay->name, (struct str){ 0 }, f)
			   : rc;
}

void
api_relay_secret(struct api_call *c)
{
	struct api_relay_task *t = task_of(c);
	struct fault f = { 0 };

	if (api_need_str(c->body, "secret", &t->form.secret, &f) != RC_OK) {
		api_fail_with(c, &f);
		return;
	}
	t->kept_secret = true;
	api_write(c, set_secret, publish);
}

/* ---- pausing ---- */

static enum rc
set_state(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	struct api_relay_task *t = c->data;
	struct api_relay_rows rows = { 0 };
	struct store_relay_row *relay = NULL;
	enum rc rc = api_relay_rows_read(store_tx_reader(tx), &c->arena, &rows, f);

	if (rc == RC_OK)
		rc = api_relay_find(&rows, c->name, &relay, f);
	if (rc != RC_OK)
		return rc;
	relay->state = t->paused ? STR("paused") : STR("active");
	relay->state_why = t->why;
	t->relay = relay->id;
	rc = store_config_relay_put(tx, relay, f);
	if (rc != RC_OK)
		return rc;
	return api_audit(c, tx, t->paused ? "relay.pause" : "relay.resume", relay->name, t->why, f);
}

static void
order_state(struct api_call *c)
{
	api_order(c, tell_desk, look);
}

static void
change_state(struct api_call *c, bool paused)
{
	struct api_relay_task *t = task_of(c);
	struct fault f = { 0 };
	enum rc rc = RC_OK;

	t->paused = paused;
	t->why = paused ? STR("paused by an operator") : (struct str){ 0 };
	if (paused && c->body != NULL)
		rc = json_opt_str(c->body, "why", &t->why, &f);
	if (rc == RC_OK)
		rc = api_check_text("why", t->why, 200, &f);
	if (rc != RC_OK)
		api_fail_with(c, &f);
	else
		api_write(c, set_state, order_state);
}

void
api_relay_pause(struct api_call *c)
{
	change_state(c, true);
}

void
api_relay_resume(struct api_call *c)
{
	change_state(c, false);
}

/* ---- removing ---- */

static enum rc
drop(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	struct api_relay_task *t = c->data;
	struct api_relay_rows rows = { 0 };
	struct store_relay_row *relay = NULL;
	enum rc rc = api_relay_rows_read(store_tx_reader(tx), &c->arena, &rows, f);

	if (rc == RC_OK)
		rc = api_relay_find(&rows, c->name, &relay, f);
	if (rc != RC_OK)
		return rc;
	if (api_groups_wait_for(&t->groups, relay->id))
		return fault_set(f, RC_EXISTS,
		    "mail waits for relay '%.*s'; let it go out, or cancel it with 'posthouse queue cancel relay=%.*s'",
		    STR_ARG(relay->name), STR_ARG(relay->name));
	if (api_relay_has_route(&rows, relay->id))
		return fault_set(f, RC_EXISTS,
		    "a route names relay '%.*s'; point the route elsewhere first with 'posthouse route edit'",
		    STR_ARG(relay->name));
	rc = store_config_relay_remove(tx, relay->id, f);
	if (rc == RC_OK)
		rc = judge(tx, f);
	return rc == RC_OK ? api_audit(c, tx, "relay.remove", relay->name, (struct str){ 0 }, f)
			   : rc;
}

static void
publish_drop(struct api_call *c)
{
	api_publish(c, api_done_empty);
}

static void
write_drop(struct api_call *c)
{
	api_write(c, drop, publish_drop);
}

static void
group_drop(struct api_call *c)
{
	api_read(c, read_groups, write_drop);
}

void
api_relay_remove(struct api_call *c)
{
	api_look(c, true, group_drop);
}

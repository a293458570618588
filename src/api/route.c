/* Routes. One that would move mail which waits or is being sent is refused: that is a changeover.
 */
#include "api/books.h"
#include "api/relay.h"

#include "mail/address.h"
#include "store/config_account.h"

struct route_task {
	struct api_groups groups;
	bool is_removal;
};

static const char *const fields[] = { "relay", "account", "from", "to", "stream", "default",
	"bounces", "name", "note" };

/* ---- showing ---- */

static struct str
account_name(const struct store_account_row *rows, uint32_t n, struct account_id id)
{
	for (uint32_t i = 0; i < n; i++)
		if (ID_EQ(rows[i].id, id))
			return rows[i].name;
	return ID_IS_NONE(id) ? (struct str){ 0 } : STR("local");
}

static void
put_route(struct json_writer *w, const struct api_relay_rows *rows,
    const struct store_account_row *accounts, uint32_t n_accounts, const struct store_route_row *r)
{
	struct str relay = { 0 };

	for (uint32_t i = 0; i < rows->n_relays; i++)
		if (ID_EQ(rows->relays[i].id, r->relay))
			relay = rows->relays[i].name;
	json_writer_object(w);
	json_writer_put_uint(w, "id", r->id);
	json_writer_put_str(w, "name", r->name);
	json_writer_put_str(w, "relay", relay);
	api_put_text(w, "account", account_name(accounts, n_accounts, r->account));
	api_put_text(w, "from", r->sender);
	api_put_text(w, "to", r->rcpt_domain);
	api_put_text(
	    w, "stream", r->by_stream ? str_from(mail_stream_name(r->stream)) : (struct str){ 0 });
	json_writer_put_bool(w, "default", r->is_default);
	json_writer_put_bool(w, "bounces", r->for_bounces);
	api_put_text(w, "note", r->note);
	api_put_time(w, "created_at", r->created_us);
	json_writer_end(w);
}

/* All of them, or the one that c->name names. */
static enum rc
put_routes(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct api_relay_rows rows = { 0 };
	struct store_account_row *accounts;
	uint32_t n = 0;
	bool found = false;
	enum rc rc = api_relay_rows_read(r, &c->arena, &rows, f);

	if (rc == RC_OK)
		rc = store_config_account_list(r, &c->arena, &accounts, &n, f);
	if (rc != RC_OK)
		return rc;
	if (c->name.n == 0)
		api_list_begin(&c->json);
	for (uint32_t i = 0; i < rows.n_routes && !found; i++) {
		found = str_eq(c->name, rows.routes[i].name);
		if (c->name.n == 0 || found)
			put_route(&c->json, &rows, accounts, n, &rows.routes[i]);
	}
	if (c->name.n == 0)
		api_list_end(&c->json, false);
	else if (!found)
		return fault_set(f, RC_NOT_FOUND, "the route is gone");
	return RC_OK;
}

void
api_route_list(struct api_call *c)
{
	api_answer_from(c, put_routes);
}

/* ---- reading a request ---- */

static enum rc
get_account(
    struct api_call *c, struct store_reader *r, struct store_route_row *route, struct fault *f)
{
	struct store_account_row *rows = NULL;
	struct str name = { 0 };
	uint32_t n = 0;

	if (json_at(c->body, "account") == NULL)
		return RC_OK;
	enum rc rc = api_need_str(c->body, "account", &name, f);
	if (rc == RC_OK)
		rc = store_config_account_list(r, &c->arena, &rows, &n, f);
	if (rc != RC_OK)
		return rc;
	route->account = (struct account_id){ str_eq_nocase(name, STR("local")) ? 1 : 0 };
	for (uint32_t i = 0; i < n; i++)
		if (str_eq_nocase(rows[i].name, name))
			route->account = rows[i].id;
	if (name.n != 0 && ID_IS_NONE(route->account))
		return fault_set(f, RC_INVALID,
		    "account '%.*s' is not there; add it with 'posthouse account add'",
		    STR_ARG(str_sub(name, 0, 64)));
	return RC_OK;
}

static enum rc
get_relay(struct api_call *c, const struct api_relay_rows *rows, struct store_route_row *route,
    struct fault *f)
{
	struct store_relay_row *relay = NULL;
	struct str name = { 0 };
	enum rc rc = json_opt_str(c->body, "relay", &name, f);

	if (rc != RC_OK)
		return rc;
	if (name.n == 0)
		return ID_IS_NONE(route->relay)
			   ? fault_set(f, RC_INVALID,
				 "relay is missing: the name of the relay that mail goes through")
			   : RC_OK;
	if (api_relay_find(rows, name, &relay, f) != RC_OK)
		return RC_INVALID;
	ASSERT(relay != NULL);
	route->relay = relay->id;
	return RC_OK;
}

static enum rc
get_stream(struct api_call *c, struct store_route_row *route, struct fault *f)
{
	struct str name = { 0 };
	enum rc rc = json_opt_str(c->body, "stream", &name, f);

	if (rc != RC_OK || json_at(c->body, "stream") == NULL)
		return rc;
	route->by_stream = name.n != 0;
	if (name.n != 0 && !mail_stream_parse(name, &route->stream))
		return fault_set(f, RC_INVALID, "stream must be transactional or bulk");
	return RC_OK;
}

static enum rc
get_route(struct api_call *c, struct store_reader *r, const struct api_relay_rows *rows,
    struct store_route_row *route, struct fault *f)
{
	enum rc rc = json_only(c->body, fields, COUNT_OF(fields), f);

	if (rc == RC_OK)
		rc = get_relay(c, rows, route, f);
	if (rc == RC_OK)
		rc = get_account(c, r, route, f);
	if (rc == RC_OK)
		rc = json_opt_str(c->body, "from", &route->sender, f);
	if (rc == RC_OK)
		rc = json_opt_str(c->body, "to", &route->rcpt_domain, f);
	/* "@example.com" and "*@example.com" mean the domain too. */
	if (route->rcpt_domain.n != 0)
		route->rcpt_domain = str_skip(
		    route->rcpt_domain, str_find(route->rcpt_domain, '@') < route->rcpt_domain.n
					    ? str_find(route->rcpt_domain, '@') + 1
					    : 0);
	if (rc == RC_OK)
		rc = get_stream(c, route, f);
	if (rc == RC_OK)
		rc = json_opt_bool(c->body, "default", &route->is_default, f);
	if (rc == RC_OK)
		rc = json_opt_bool(c->body, "bounces", &route->for_bounces, f);
	if (rc == RC_OK)
		rc = json_opt_str(c->body, "name", &route->name, f);
	if (rc == RC_OK)
		rc = json_opt_str(c->body, "note", &route->note, f);
	return rc;
}

static bool
name_is_free(const struct api_relay_rows *rows, struct str name)
{
	for (uint32_t i = 0; i < rows->n_routes; i++)
		if (str_eq_nocase(rows->routes[i].name, name))
			return false;
	return true;
}

/* A name that says what the route is for, where none was given. */
static struct str
make_name(struct arena *a, const struct api_relay_rows *rows, const struct store_route_row *r)
{
	struct str base = r->is_default    ? STR("default")
			  : r->for_bounces ? STR("bounces")
					   : STR("route");
	struct str name = base;

	for (unsigned i = 1; !name_is_free(rows, name); i++)
		name = arena_strf(a, "%.*s-%u", STR_ARG(base), i);
	return name;
}

/* ---- judging ---- */

/* Builds the book that would be in force and asks whether waiting mail would go another way.
 * `route` is the one that is changed; NULL: it is new. */
static enum rc
judge(struct api_call *c, struct store_tx *tx, const struct store_route_row *route, struct fault *f)
{
	struct route_task *t = c->data;
	AUTO(relay_book_unref) struct relay_book *book = NULL;
	enum rc rc = api_books_read(store_tx_reader(tx), &book, NULL, f);
	struct api_move move = { .to = book };

	if (rc == RC_OK)
		rc = api_groups_moved(c, store_tx_reader(tx), &t->groups, &move, f);
	if (rc != RC_OK || !move.is_any)
		return rc;
	const struct relay_row *relay = relay_book_relay(book, move.where.relay);
	if (relay == NULL)
		return fault_set(f, RC_DENIED,
		    "mail that waits would be left without a route; let it go out first, or hold it with 'posthouse queue hold all'");
	/* A route that is only about to be added cannot change over. */
	if (route == NULL)
		return fault_set(f, RC_DENIED,
		    "this would move mail that waits or is being sent to relay '%.*s'; let it go out first, or set it aside: 'posthouse queue hold all', this again, 'posthouse queue release all'",
		    STR_ARG(relay->name));
	c->hint = arena_strf(&c->arena, "posthouse changeover start --to %.*s%s%.*s",
	    STR_ARG(relay->name), route->is_default ? "" : " --route ",
	    STR_ARG(route->is_default ? STR("") : route->name));
	return fault_set(f, RC_DENIED,
	    "this would move mail that waits or is being sent to relay '%.*s'; a changeover does that in steps, with a way back",
	    STR_ARG(relay->name));
}

/* ---- changing ---- */

static enum rc
find_route(struct api_call *c, const struct api_relay_rows *rows, struct store_route_row **out,
    struct fault *f)
{
	uint64_t id = 0;

	if (str_to_u64(c->name, &id) != RC_OK)
		id = 0;
	for (uint32_t i = 0; i < rows->n_routes; i++) {
		if (rows->routes[i].id == id || str_eq_nocase(rows->routes[i].name, c->name)) {
			*out = &rows->routes[i];
			return RC_OK;
		}
	}
	return fault_set(f, RC_NOT_FOUND,
	    "there is no route '%.*s'; 'posthouse route list' shows them all",
	    STR_ARG(str_sub(c->name, 0, 64)));
}

static enum rc
add(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	struct store_reader *r = store_tx_reader(tx);
	struct api_relay_rows rows = { 0 };
	struct store_route_row route = { .created_us = clock_wall_us() };
	enum rc rc = api_relay_rows_read(r, &c->arena, &rows, f);

	if (rc == RC_OK)
		rc = get_route(c, r, &rows, &route, f);
	if (rc != RC_OK)
		return rc;
	if (route.name.n == 0)
		route.name = make_name(&c->arena, &rows, &route);
	rc = api_check_name("name", route.name, f);
	if (rc == RC_OK && !name_is_free(&rows, route.name))
		rc = fault_set(f, RC_EXISTS, "there is a route '%.*s' already; take another name",
		    STR_ARG(route.name));
	if (rc == RC_OK)
		rc = store_config_route_put(tx, &route, f);
	if (rc == RC_OK)
		rc = judge(c, tx, NULL, f);
	c->name = route.name;
	return rc == RC_OK ? api_audit(c, tx, "route.add", route.name, route.note, f) : rc;
}

static enum rc
edit(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	struct store_reader *r = store_tx_reader(tx);
	struct api_relay_rows rows = { 0 };
	struct store_route_row *route = NULL;
	struct route_task *t = c->data;
	enum rc rc = api_relay_rows_read(r, &c->arena, &rows, f);

	if (rc == RC_OK)
		rc = find_route(c, &rows, &route, f);
	if (rc != RC_OK)
		return rc;
	ASSERT(route != NULL);
	if (!t->is_removal)
		rc = get_route(c, r, &rows, route, f);
	if (rc == RC_OK)
		rc = t->is_removal ? store_config_route_remove(tx, route->id, f)
				   : store_config_route_put(tx, route, f);
	if (rc == RC_OK)
		rc = judge(c, tx, route, f);
	if (rc != RC_OK)
		return rc;
	c->name = route->name;
	return api_audit(
	    c, tx, t->is_removal ? "route.remove" : "route.edit", route->name, route->note, f);
}

static enum rc
read_groups(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct route_task *t = c->data;

	return api_groups_read(c, r, &t->groups, f);
}

static void
write_add(struct api_call *c)
{
	api_change(c, add, put_routes);
}

static void
write_edit(struct api_call *c)
{
	const struct route_task *t = c->data;

	api_change(c, edit, t->is_removal ? NULL : put_routes);
}

static void
group_add(struct api_call *c)
{
	api_read(c, read_groups, write_add);
}

static void
group_edit(struct api_call *c)
{
	api_read(c, read_groups, write_edit);
}

void
api_route_add(struct api_call *c)
{
	c->data = ARENA_NEW(&c->arena, struct route_task);
	c->status = 201;
	api_look(c, true, group_add);
}

void
api_route_edit(struct api_call *c)
{
	c->data = ARENA_NEW(&c->arena, struct route_task);
	api_look(c, true, group_edit);
}

void
api_route_remove(struct api_call *c)
{
	struct route_task *t = ARENA_NEW(&c->arena, struct route_task);

	t->is_removal = true;
	c->data = t;
	api_look(c, true, group_edit);
}

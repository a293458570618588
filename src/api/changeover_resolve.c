/* From "NAME@N" and perhaps a route to the routes that move and the two versions.
 *
 * With a route, that one moves. Without, a relay that is on routes already gets a new version
 * there: all of its routes move; any other relay takes over the default route. A route names a
 * relay and a relay has one version in use, so what moves is always all that the old version
 * carries on these routes, and the new version is what its relay's routes use afterwards: where
 * that would change the way of a route that was not meant, it is refused. */
#include "api/changeover.h"

static const char *const fields[] = { "to", "route", "schedule", "emergency", "warm_up",
	"allow_weaker", "note" };

enum rc
api_changeover_form_read(const struct json *body, struct api_changeover_form *out, struct fault *f)
{
	struct api_changeover_form form = { .schedule = STR("auto") };
	bool emergency = false, warm_up = false;
	enum rc rc = json_only(body, fields, COUNT_OF(fields), f);

	if (rc == RC_OK)
		rc = api_need_str(body, "to", &form.to, f);
	if (rc == RC_OK)
		rc = json_opt_str(body, "route", &form.route, f);
	if (rc == RC_OK)
		rc = json_opt_str(body, "schedule", &form.schedule, f);
	if (rc == RC_OK)
		rc = json_opt_bool(body, "emergency", &emergency, f);
	if (rc == RC_OK)
		rc = json_opt_bool(body, "warm_up", &warm_up, f);
	if (rc == RC_OK)
		rc = json_opt_str(body, "allow_weaker", &form.allow_weaker, f);
	if (rc == RC_OK)
		rc = api_check_text("allow_weaker", form.allow_weaker, 500, f);
	if (rc == RC_OK)
		rc = json_opt_str(body, "note", &form.note, f);
	if (rc == RC_OK)
		rc = api_check_text("note", form.note, 500, f);
	if (rc == RC_OK && emergency && warm_up)
		rc = fault_set(f, RC_INVALID,
		    "emergency and warm_up exclude each other: the one is quick, the other slow");
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND ? RC_INVALID : rc;
	form.kind = emergency ? RELAY_CHANGEOVER_EMERGENCY
		    : warm_up ? RELAY_CHANGEOVER_WARM_UP
			      : RELAY_CHANGEOVER_GRADUAL;
	*out = form;
	return RC_OK;
}

/* ---- rows ---- */

static const struct store_relay_row *
relay_of(const struct api_relay_rows *rows, struct relay_id id)
{
	for (uint32_t i = 0; i < rows->n_relays; i++)
		if (ID_EQ(rows->relays[i].id, id))
			return &rows->relays[i];
	return NULL;
}

static const struct store_relay_version_row *
version_numbered(const struct api_relay_rows *rows, struct relay_id relay, uint64_t number)
{
	for (uint32_t i = 0; i < rows->n_versions; i++)
		if (ID_EQ(rows->versions[i].relay, relay) && rows->versions[i].number == number)
			return &rows->versions[i];
	return NULL;
}

static const struct store_relay_version_row *
newest_version(const struct api_relay_rows *rows, struct relay_id relay)
{
	const struct store_relay_version_row *newest = NULL;

	for (uint32_t i = 0; i < rows->n_versions; i++)
		if (ID_EQ(rows->versions[i].relay, relay) &&
		    (newest == NULL || rows->versions[i].number > newest->number))
			newest = &rows->versions[i];
	return newest;
}

/* ---- the version it leads to ---- */

static enum rc
check_version(const struct api_changeover_way *way, struct fault *f)
{
	const struct store_relay_row *relay = way->to_relay;

	if (str_eq(relay->state, STR("retired")))
		return fault_set(f, RC_DENIED,
		    "relay '%.*s' is retired; add the server again with 'posthouse relay add'",
		    STR_ARG(relay->name));
	if (str_eq(relay->state, STR("paused")))
		return fault_set(f, RC_DENIED,
		    "relay '%.*s' is paused; 'posthouse relay resume %.*s' comes first",
		    STR_ARG(relay->name), STR_ARG(relay->name));
	if (way->to->user.n != 0 && way->to->secret.n == 0)
		return fault_set(f, RC_DENIED,
		    "%.*s@%u logs in as %.*s but its secret was wiped; make a version with a secret: 'posthouse relay edit %.*s --user %.*s --secret-file FILE'",
		    STR_ARG(relay->name), way->to->number, STR_ARG(str_sub(way->to->user, 0, 60)),
		    STR_ARG(relay->name), STR_ARG(str_sub(way->to->user, 0, 60)));
	return RC_OK;
}

static enum rc
find_to(struct str to, struct api_changeover_way *way, struct fault *f)
{
	const struct api_relay_rows *rows = &way->rows;
	size_t at = str_find_last(to, '@');
	struct store_relay_row *relay = NULL;
	uint64_t number = 0;
	enum rc rc = api_relay_find(rows, str_sub(to, 0, at), &relay, f);

	if (rc != RC_OK)
		return rc;
	way->to_relay = relay;
	if (at < to.n) {
		if (str_to_u64(str_skip(to, at + 1), &number) == RC_OK)
			way->to = version_numbered(rows, relay->id, number);
	} else if (api_relay_has_route(rows, relay->id)) {
		way->to = newest_version(rows, relay->id);
	} else {
		way->to = api_relay_version(rows, relay->version);
	}
	if (way->to == NULL)
		return fault_set(f, RC_DENIED,
		    "relay '%.*s' has no version '%.*s'; 'posthouse relay show %.*s' lists them",
		    STR_ARG(relay->name), STR_ARG(str_sub(str_skip(to, at + 1), 0, 20)),
		    STR_ARG(relay->name));
	return check_version(way, f);
}

/* ---- the routes ---- */

static enum rc
find_route(const struct api_relay_rows *rows, struct str name, const struct store_route_row **out,
    struct fault *f)
{
	uint64_t id = 0;

	if (str_to_u64(name, &id) != RC_OK)
		id = 0;
	for (uint32_t i = 0; i < rows->n_routes; i++) {
		if (rows->routes[i].id == id || str_eq_nocase(rows->routes[i].name, name)) {
			*out = &rows->routes[i];
			return RC_OK;
		}
	}
	return fault_set(f, RC_NOT_FOUND,
	    "there is no route '%.*s'; 'posthouse route list' shows them all",
	    STR_ARG(str_sub(name, 0, 64)));
}

static const struct store_route_row *
default_route(const struct api_relay_rows *rows)
{
	for (uint32_t i = 0; i < rows->n_routes; i++)
		if (rows->routes[i].is_default)
			return &rows->routes[i];
	return NULL;
}

static enum rc
find_routes(struct str name, struct arena *a, struct api_changeover_way *way, struct fault *f)
{
	const struct api_relay_rows *rows = &way->rows;
	const struct store_route_row *one = NULL;
	enum rc rc = RC_OK;

	way->routes = ARENA_NEW_ARRAY(a, const struct store_route_row *, rows->n_routes);
	for (uint32_t i = 0; i < rows->n_routes && name.n == 0; i++)
		if (ID_EQ(rows->routes[i].relay, way->to_relay->id))
			way->routes[way->n_routes++] = &rows->routes[i];
	if (way->n_routes != 0)
		return RC_OK;
	if (name.n != 0)
		rc = find_route(rows, name, &one, f);
	else
		one = default_route(rows);
	if (rc == RC_OK && one == NULL)
		rc = fault_set(f, RC_DENIED,
		    "there is no route yet, so nothing is to be moved; 'posthouse route add --relay %.*s --default' makes one",
		    STR_ARG(way->to_relay->name));
	if (rc == RC_OK)
		way->routes[way->n_routes++] = one;
	return rc;
}

static bool
is_meant(const struct api_changeover_way *way, const struct store_route_row *route)
{
	for (uint32_t i = 0; i < way->n_routes; i++)
		if (way->routes[i]->id == route->id)
			return true;
	return false;
}

/* The version in use of the relay changes for all of its routes. */
static enum rc
check_other_routes(const struct api_changeover_way *way, struct fault *f)
{
	if (ID_EQ(way->to_relay->version, way->to->id))
		return RC_OK;
	for (uint32_t i = 0; i < way->rows.n_routes; i++) {
		const struct store_route_row *route = &way->rows.routes[i];
		if (!ID_EQ(route->relay, way->to_relay->id) || is_meant(way, route))
			continue;
		return fault_set(f, RC_DENIED,
		    "route '%.*s' goes through relay '%.*s' too, and would move with it; leave --route out to move all of its routes to %.*s@%u first",
		    STR_ARG(route->name), STR_ARG(way->to_relay->name),
		    STR_ARG(way->to_relay->name), way->to->number);
	}
	return RC_OK;
}

static enum rc
check_change(struct api_changeover_way *way, bool named, struct fault *f)
{
	const struct store_route_row *route = way->routes[0];

	ASSERT(route != NULL);
	way->from_relay = relay_of(&way->rows, route->relay);
	if (way->from_relay != NULL)
		way->from = api_relay_version(&way->rows, way->from_relay->version);
	if (way->from == NULL)
		return fault_set(f, RC_DENIED,
		    "route '%.*s' goes through no relay, so nothing is to be moved; 'posthouse route edit %.*s --relay %.*s' takes effect at once",
		    STR_ARG(route->name), STR_ARG(route->name), STR_ARG(way->to_relay->name));
	if (!ID_EQ(way->from->id, way->to->id))
		return RC_OK;
	return fault_set(f, RC_DENIED,
	    named
		? "nothing would change: route '%.*s' goes through %.*s@%u already"
		: "nothing would change: route '%.*s' goes through %.*s@%u already; to move another route there, name it with --route",
	    STR_ARG(route->name), STR_ARG(way->to_relay->name), way->to->number);
}

/* ---- others under way ---- */

bool
api_changeover_moves_route(const struct store_changeover_row *row, uint64_t route)
{
	struct str rest = row->routes, word;
	uint64_t id;

	while (api_next_word(&rest, &word))
		if (str_to_u64(word, &id) == RC_OK && id == route)
			return true;
	return false;
}

/* Neither a route nor a relay may be in two of them at once. */
static enum rc
check_others(struct api_call *c, struct store_reader *r, const struct api_changeover_way *way,
    struct fault *f)
{
	struct store_changeover_list q = { .only_open = true };
	enum rc rc = store_config_changeover_list(r, &q, &c->arena, f);

	for (uint32_t i = 0; rc == RC_OK && i < q.n; i++) {
		const struct store_changeover_row *row = &q.rows[i];
		const struct store_relay_version_row *to = api_relay_version(&way->rows, row->to);
		bool same = to != NULL && ID_EQ(to->relay, way->to_relay->id);
		if (row->settled_us != 0)
			continue;
		for (uint32_t k = 0; k < way->n_routes; k++)
			same |= api_changeover_moves_route(row, way->routes[k]->id);
		if (same)
			return fault_set(f, RC_DENIED,
			    "changeover %llu is moving that already; 'posthouse changeover status %llu' shows it, then confirm or revert it first",
			    (unsigned long long)row->id, (unsigned long long)row->id);
	}
	return rc;
}

enum rc
api_changeover_resolve(struct api_call *c, struct store_reader *r,
    const struct api_changeover_form *form, struct api_changeover_way *out, struct fault *f)
{
	enum rc rc;

	*out = (struct api_changeover_way){ 0 };
	rc = api_relay_rows_read(r, &c->arena, &out->rows, f);
	if (rc == RC_OK)
		rc = find_to(form->to, out, f);
	if (rc == RC_OK)
		rc = find_routes(form->route, &c->arena, out, f);
	if (rc == RC_OK)
		rc = check_change(out, form->route.n != 0, f);
	if (rc == RC_OK)
		rc = check_other_routes(out, f);
	if (rc == RC_OK)
		rc = check_others(c, r, out, f);
	return rc;
}

struct str
api_changeover_route_ids(struct arena *a, const struct api_changeover_way *way)
{
	struct str ids = { 0 };

	for (uint32_t i = 0; i < way->n_routes; i++)
		ids = arena_strf(a, "%.*s%s%llu", STR_ARG(ids), i != 0 ? " " : "",
		    (unsigned long long)way->routes[i]->id);
	return ids;
}

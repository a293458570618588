/* Changeovers in the API: what its files share.
 *
 * A changeover is planned from settings, statistics and what waits (changeover_plan.c), started in
 * one transaction (changeover_start.c), carried out by the dispatcher, which keeps every step in
 * its row, and shown from the dispatcher's live view where there is one, else from that row
 * (changeover_show.c). What the dispatcher wants looked at is asked of the services and answered
 * (changeover_want.c); what it has to tell goes to the alarms and the audit (changeover_news.c). */
#pragma once

#include "api/relay.h"
#include "relay/changeover.h"
#include "store/config_changeover.h"

/* ---- which mail, from where to where: changeover_resolve.c ---- */

/* What a request asks for; strings belong to its body. */
struct api_changeover_form {
	struct str to;       /* NAME or NAME@N */
	struct str route;    /* name or id; empty: told from the relay */
	struct str schedule; /* a name, or the text of one */
	enum relay_changeover_kind kind;
	struct str allow_weaker; /* the reason; empty: it must not be weaker */
	struct str note;
};

/* What that comes to. Rows live in the arena of the call. */
struct api_changeover_way {
	struct api_relay_rows rows;
	const struct store_relay_row *from_relay;
	const struct store_relay_row *to_relay;
	const struct store_relay_version_row *from;
	const struct store_relay_version_row *to;
	const struct store_route_row **routes; /* those that move */
	uint32_t n_routes;
};

enum rc api_changeover_form_read(
    const struct json *body, struct api_changeover_form *out, struct fault *f);
/* RC_NOT_FOUND: no such relay or route. RC_DENIED, with the remedy: it must not be moved like that:
 * nothing would change, other routes would move as well, one of them is moving already, the version
 * is not there or its secret was wiped, the relay is retired. */
enum rc api_changeover_resolve(struct api_call *c, struct store_reader *r,
    const struct api_changeover_form *form, struct api_changeover_way *out, struct fault *f);
/* Names of the routes of a row: ids with blanks between. */
struct str api_changeover_route_ids(struct arena *a, const struct api_changeover_way *way);
bool api_changeover_moves_route(const struct store_changeover_row *row, uint64_t route);

/* ---- how long it will take: changeover_plan.c ---- */

#define API_CHANGEOVER_OBSERVED DAYS(7)

/* What went through the old version of late. */
struct api_changeover_volume {
	uint64_t outcomes; /* attempts that came to something */
	uint64_t faults;   /* among them those of the relay */
	uint64_t per_day;
	int64_t observed_us; /* of how long that is, at most API_CHANGEOVER_OBSERVED */
	uint64_t group_per_day[RELAY_RGROUP_COUNT];
};

struct api_changeover_plan {
	struct api_changeover_form form;
	struct api_changeover_way way;
	struct api_changeover_volume volume;
	struct relay_schedule schedule;
	struct relay_changeover_rules rules;
	bool has_probe; /* a mailbox to send probes to */
};

/* On the pool: the whole of it but for what waits. */
enum rc api_changeover_plan_read(
    struct api_call *c, struct store_reader *r, struct api_changeover_plan *plan, struct fault *f);

/* ---- one changeover for display: changeover_show.c ---- */

/* "last": the one that is under way, else the newest. RC_NOT_FOUND with a fault. */
enum rc api_changeover_find(struct api_call *c, struct store_reader *r, struct str id,
    struct store_changeover_row *out, struct fault *f);
/* Writes it as an object, after api_look: live where the dispatcher has it. `events`: the newest so
 * many; 0: none, and no long members. */
enum rc api_changeover_put(struct api_call *c, struct store_reader *r,
    const struct api_relay_rows *rows, const struct store_changeover_row *row, uint32_t events,
    struct fault *f);
/* Writes "relay", "version", "host" and "port" of a version; empty ones where it is gone. */
void api_changeover_put_version(
    struct json_writer *w, const struct api_relay_rows *rows, struct version_id id);
/* "main@2" in the arena; "a relay that is gone" where it is. */
struct str api_changeover_version_name(
    struct arena *a, const struct api_relay_rows *rows, struct version_id id);
/* "default", or "default and bulk". */
struct str api_changeover_route_names(
    struct arena *a, const struct api_relay_rows *rows, struct str ids);
/* A number without digits that say nothing: 100, 12.5. */
void api_changeover_put_number(struct json_writer *w, const char *key, double v);
const char *api_changeover_kind_name(enum relay_changeover_kind kind);

/* The same from a call that has come from a step: reads row c->name and answers with it. */
void api_changeover_show_one(struct api_call *c);

/* What the dispatcher knows at one moment, copied for display and for judging changes: how each
 * relay version is doing, and what waits in memory, by group. */
#pragma once

#include "api/private.h"
#include "relay/book.h"
#include "relay/changeover.h"
#include "relay/desk.h"

/* One version of the book and its state; texts live in the call's arena. */
struct api_way {
	const struct relay_version_row *row; /* of c->relays */
	bool known;                          /* else `status` is empty */
	struct relay_status status;
};

/* Recipients of one group in memory. */
struct api_wait {
	struct group_id group;
	uint64_t n[STREAM_COUNT];
};

/* A changeover in force; `view` is copied, its texts live in the call's arena. */
struct api_seen_changeover {
	uint64_t id;
	struct relay_changeover_view view;
};

struct api_view {
	struct api_way *ways;
	size_t n_ways;
	struct api_seen_changeover *changeovers;
	size_t n_changeovers;
	struct api_wait *waits; /* only where asked for */
	size_t n_waits;
};

/* A group of which something waits, on disk or in memory, and where it goes. */
struct api_group {
	struct group_id id;
	struct str key;
	uint64_t n[STREAM_COUNT];
	int64_t due_us; /* the earliest on disk; 0: none */
	struct relay_decision where;
};

struct api_groups {
	struct api_group *v;
	size_t n;
	bool cut; /* there are more than can be listed */
};

#define API_GROUPS_MAX 10000

/* Asks the dispatcher; then c->view is there. */
void api_look(struct api_call *c, bool with_waits, api_step *then);
/* The state of a version, or NULL. */
const struct api_way *api_view_way(const struct api_call *c, struct version_id version);
/* The state of a changeover in force, or NULL. */
const struct relay_changeover_view *api_view_changeover(const struct api_call *c, uint64_t id);

/* On the pool, after api_look with waits: joins memory and disk. */
enum rc api_groups_read(
    struct api_call *c, struct store_reader *r, struct api_groups *out, struct fault *f);
/* Whether anything waits for `relay` under the present routes. */
bool api_groups_wait_for(const struct api_groups *g, struct relay_id relay);
/* Whether m->to would send anything that waits through another version than the present book does,
 * or through none; m->where is the first such decision. What has no route at present is not moved
 * by getting one. `r` is asked for the recipients of groups that m->to splits; where there are too
 * many to look at, one is taken to move. */
struct api_move {
	const struct relay_book *to;
	/* results */
	bool is_any;
	struct relay_decision where;
};
enum rc api_groups_moved(struct api_call *c, struct store_reader *r, const struct api_groups *g,
    struct api_move *m, struct fault *f);

/* Writes the state of one relay version as members of an open object. */
void api_put_way(struct api_call *c, const struct relay_version_row *row);
/* Whether some route names the relay. */
bool api_relay_in_use(const struct relay_book *book, struct relay_id relay);
/* "lanes": what waits in each, and since when. */
void api_put_lanes(struct api_call *c, const struct api_groups *groups);

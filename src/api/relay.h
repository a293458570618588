/* Shared by the files about relays: rows as loaded, and a relay's settings as they come in. */
#pragma once

#include "api/private.h"
#include "api/view.h"
#include "store/config_relay.h"

struct api_relay_rows {
	struct store_relay_row *relays;
	struct store_relay_version_row *versions;
	struct store_route_row *routes;
	uint32_t n_relays, n_versions, n_routes;
};

enum rc api_relay_rows_read(
    struct store_reader *r, struct arena *a, struct api_relay_rows *out, struct fault *f);
/* By name, any case; RC_NOT_FOUND with a fault that says so. */
enum rc api_relay_find(const struct api_relay_rows *rows, struct str name,
    struct store_relay_row **out, struct fault *f);
struct store_relay_version_row *api_relay_version(
    const struct api_relay_rows *rows, struct version_id id);
bool api_relay_has_route(const struct api_relay_rows *rows, struct relay_id relay);

/* What a request says about a relay, over what was there. */
struct api_relay_form {
	struct str name;
	struct str secret; /* as it came; p == NULL: not said */
	struct str note;
	bool has_note;
	bool has_limits;
	bool has_way; /* something that changes where or how mail goes */
	struct store_relay_version_row v;
};

/* Reads the body over form->v, which is zero for a new relay. All strings live in the arena or the
 * body. RC_INVALID with a fault that names the field and what belongs there. */
enum rc api_relay_form_read(const struct json *body, bool is_new, struct arena *a,
    struct api_relay_form *form, struct fault *f);
/* The form's secret, sealed for this relay, into form->v.secret. */
enum rc api_relay_seal(
    struct api_call *c, struct relay_id relay, struct str secret, struct str *out, struct fault *f);

/* A change under way: the data of its call. */
struct api_relay_task {
	struct api_relay_form form;
	struct api_groups groups; /* what waits */
	/* What came of it. */
	uint32_t made; /* number of the version that was made */
	struct str hint;
	bool kept_secret;
	struct relay_id relay;
	bool paused; /* it is, so its new versions must be too */
	struct str why;
};

/* On the pool, after api_look: one relay whole, into c->json. `c->name` says which. */
enum rc api_relay_put(struct api_call *c, struct store_reader *r, struct fault *f);

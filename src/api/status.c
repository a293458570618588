/* GET /status, /version and /healthz: one look at everything. */
#include "api/changeover.h"
#include "api/problems.h"

#include <stdatomic.h>

#include "deliver/deliver.h"
#include "store/metrics.h"

struct status_task {
	uint64_t received_per_minute;
	uint64_t sent_per_minute;
	struct api_problems problems;
};

void
api_version(struct api_call *c)
{
	json_writer_object(&c->json);
	json_writer_put_str(&c->json, "version", STR(POSTHOUSE_VERSION));
	json_writer_end(&c->json);
	api_done(c);
}

void
api_healthz(struct api_call *c)
{
	struct json_writer *w = &c->json;
	struct store_health h;

	store_health(c->api->opts.store, &h);
	json_writer_object(w);
	if (h.accepts) {
		json_writer_put_str(w, "status", STR("ok"));
	} else {
		c->status = 503;
		json_writer_put_str(w, "status", str_from(rc_name(h.rc)));
		json_writer_put_str(w, "why", str_from(h.text));
	}
	json_writer_end(w);
	api_done(c);
}

/* ---- the parts of /status ---- */

/* What came in and went out in the last minute, by the samples that are at most so old. */
static void
measure_rates(struct api_call *c, struct status_task *t)
{
	const struct api *a = c->api;
	int64_t now = loop_now_us(a->opts.loop);
	const struct api_sample *oldest = NULL;

	for (size_t i = 0; i < API_RATE_SAMPLES; i++) {
		const struct api_sample *s = &a->samples[i];
		if (s->at_us != 0 && now - s->at_us <= SECONDS(61) &&
		    (oldest == NULL || s->at_us < oldest->at_us))
			oldest = s;
	}
	if (oldest == NULL)
		return;
	t->received_per_minute =
	    atomic_load(&store_metrics(a->opts.store)->accepted) - oldest->received;
	t->sent_per_minute = atomic_load(&deliver_metrics(a->opts.deliver)->sent) - oldest->sent;
}

static void
put_head(struct api_call *c, const struct status_task *t, const struct store_health *h)
{
	const struct api_opts *o = &c->api->opts;
	struct json_writer *w = &c->json;

	json_writer_put_str(w, "version", STR(POSTHOUSE_VERSION));
	json_writer_put_str(w, "hostname", o->hostname);
	api_put_time(w, "started_at", o->started_us);
	json_writer_put_array(w, "listeners");
	for (size_t i = 0; i < o->n_listeners; i++) {
		json_writer_object(w);
		json_writer_put_str(w, "address", o->listeners[i].address);
		json_writer_put_str(w, "kind", o->listeners[i].kind);
		json_writer_end(w);
	}
	json_writer_end(w);
	json_writer_put_bool(w, "accepting", h->accepts);
	json_writer_put_bool(w, "captured_mode", t->problems.captured_mode);
	json_writer_put_object(w, "rates");
	json_writer_put_uint(w, "received_per_minute", t->received_per_minute);
	json_writer_put_uint(w, "sent_per_minute", t->sent_per_minute);
	json_writer_end(w);
}

static enum rc
put_totals(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct store_aside aside[STORE_STATE_COUNT];
	struct json_writer *w = &c->json;
	struct store_totals t = { 0 };
	enum rc rc = store_query_totals(r, (struct account_id){ 0 }, &t, f);

	if (rc == RC_OK)
		rc = store_query_aside(r, aside, f);
	if (rc != RC_OK)
		return rc;
	json_writer_put_object(w, "totals");
	json_writer_put_uint(w, "accepted", t.accepted);
	json_writer_put_uint(w, "generated", t.generated);
	json_writer_put_uint(w, "sent", t.sent);
	json_writer_put_uint(w, "bounced", t.bounced);
	json_writer_put_uint(w, "expired", t.expired);
	json_writer_put_uint(w, "failed", t.failed);
	json_writer_put_uint(w, "cancelled", t.cancelled);
	json_writer_put_uint(w, "suppressed", t.suppressed);
	json_writer_put_uint(w, "unknown", t.unknown);
	json_writer_put_uint(w, "captured", t.captured);
	json_writer_put_uint(w, "queued", t.queued);
	json_writer_put_uint(w, "held", aside[STORE_HELD].rows);
	json_writer_put_uint(w, "in_doubt", t.in_doubt);
	json_writer_end(w);
	return RC_OK;
}

static void
put_relays(struct api_call *c)
{
	struct json_writer *w = &c->json;

	json_writer_put_array(w, "relays");
	for (size_t i = 0; i < relay_book_relay_count(c->relays); i++) {
		const struct relay_row *relay = relay_book_relay_at(c->relays, i);
		const struct relay_version_row *v = relay_book_version(c->relays, relay->current);
		if (v == NULL)
			continue;
		json_writer_object(w);
		json_writer_put_str(w, "name", relay->name);
		json_writer_put_uint(w, "version", v->number);
		json_writer_put_str(w, "host", v->host);
		json_writer_put_uint(w, "port", v->port);
		api_put_way(c, v);
		json_writer_end(w);
	}
	json_writer_end(w);
}

/* Those under way; settled ones are history. */
static enum rc
put_changeovers(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct store_changeover_list q = { .only_open = true };
	struct api_relay_rows rows = { 0 };
	enum rc rc = store_config_changeover_list(r, &q, &c->arena, f);

	if (rc == RC_OK && q.n != 0)
		rc = api_relay_rows_read(r, &c->arena, &rows, f);
	json_writer_put_array(&c->json, "changeovers");
	for (uint32_t i = 0; rc == RC_OK && i < q.n; i++)
		if (q.rows[i].settled_us == 0)
			rc = api_changeover_put(c, r, &rows, &q.rows[i], 0, f);
	json_writer_end(&c->json);
	return rc;
}

static void
put_problems(struct json_writer *w, const struct api_problems *p)
{
	json_writer_put_array(w, "problems");
	for (size_t i = 0; i < p->n; i++) {
		json_writer_object(w);
		json_writer_put_str(w, "what", p->v[i].what);
		api_put_time(w, "since", p->v[i].since_us);
		json_writer_put_str(w, "do", p->v[i].remedy);
		json_writer_end(w);
	}
	json_writer_end(w);
}

static enum rc
put_status(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct status_task *t = c->data;
	struct json_writer *w = &c->json;
	struct api_groups groups = { 0 };
	struct store_health h;
	enum rc rc = api_groups_read(c, r, &groups, f);

	store_health(c->api->opts.store, &h);
	if (rc == RC_OK)
		rc = api_problems_read(c, r, &groups, &t->problems, f);
	if (rc != RC_OK)
		return rc;
	json_writer_object(w);
	put_head(c, t, &h);
	rc = put_totals(c, r, f);
	api_put_lanes(c, &groups);
	put_relays(c);
	if (rc == RC_OK)
		rc = put_changeovers(c, r, f);
	json_writer_put_object(w, "disk");
	json_writer_put_uint(w, "free_bytes", h.free_bytes);
	json_writer_put_bool(w, "accepts", h.accepts);
	json_writer_end(w);
	put_problems(w, &t->problems);
	json_writer_end(w);
	return rc;
}

static void
show(struct api_call *c)
{
	api_answer_from(c, put_status);
}

void
api_status(struct api_call *c)
{
	struct status_task *t = ARENA_NEW(&c->arena, struct status_task);

	measure_rates(c, t);
	c->data = t;
	api_look(c, true, show);
}

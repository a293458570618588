/* A question to the preflight service, as a hop of a call: it travels to the background thread and
 * comes back to the main one. An answer that finds its api stopping is freed; the call is then
 * ended by api_free. */
#include "api/preflight_ask.h"

#include "api/relay.h"
#include "preflight/service.h"
#include "relay/book.h"

struct asked {
	struct api_call *call;
	struct api_check *check;
	api_step *then;
};

void
api_preflight_ask(struct api_call *c, struct api_check *k, api_step *then)
{
	struct preflight_request *q = preflight_request_new();
	struct asked *a = ARENA_NEW(&c->arena, struct asked);

	*a = (struct asked){ c, k, then };
	q->base.reply = c->api->from_services;
	q->base.arg = a;
	q->kind = k->in_full ? PREFLIGHT_FULL : PREFLIGHT_CONTROL;
	q->book = relay_book_ref(c->api->opts.relays(c->api->opts.arg));
	q->version = k->version;
	q->against = k->against;
	q->allow_weaker = arena_str(&q->arena, k->allow_weaker);
	q->snapshot = arena_str(&q->arena, k->snapshot);
	mailbox_post(c->api->opts.preflight, &q->base.item);
}

void
api_on_services(void *arg, struct mailbox_item *item)
{
	struct api *api = FROM_ARG(struct api, arg, API_MAGIC);

	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct mailbox_request *base = CONTAINER_OF(item, struct mailbox_request, item);
		struct preflight_request *q = CONTAINER_OF(base, struct preflight_request, base);
		if (!api->stopping) {
			struct asked *a = base->arg;
			struct api_check *k = a->check;
			k->rc = q->rc;
			k->passed = q->passed;
			k->hold = q->hold;
			k->failed = q->failed;
			k->summary = arena_str(&a->call->arena, q->summary);
			k->report = arena_str(&a->call->arena, q->report);
			a->then(a->call);
		}
		preflight_request_free(&q);
		item = next;
	}
}

/* ---- POST /relays/{name}/check ---- */

struct task {
	struct api_check check;
	struct fault fault;
};

/* "main" is its current version, "main@2" that one; it is compared with the current one. */
static enum rc
find_version(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct task *t = c->data;
	struct api_relay_rows rows = { 0 };
	struct store_relay_row *relay = NULL;
	size_t at = str_find(c->name, '@');
	uint64_t number = 0;
	enum rc rc = api_relay_rows_read(r, &c->arena, &rows, f);

	if (rc == RC_OK && at != c->name.n &&
	    str_to_u64(str_skip(c->name, at + 1), &number) != RC_OK)
		rc = fault_set(f, RC_INVALID, "write the version as a number: NAME@2");
	if (rc == RC_OK)
		rc = api_relay_find(&rows, str_sub(c->name, 0, at), &relay, f);
	if (rc != RC_OK)
		return rc;
	t->check.version = relay->version;
	if (number == 0)
		return RC_OK;
	for (uint32_t i = 0; i < rows.n_versions; i++) {
		const struct store_relay_version_row *v = &rows.versions[i];
		if (!ID_EQ(v->relay, relay->id) || v->number != number)
			continue;
		t->check.version = v->id;
		if (!ID_EQ(v->id, relay->version))
			t->check.against = relay->version;
		return RC_OK;
	}
	return fault_set(f, RC_NOT_FOUND,
	    "relay %.*s has no version %llu; 'posthouse relay show %.*s' lists them",
	    STR_ARG(relay->name), (unsigned long long)number, STR_ARG(relay->name));
}

static void
checked(struct api_call *c)
{
	struct task *t = c->data;

	if (t->check.rc != RC_OK) {
		api_fail(c, t->check.rc, "%.*s", STR_ARG(t->check.summary));
		return;
	}
	json_writer_raw(&c->json, t->check.report);
	api_done(c);
}

static void
ask(struct api_call *c)
{
	struct task *t = c->data;

	t->check.in_full = true;
	api_preflight_ask(c, &t->check, checked);
}

void
api_relay_check(struct api_call *c)
{
	c->data = ARENA_NEW(&c->arena, struct task);
	api_read(c, find_version, ask);
}

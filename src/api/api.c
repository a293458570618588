/* The door of the API: who is asking, what for, and with which body.
 *
 * A request is judged by its head already: without the key its body is not read. */
#include <stdlib.h>

#include "api/private.h"
#include "api/watch.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/token.h"
#include "deliver/deliver.h"
#include "relay/book.h"
#include "store/metrics.h"
#include "store/reader.h"

#define JSON_MAX ((size_t)40 << 20)

static struct api *
api_of(void *arg)
{
	return FROM_ARG(struct api, arg, API_MAGIC);
}

/* ---- rates ---- */

static void
on_sample(void *arg)
{
	struct api *a = api_of(arg);
	struct api_sample *s = &a->samples[a->next_sample];

	s->at_us = loop_now_us(a->opts.loop);
	s->received = atomic_load(&store_metrics(a->opts.store)->accepted);
	s->sent = atomic_load(&deliver_metrics(a->opts.deliver)->sent);
	a->next_sample = (a->next_sample + 1) % API_RATE_SAMPLES;
	loop_timer_set(a->opts.loop, &a->sampler, loop_now_us(a->opts.loop) + API_RATE_EVERY);
}

/* ---- life ---- */

static void
copy_opts(struct api *a, const struct api_opts *opts)
{
	struct api_listener *listeners =
	    ARENA_NEW_ARRAY(&a->arena, struct api_listener, opts->n_listeners);

	a->opts = *opts;
	a->opts.admin_key = arena_str(&a->arena, str_trim(opts->admin_key));
	a->opts.hostname = arena_str(&a->arena, opts->hostname);
	for (size_t i = 0; i < opts->n_listeners; i++) {
		listeners[i].address = arena_str(&a->arena, opts->listeners[i].address);
		listeners[i].kind = arena_str(&a->arena, opts->listeners[i].kind);
	}
	a->opts.listeners = listeners;
}

struct api *
api_new(const struct api_opts *opts)
{
	struct api *a = MEM_NEW(struct api);

	a->magic = API_MAGIC;
	copy_opts(a, opts);
	list_init(&a->calls);
	a->from_pool = mailbox_new();
	a->from_writer = mailbox_new();
	a->from_dispatcher = mailbox_new();
	a->from_services = mailbox_new();
	a->from_asked = mailbox_new();
	mailbox_attach(a->from_pool, opts->loop, api_on_pool, a);
	mailbox_attach(a->from_writer, opts->loop, api_on_writer, a);
	mailbox_attach(a->from_dispatcher, opts->loop, api_on_dispatcher, a);
	mailbox_attach(a->from_services, opts->loop, api_on_services, a);
	mailbox_attach(a->from_asked, opts->loop, api_on_asked, a);
	loop_timer_init(&a->sampler, on_sample, a);
	on_sample(a);
	a->alarms = api_watch_new(a);
	return a;
}

void
api_tell_idle(struct api *a)
{
	void (*on_idle)(void *) = a->on_idle;

	if (!a->draining || on_idle == NULL || !list_is_empty(&a->calls))
		return;
	a->on_idle = NULL;
	on_idle(a->on_idle_arg);
}

void
api_drain(struct api *a, void (*on_idle)(void *arg), void *arg)
{
	a->draining = true;
	a->on_idle = on_idle;
	a->on_idle_arg = arg;
	api_tell_idle(a);
}

void
api_stop(struct api *a)
{
	a->stopping = true;
	loop_timer_cancel(a->opts.loop, &a->sampler);
	api_watch_free(&a->alarms);
	api_on_pool(a, mailbox_take(a->from_pool));
	api_on_dispatcher(a, mailbox_take(a->from_dispatcher));
	api_on_services(a, mailbox_take(a->from_services));
	while (a->n_readers > 0)
		store_reader_free(&a->readers[--a->n_readers]);
}

void
api_free(struct api **ap)
{
	struct api *a = TAKE(*ap);
	struct api_call *c;

	if (a == NULL)
		return;
	if (!a->stopping)
		api_stop(a);
	api_on_writer(a, mailbox_take(a->from_writer));
	api_on_asked(a, mailbox_take(a->from_asked));
	/* What is left waited for a dispatcher that has ended. */
	LIST_FOREACH(c, &a->calls, struct api_call, link)
		api_call_free(c);
	mailbox_free(&a->from_pool);
	mailbox_free(&a->from_writer);
	mailbox_free(&a->from_dispatcher);
	mailbox_free(&a->from_services);
	mailbox_free(&a->from_asked);
	arena_done(&a->arena);
	a->magic = 0;
	free(a);
}

/* ---- who ---- */

static bool
is_admin(const struct api *a, const struct http_request *r)
{
	struct str given = http_header(r, "Authorization");

	if (r->peer.door == HTTP_DOOR_CONTROL)
		return true;
	if (!str_starts_nocase(given, STR("Bearer ")))
		return false;
	given = str_trim(str_skip(given, 7));
	return a->opts.admin_key.n != 0 && token_equal(given, a->opts.admin_key);
}

static struct str
who_is(struct api_call *c)
{
	if (c->request->peer.door == HTTP_DOOR_CONTROL)
		return arena_strf(&c->arena, "control socket uid %u", c->request->peer.uid);
	return arena_strf(&c->arena, "admin key from %.*s", STR_ARG(c->request->peer.text));
}

static void
refuse(struct http_request *r, unsigned status, const char *name, const char *message)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct json_writer w;

	buf_init(&b, 4096);
	json_writer_init(&w, &b);
	json_writer_object(&w);
	json_writer_put_uint(&w, "statusCode", status);
	json_writer_put_str(&w, "name", str_from(name));
	json_writer_put_str(&w, "message", str_from(message));
	json_writer_end(&w);
	json_writer_done(&w);
	buf_add_byte(&b, '\n');
	http_answer(r, status, "application/json", buf_str(&b));
}

/* Finds what is asked for, and refuses what must not be; NULL when it was refused. */
static const struct api_endpoint *
admit(struct api *a, struct http_request *r, struct str *name_out)
{
	const struct api_endpoint *e = NULL;
	enum rc rc = api_endpoint_find(r->method, r->path, &e, name_out);

	if ((rc != RC_OK || !e->is_open) && !is_admin(a, r)) {
		http_set_header(r, "WWW-Authenticate", STR("Bearer"));
		refuse(r, 401, "unauthorized",
		    "send the admin key as 'Authorization: Bearer ph_...'; the service keeps it in DATA/admin.key");
		return NULL;
	}
	if (rc == RC_NOT_FOUND) {
		refuse(r, 404, "not_found", "there is nothing at this path");
		return NULL;
	}
	if (rc != RC_OK) {
		refuse(r, 405, "method_not_allowed", "this path does not take this method");
		return NULL;
	}
	return e;
}

void
api_on_head(void *arg, struct http_request *r)
{
	struct str name;

	(void)admit(api_of(arg), r, &name);
}

/* ---- what with ---- */

static void
run_parsed(struct api_call *c)
{
	c->endpoint->run(c);
}

/* Parsing large bodies would keep everybody else waiting. */
#define PARSE_HERE_MAX ((size_t)256 << 10)

static enum rc
parse_body(struct api_call *c, struct fault *f)
{
	return json_parse(c->request->body, JSON_MAX, &c->body, f);
}

static void
read_body(struct api_call *c)
{
	struct fault f = { 0 };

	if (c->request->body.n > PARSE_HERE_MAX) {
		api_work(c, parse_body, run_parsed);
		return;
	}
	enum rc rc = parse_body(c, &f);
	if (rc != RC_OK)
		api_fail(
		    c, RC_INVALID, "the body is not the JSON that belongs here: %.200s", f.text);
	else
		c->endpoint->run(c);
}

void
api_on_request(void *arg, struct http_request *r)
{
	struct api *a = api_of(arg);
	struct str name = { 0 };
	const struct api_endpoint *e;

	if (a->stopping || a->draining) {
		refuse(r, 503, "service_unavailable", "the service is stopping");
		return;
	}
	e = admit(a, r, &name);
	if (e == NULL)
		return;
	struct api_call *c = api_call_new(a, r);
	c->endpoint = e;
	c->name = arena_str(&c->arena, name);
	c->who = who_is(c);
	bool wants = e->body == API_JSON || (e->body == API_JSON_OPTIONAL && r->body.n != 0);
	if (wants)
		read_body(c);
	else
		e->run(c);
}

/* Requests wait for nobody: each reads what is in use on the pool, then runs on the loop. The run
 * owns its request until it is answered. */
#include "preflight/service.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "codec/json_writer.h"
#include "crypto/seal.h"
#include "loop/pool.h"
#include "relay/book.h"
#include "store/query_use.h"
#include "store/reader.h"
#include "store/store.h"

#define MAGIC    0x9f2e5e21u
#define RUNS_MAX 16

struct preflight_service {
	uint32_t magic;
	struct preflight_service_opts opts;
	struct arena arena;
	struct mailbox *requests;
	struct mailbox *read; /* runs whose use was read */
	struct list runs;
	size_t n_runs;
	bool draining;
};

struct run {
	struct mailbox_item item;
	struct pool_job job;
	struct list link;
	struct preflight_service *service;
	struct preflight_request *request;
	struct preflight *preflight;
	struct preflight_use use;
	struct buf secret, old_secret;
	bool in_pool;
};

struct preflight_request *
preflight_request_new(void)
{
	return MEM_NEW(struct preflight_request);
}

void
preflight_request_free(struct preflight_request **rp)
{
	struct preflight_request *r = TAKE(*rp);

	if (r == NULL)
		return;
	relay_book_unref(&r->book);
	arena_done(&r->arena);
	free(r);
}

static void
answer(struct preflight_request *r, enum rc rc, const char *why)
{
	r->rc = rc;
	if (rc != RC_OK) {
		(void)fault_set(&r->fault, rc, "%s", why);
		r->summary = arena_str(&r->arena, str_from(why));
	}
	mailbox_post(r->base.reply, &r->base.item);
}

static void
end_run(struct run *run)
{
	list_remove(&run->link);
	run->service->n_runs--;
	preflight_free(&run->preflight);
	buf_wipe(&run->secret);
	buf_wipe(&run->old_secret);
	free(run);
}

/* ---- the report ---- */

static void
write_finding(struct json_writer *w, const struct preflight_finding *f)
{
	json_writer_object(w);
	json_writer_put_str(w, "id", str_from(preflight_check_id(f->check)));
	json_writer_put_str(
	    w, "stage", str_from(preflight_stage_name(preflight_check_stage(f->check))));
	json_writer_put_str(w, "title", str_from(preflight_check_title(f->check)));
	json_writer_put_str(w, "verdict", str_from(preflight_verdict_name(f->verdict)));
	json_writer_put_str(w, "subject", f->subject);
	json_writer_put_str(w, "evidence", f->evidence);
	json_writer_put_str(w, "remedy", f->remedy);
	json_writer_put_int(w, "took_ms", f->took_us / MS(1));
	json_writer_end(w);
}

void
preflight_write(const struct preflight_result *r, struct json_writer *w)
{
	json_writer_object(w);
	json_writer_put_str(w, "object", STR("preflight"));
	json_writer_put_bool(w, "passed", r->passed);
	json_writer_put_bool(w, "hold", r->hold);
	json_writer_put_bool(w, "weaker", r->weaker);
	if (r->passed)
		json_writer_put_null(w, "failed_stage");
	else
		json_writer_put_str(w, "failed_stage", str_from(preflight_stage_name(r->failed)));
	json_writer_put_int(w, "exit_status", r->passed ? 0 : preflight_stage_exit(r->failed));
	json_writer_put_str(w, "summary", r->summary);
	json_writer_put_str(w, "provider", r->server.provider);
	json_writer_put_str(w, "greeting", r->server.greeting);
	json_writer_put_str(w, "tls", r->server.tls);
	json_writer_put_str(w, "offers", r->server.offers);
	json_writer_put_int(w, "took_ms", r->took_us / MS(1));
	json_writer_put_array(w, "findings");
	for (size_t i = 0; i < r->n_findings; i++)
		write_finding(w, &r->findings[i]);
	json_writer_end(w);
	json_writer_end(w);
}

static void
on_done(void *arg, const struct preflight_result *r)
{
	struct run *run = arg;
	struct preflight_request *q = run->request;
	struct json_writer w;
	AUTO(buf_done) struct buf b = { 0 };

	buf_init(&b, 1u << 20);
	json_writer_init(&w, &b);
	preflight_write(r, &w);
	json_writer_done(&w);
	q->passed = r->passed;
	q->hold = r->hold;
	q->weaker = r->weaker;
	q->failed = r->failed;
	q->summary = arena_str(&q->arena, r->summary);
	q->report = arena_str(&q->arena, buf_str(&b));
	answer(TAKE(run->request), RC_OK, "");
	end_run(run);
}

static const struct preflight_ops ops = { .on_done = on_done };

/* ---- runs ---- */

static void
open_secret(const struct preflight_service *s, const struct relay_version_row *v, struct buf *out)
{
	char bound[64];

	buf_init(out, SEAL_SECRET_MAX);
	if (v == NULL || v->secret.n == 0)
		return;
	snprintf(bound, sizeof(bound), "relay %llu", (unsigned long long)v->relay.v);
	if (seal_open(s->opts.seal, v->secret, str_from(bound), out, NULL) != RC_OK)
		buf_clear(out);
}

static struct str
name_of(struct preflight_request *q, const struct relay_version_row *v)
{
	const struct relay_row *r = relay_book_relay(q->book, v->relay);

	return arena_strf(
	    &q->arena, "%.*s@%u", STR_ARG(r != NULL ? r->name : STR("relay")), v->number);
}

static void
start(struct run *run)
{
	struct preflight_service *s = run->service;
	struct preflight_request *q = run->request;
	const struct relay_version_row *v = relay_book_version(q->book, q->version);
	const struct relay_version_row *old =
	    ID_IS_NONE(q->against) ? NULL : relay_book_version(q->book, q->against);

	if (v == NULL || s->draining) {
		answer(TAKE(run->request), v == NULL ? RC_NOT_FOUND : RC_CANCELLED,
		    v == NULL ? "there is no such relay version" : "the service is ending");
		end_run(run);
		return;
	}
	open_secret(s, v, &run->secret);
	open_secret(s, old, &run->old_secret);
	struct preflight_opts o = { .loop = s->opts.loop,
		.resolver = s->opts.resolver,
		.dialer = s->opts.dialer,
		.kind = q->kind,
		.hostname = s->opts.hostname,
		.target = { name_of(q, v), v, buf_str(&run->secret) },
		.allow_weaker = q->allow_weaker,
		.snapshot = q->snapshot,
		.use = &run->use,
		.rcpts = q->rcpts,
		.n_rcpts = q->n_rcpts,
		.connects = q->connects,
		.ops = &ops,
		.arg = run };
	if (old != NULL)
		o.against =
		    (struct preflight_target){ name_of(q, old), old, buf_str(&run->old_secret) };
	run->preflight = preflight_new(&o);
}

static void
on_read(void *arg, struct mailbox_item *item)
{
	(void)arg;
	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct run *run = CONTAINER_OF(item, struct run, item);
		run->in_pool = false;
		start(run);
		item = next;
	}
}

/* On the pool. What cannot be read is not known, and said so. */
static void
read_use(struct pool_job *job)
{
	struct run *run = CONTAINER_OF(job, struct run, job);
	AUTO(store_reader_free) struct store_reader *r = NULL;
	struct store_use u = { 0 };
	struct arena *a = &run->request->arena;

	if (store_reader_new(run->service->opts.store, &r, NULL) == RC_OK &&
	    store_query_use(r, a, &u, NULL) == RC_OK) {
		struct preflight_identity *ids =
		    ARENA_NEW_ARRAY(a, struct preflight_identity, u.n_senders);
		for (size_t i = 0; i < u.n_senders; i++)
			ids[i] =
			    (struct preflight_identity){ u.senders[i].address, u.senders[i].count };
		run->use = (struct preflight_use){ .is_known = u.messages != 0,
			.messages = u.messages,
			.max_bytes = u.max_bytes,
			.max_rcpts = u.max_rcpts,
			.eight_bit = u.eight_bit,
			.utf8 = u.utf8,
			.dsn = u.dsn,
			.busiest_hour = u.busiest_hour,
			.busiest_day = u.busiest_day,
			.identities = ids,
			.n_identities = u.n_senders };
	}
	mailbox_post(run->service->read, &run->item);
}

static void
on_request(struct preflight_service *s, struct preflight_request *q)
{
	if (s->draining || s->n_runs == RUNS_MAX) {
		answer(q, s->draining ? RC_CANCELLED : RC_LIMIT,
		    s->draining ? "the service is ending"
				: "too many checks are under way; try again in a minute");
		return;
	}
	struct run *run = MEM_NEW(struct run);
	run->service = s;
	run->request = q;
	list_push_back(&s->runs, &run->link);
	s->n_runs++;
	if (q->kind == PREFLIGHT_CONTROL) {
		start(run);
		return;
	}
	run->in_pool = true;
	run->job.run = read_use;
	pool_post(s->opts.pool, &run->job);
}

static void
on_requests(void *arg, struct mailbox_item *item)
{
	struct preflight_service *s = FROM_ARG(struct preflight_service, arg, MAGIC);

	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct mailbox_request *base = CONTAINER_OF(item, struct mailbox_request, item);
		on_request(s, CONTAINER_OF(base, struct preflight_request, base));
		item = next;
	}
}

struct preflight_service *
preflight_service_new(const struct preflight_service_opts *opts)
{
	struct preflight_service *s = MEM_NEW(struct preflight_service);

	s->magic = MAGIC;
	s->opts = *opts;
	s->opts.hostname = arena_str(&s->arena, opts->hostname);
	list_init(&s->runs);
	s->requests = mailbox_new();
	s->read = mailbox_new();
	mailbox_attach(s->requests, opts->loop, on_requests, s);
	mailbox_attach(s->read, opts->loop, on_read, s);
	return s;
}

struct mailbox *
preflight_service_mailbox(struct preflight_service *s)
{
	return s->requests;
}

void
preflight_service_drain(void *service)
{
	struct preflight_service *s = FROM_ARG(struct preflight_service, service, MAGIC);
	struct run *run, *next;

	s->draining = true;
	for (struct list *at = s->runs.next; at != &s->runs; at = &next->link) {
		run = CONTAINER_OF(at, struct run, link);
		next = CONTAINER_OF(at->next, struct run, link);
		if (run->in_pool)
			continue; /* comes back, or is found by preflight_service_free */
		answer(TAKE(run->request), RC_CANCELLED, "the service is ending");
		end_run(run);
	}
}

void
preflight_service_free(struct preflight_service **sp)
{
	struct preflight_service *s = TAKE(*sp);

	if (s == NULL)
		return;
	struct run *run;
	LIST_FOREACH(run, &s->runs, struct run, link) {
		struct preflight_request *request = TAKE(run->request);
		preflight_request_free(&request);
		end_run(run);
	}
	mailbox_free(&s->requests);
	mailbox_free(&s->read);
	arena_done(&s->arena);
	s->magic = 0;
	free(s);
}

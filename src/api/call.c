/* A call's way through the threads and its end.
 *
 * At each hop the call itself is the message: the hop's struct, made once for the call, holds a
 * pool job, a writer's operation and a dispatcher's order, of which one is under way at a time.
 * Readers are kept between calls; an idle one costs a file handle and saves opening the database.
 */
#include <stdlib.h>

#include "api/private.h"
#include "base/log.h"
#include "base/mem.h"
#include "deliver/deliver.h"
#include "relay/book.h"
#include "store/config_system.h"
#include "store/reader.h"

#define OUT_MAX ((size_t)64 << 20)

struct api_hop {
	struct pool_job job;
	struct store_call write;
	struct deliver_order order;
	struct api_call *call;
	struct store_reader *reader; /* lent for a read */
	api_work_fn *work;
	api_read_fn *read;
	api_write_fn *change;
	api_order_fn *command;
	api_read_fn *show; /* of api_change */
	void (*drop)(struct mailbox_request *request);
};

struct api_call *
api_call_new(struct api *a, struct http_request *r)
{
	struct api_call *c = MEM_NEW(struct api_call);

	c->magic = API_CALL_MAGIC;
	c->api = a;
	c->request = r;
	c->status = 200;
	c->type = "application/json";
	c->relays = relay_book_ref(a->opts.relays(a->opts.arg));
	c->hop = ARENA_NEW(&c->arena, struct api_hop);
	c->hop->call = c;
	buf_init(&c->out, OUT_MAX);
	json_writer_init(&c->json, &c->out);
	list_push_back(&a->calls, &c->link);
	return c;
}

void
api_call_free(struct api_call *c)
{
	struct api *a = c->api;

	if (c->request != NULL)
		http_answer(c->request, 503, NULL, (struct str){ 0 });
	list_remove(&c->link);
	store_reader_free(&c->hop->reader);
	json_free(&c->body);
	relay_book_unref(&c->relays);
	buf_wipe(&c->out); /* may hold a secret that was just made */
	arena_done(&c->page);
	arena_done(&c->arena);
	c->magic = 0;
	free(c);
	api_tell_idle(a);
}

/* ---- the end ---- */

static void
send(struct api_call *c)
{
	if (c->request != NULL)
		http_answer(TAKE(c->request), c->status, c->type, buf_str(&c->out));
	else if (c->ended != NULL)
		c->ended(c);
	api_call_free(c);
}

void
api_done(struct api_call *c)
{
	/* The watch asks without wanting an answer, and writes none. */
	bool is_json = c->request != NULL && str_starts(str_from(c->type), STR("application/json"));

	if (is_json)
		json_writer_done(&c->json);
	if (!buf_is_ok(&c->out)) {
		api_fail(c, RC_INVALID, "the answer is too large; ask for less with ?limit=");
		return;
	}
	if (buf_len(&c->out) != 0 && is_json)
		buf_add_byte(&c->out, '\n');
	send(c);
}

void
api_done_empty(struct api_call *c)
{
	json_writer_object(&c->json);
	json_writer_put_str(&c->json, "object", STR("done"));
	json_writer_end(&c->json);
	api_done(c);
}

static unsigned
status_of(enum rc rc, const char **name_out)
{
	switch (rc) {
	case RC_INVALID: *name_out = "validation_error"; return 422;
	case RC_NOT_FOUND: *name_out = "not_found"; return 404;
	case RC_EXISTS: *name_out = "conflict"; return 409;
	case RC_DENIED: *name_out = "refused_by_policy"; return 403;
	case RC_OK:
	case RC_AGAIN:
	case RC_DONE:
	case RC_LIMIT:
	case RC_TIMEOUT:
	case RC_CLOSED:
	case RC_IO:
	case RC_TLS:
	case RC_DNS:
	case RC_DB:
	case RC_CANCELLED: break;
	}
	*name_out = "service_unavailable";
	return 503;
}

void
api_fail_with(struct api_call *c, const struct fault *f)
{
	const char *name;

	c->status = status_of(f->rc, &name);
	c->type = "application/json";
	c->fault = *f;
	if (c->status == 503)
		log_event(LOG_WARN, NULL, "api.failed", "%.*s: %s: %s",
		    STR_ARG(c->request != NULL ? c->request->path : STR("watch")), rc_name(f->rc),
		    f->text);
	buf_clear(&c->out);
	json_writer_init(&c->json, &c->out);
	json_writer_object(&c->json);
	json_writer_put_uint(&c->json, "statusCode", c->status);
	json_writer_put_str(&c->json, "name", str_from(name));
	json_writer_put_str(
	    &c->json, "message", f->text[0] != '\0' ? str_from(f->text) : str_from(rc_name(f->rc)));
	if (c->hint.n != 0)
		json_writer_put_str(&c->json, "hint", c->hint);
	json_writer_end(&c->json);
	json_writer_done(&c->json);
	buf_add_byte(&c->out, '\n');
	send(c);
}

void
api_fail(struct api_call *c, enum rc rc, const char *fmt, ...)
{
	struct fault f = { .rc = rc };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f.text, sizeof(f.text), fmt, ap);
	va_end(ap);
	api_fail_with(c, &f);
}

/* A step came back: on to the next, or the end. */
static void
go_on(struct api_call *c, enum rc rc, const struct fault *f)
{
	if (rc == RC_OK) {
		c->then(c);
		return;
	}
	struct fault failed = *f;
	failed.rc = rc;
	api_fail_with(c, &failed);
}

/* ---- the pool ---- */

static void
run_work(struct pool_job *job)
{
	struct api_hop *h = CONTAINER_OF(job, struct api_hop, job);
	struct api_call *c = h->call;

	c->fault = (struct fault){ 0 };
	c->fault.rc = h->work(c, &c->fault);
}

static void
run_read(struct pool_job *job)
{
	struct api_hop *h = CONTAINER_OF(job, struct api_hop, job);
	struct api_call *c = h->call;
	struct fault f = { 0 };
	enum rc rc = RC_OK;

	if (h->reader == NULL)
		rc = store_reader_new(c->api->opts.store, &h->reader, &f);
	if (rc == RC_OK)
		rc = h->read(c, h->reader, &f);
	c->fault = f;
	c->fault.rc = rc;
}

static void
post_job(struct api_call *c, pool_job_fn *run, api_step *then)
{
	c->then = then;
	c->hop->job.run = run;
	c->hop->job.reply = c->api->from_pool;
	pool_post(c->api->opts.pool, &c->hop->job);
}

void
api_work(struct api_call *c, api_work_fn *run, api_step *then)
{
	c->hop->work = run;
	post_job(c, run_work, then);
}

void
api_read(struct api_call *c, api_read_fn *run, api_step *then)
{
	struct api *a = c->api;

	if (a->n_readers > 0)
		c->hop->reader = a->readers[--a->n_readers];
	c->hop->read = run;
	post_job(c, run_read, then);
}

static void
take_reader_back(struct api_call *c)
{
	struct api *a = c->api;

	if (c->hop->reader != NULL && a->n_readers < API_READERS_KEPT && !a->stopping)
		a->readers[a->n_readers++] = TAKE(c->hop->reader);
	store_reader_free(&c->hop->reader);
}

void
api_on_pool(void *arg, struct mailbox_item *item)
{
	struct api *a = FROM_ARG(struct api, arg, API_MAGIC);

	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct api_call *c = CONTAINER_OF(pool_job_of(item), struct api_hop, job)->call;
		take_reader_back(c);
		if (a->stopping)
			api_call_free(c);
		else
			go_on(c, c->fault.rc, &c->fault);
		item = next;
	}
}

/* ---- the writer ---- */

static enum rc
run_write(struct store_tx *tx, void *arg, struct fault *f)
{
	struct api_call *c = FROM_ARG(struct api_call, arg, API_CALL_MAGIC);

	return c->hop->change(c, tx, f);
}

void
api_write(struct api_call *c, api_write_fn *run, api_step *then)
{
	struct api_hop *h = c->hop;

	c->then = then;
	h->change = run;
	h->write = (struct store_call){ .op = { .kind = STORE_CALL, .reply = c->api->from_writer },
		.run = run_write,
		.arg = c };
	store_post(c->api->opts.store, &h->write.op);
}

void
api_on_writer(void *arg, struct mailbox_item *item)
{
	struct api *a = FROM_ARG(struct api, arg, API_MAGIC);

	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct store_op *op = store_op_of(item);
		if (op->kind == STORE_ACCEPT) {
			api_email_kept(a, op);
		} else {
			struct store_call *w = CONTAINER_OF(op, struct store_call, op);
			struct api_call *c = CONTAINER_OF(w, struct api_hop, write)->call;
			if (a->stopping)
				api_call_free(c);
			else
				go_on(c, op->rc, &op->fault);
		}
		item = next;
	}
}

enum rc
api_audit(struct api_call *c, struct store_tx *tx, const char *what, struct str target,
    struct str why, struct fault *f)
{
	struct store_audit_row row = { .at_us = clock_wall_us(),
		.who = c->who,
		.what = str_from(what),
		.target = target,
		.why = why };

	return store_config_audit_add(tx, &row, f);
}

/* ---- the dispatcher ---- */

static void
run_order(struct deliver *d, struct deliver_order *o)
{
	struct api_hop *h = CONTAINER_OF(o, struct api_hop, order);

	h->command(h->call, d);
}

void
api_order(struct api_call *c, api_order_fn *run, api_step *then)
{
	struct api_hop *h = c->hop;

	c->then = then;
	c->fault = (struct fault){ 0 };
	h->command = run;
	h->order = (struct deliver_order){ .run = run_order, .reply = c->api->from_dispatcher };
	deliver_post(c->api->opts.deliver, &h->order);
}

void
api_on_dispatcher(void *arg, struct mailbox_item *item)
{
	struct api *a = FROM_ARG(struct api, arg, API_MAGIC);

	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct deliver_order *o = CONTAINER_OF(item, struct deliver_order, item);
		struct api_call *c = CONTAINER_OF(o, struct api_hop, order)->call;
		if (a->stopping)
			api_call_free(c);
		else
			go_on(c, c->fault.rc, &c->fault);
		item = next;
	}
}

/* ---- services ---- */

void
api_ask(struct api_call *c, struct mailbox *service, struct mailbox_request *request,
    void (*drop)(struct mailbox_request *request), api_step *then)
{
	c->then = then;
	c->hop->drop = drop;
	request->reply = c->api->from_asked;
	request->arg = c;
	mailbox_post(service, &request->item);
}

void
api_on_asked(void *arg, struct mailbox_item *item)
{
	struct api *a = FROM_ARG(struct api, arg, API_MAGIC);

	while (item != NULL) {
		struct mailbox_item *next = item->next;
		struct mailbox_request *r = CONTAINER_OF(item, struct mailbox_request, item);
		struct api_call *c = FROM_ARG(struct api_call, r->arg, API_CALL_MAGIC);
		if (a->stopping) {
			c->hop->drop(r);
			api_call_free(c);
		} else {
			c->then(c);
		}
		item = next;
	}
}

/* ---- settings ---- */

static void
on_published(void *arg, enum rc rc, const struct fault *f)
{
	struct api_call *c = FROM_ARG(struct api_call, arg, API_CALL_MAGIC);

	if (rc == RC_OK) { /* what follows looks at the books as they are now */
		relay_book_unref(&c->relays);
		c->relays = relay_book_ref(c->api->opts.relays(c->api->opts.arg));
	}
	go_on(c, rc, f);
}

void
api_publish(struct api_call *c, api_step *then)
{
	c->then = then;
	c->api->opts.publish(c->api->opts.arg, on_published, c);
}

/* ---- the usual ways ---- */

static void
show_change(struct api_call *c)
{
	if (c->hop->show == NULL)
		api_done_empty(c);
	else
		api_read(c, c->hop->show, api_done);
}

static void
publish_change(struct api_call *c)
{
	api_publish(c, show_change);
}

void
api_change(struct api_call *c, api_write_fn *change, api_read_fn *show)
{
	c->hop->show = show;
	api_write(c, change, publish_change);
}

void
api_change_quietly(struct api_call *c, api_write_fn *change, api_read_fn *show)
{
	c->hop->show = show;
	api_write(c, change, show_change);
}

void
api_answer_from(struct api_call *c, api_read_fn *show)
{
	api_read(c, show, api_done);
}

/* The queue: what waits, where it goes, and what people do about it. */
#include "api/change.h"
#include "api/view.h"

#include <stdatomic.h>

#include "store/state.h"

/* ---- what waits, by group ---- */

static const char *
why_closed(struct api_call *c, const struct relay_decision *where, bool *open)
{
	const struct api_way *way = api_view_way(c, where->version);

	*open = false;
	if (where->refusal != RELAY_REFUSAL_NONE)
		return where->why;
	*open = way != NULL && way->status.usable;
	return way != NULL && !*open ? way->status.why : "";
}

static void
put_group(struct api_call *c, const struct api_group *g)
{
	const struct relay_row *relay = relay_book_relay(c->relays, g->where.relay);
	struct json_writer *w = &c->json;
	bool open;
	const char *why = why_closed(c, &g->where, &open);

	json_writer_object(w);
	json_writer_put_str(w, "key", g->key);
	api_put_text(w, "relay", relay != NULL ? relay->name : (struct str){ 0 });
	json_writer_put_bool(w, "open", open);
	api_put_text(w, "why", str_from(why));
	json_writer_put_uint(w, "queued", g->n[STREAM_TRANSACTIONAL] + g->n[STREAM_BULK]);
	api_put_time(w, "due_at", g->due_us);
	json_writer_end(w);
}

static enum rc
put_queue(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct api_groups groups = { 0 };
	struct json_writer *w = &c->json;
	enum rc rc = api_groups_read(c, r, &groups, f);

	if (rc != RC_OK)
		return rc;
	json_writer_object(w);
	api_put_lanes(c, &groups);
	json_writer_put_array(w, "groups");
	for (size_t i = 0; i < groups.n; i++)
		put_group(c, &groups.v[i]);
	json_writer_end(w);
	json_writer_put_bool(w, "has_more", groups.cut);
	json_writer_end(w);
	return RC_OK;
}

static void
show_queue(struct api_call *c)
{
	api_answer_from(c, put_queue);
}

void
api_queue_show(struct api_call *c)
{
	api_look(c, true, show_queue);
}

void
api_put_lanes(struct api_call *c, const struct api_groups *groups)
{
	const struct deliver_metrics *m = deliver_metrics(c->api->opts.deliver);
	struct json_writer *w = &c->json;

	json_writer_put_array(w, "lanes");
	for (unsigned lane = 0; lane < STREAM_COUNT; lane++) {
		uint64_t n = 0;
		for (size_t i = 0; i < groups->n; i++)
			n += groups->v[i].n[lane];
		json_writer_object(w);
		json_writer_put_str(w, "stream", str_from(mail_stream_name((enum stream)lane)));
		json_writer_put_uint(w, "queued", n);
		api_put_time(w, "oldest_at", n != 0 ? atomic_load(&m->oldest_us[lane]) : 0);
		json_writer_end(w);
	}
	json_writer_end(w);
}

/* ---- recipients ---- */

/* A place in the list as text: five numbers with dots, behind the phase. */
static struct str
place_text(struct api_call *c, const struct store_queue_position *at)
{
	return arena_strf(&c->arena, "%u.%lld.%lld.%lld.%lld.%lld", at->phase,
	    (long long)at->key[0], (long long)at->key[1], (long long)at->key[2],
	    (long long)at->key[3], (long long)at->key[4]);
}

static bool
read_number(struct str s, int64_t *out)
{
	bool minus = s.n > 0 && s.p[0] == '-';
	uint64_t n;

	if (str_to_u64(str_skip(s, minus), &n) != RC_OK || n > INT64_MAX)
		return false;
	*out = minus ? -(int64_t)n : (int64_t)n;
	return true;
}

static bool
place_read(struct str text, struct store_queue_position *out)
{
	struct str word;
	int64_t phase;

	if (!str_cut(&text, '.', &word) || !read_number(word, &phase) || phase < 0 ||
	    phase > UINT8_MAX)
		return false;
	for (size_t i = 0; i < COUNT_OF(out->key); i++)
		if (!str_cut(&text, '.', &word) || !read_number(word, &out->key[i]))
			return false;
	out->phase = (uint8_t)phase;
	return text.p == NULL;
}

static enum rc
put_recipient(
    struct api_call *c, struct store_reader *r, const struct store_queue_row *row, struct fault *f)
{
	const struct store_recipient_row *p = &row->rcpt;
	struct json_writer *w = &c->json;
	struct store_message_row m;
	struct relay_decision where;
	struct str key = { 0 };
	bool open = true;
	enum rc rc = store_query_message(r, p->msg, &c->arena, &m, f);

	if (rc == RC_NOT_FOUND) /* it ended while the page was read */
		return RC_OK;
	if (rc != RC_OK)
		return rc;
	if (store_query_group(r, p->group, &c->arena, &key, NULL) != RC_OK ||
	    relay_book_route_key(c->relays, key, &where) != RC_OK)
		where = (struct relay_decision){ .refusal = RELAY_REFUSAL_NO_ROUTE };
	const struct relay_row *relay = relay_book_relay(c->relays, where.relay);
	json_writer_object(w);
	json_writer_put_str(w, "id", api_rcpt_id(c, &m, p->id));
	json_writer_put_str(w, "address", p->address);
	json_writer_put_str(w, "from", row->sender);
	json_writer_put_str(w, "subject", row->subject);
	json_writer_put_str(w, "stream", str_from(mail_stream_name(p->lane)));
	api_put_text(w, "tag", row->tag);
	json_writer_put_uint(w, "size", row->content.bytes);
	json_writer_put_str(w, "state", str_from(store_state_name(p->state)));
	json_writer_put_uint(w, "attempts", p->attempts);
	api_put_time(w, "due_at", p->due_us);
	api_put_time(w, "created_at", row->created_us);
	api_put_time(w, "deadline_at", row->deadline_us);
	api_put_text(w, "relay", relay != NULL ? relay->name : (struct str){ 0 });
	api_put_text(w, "why", str_from(why_closed(c, &where, &open)));
	json_writer_end(w);
	return RC_OK;
}

/* A read of the store stops when its time is up, with fewer rows or none: then it goes on here. */
#define PAGES_MAX 40

static enum rc
put_recipients(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct str state = http_query(c->request, "state"), after = http_query(c->request, "after");
	struct store_queue_list q = { 0 };
	uint32_t n = 0;
	enum rc rc = api_limit(c, &q.max, f);
	uint32_t limit = q.max;

	if (rc == RC_OK && state.n != 0) {
		q.filter.by_state = true;
		if (!store_state_parse(state, &q.filter.state) ||
		    store_state_is_final(q.filter.state))
			rc = fault_set(
			    f, RC_INVALID, "state must be queued, held, in_doubt or captured");
	}
	if (rc == RC_OK && after.n != 0 && !place_read(after, &q.at))
		rc = fault_set(f, RC_INVALID, "after must be the \"next\" of the page before");
	if (rc != RC_OK)
		return rc;
	q.filter.sender = http_query(c->request, "from");
	q.filter.address = http_query(c->request, "to");
	q.filter.tag = http_query(c->request, "tag");
	api_list_begin(&c->json);
	for (unsigned page = 0; page < PAGES_MAX && rc == RC_OK && n < limit && !q.end; page++) {
		q.max = limit - n;
		rc = store_query_queue(r, &q, &c->arena, f);
		for (uint32_t i = 0; rc == RC_OK && i < q.n; i++, n++)
			rc = put_recipient(c, r, &q.rows[i], f);
	}
	json_writer_end(&c->json);
	json_writer_put_bool(&c->json, "has_more", !q.end);
	api_put_text(&c->json, "next", q.end ? (struct str){ 0 } : place_text(c, &q.at));
	json_writer_end(&c->json);
	return rc;
}

static void
show_recipients(struct api_call *c)
{
	api_answer_from(c, put_recipients);
}

void
api_queue_list(struct api_call *c)
{
	api_look(c, false, show_recipients);
}

/* ---- wishes ---- */

static void
run_selected(struct api_call *c, enum deliver_wish wish, const char *what)
{
	struct api_selector selector;
	struct fault f = { 0 };
	struct str text = { 0 };
	enum rc rc = api_need_str(c->body, "selector", &text, &f);

	if (rc == RC_OK)
		rc = api_selector_parse(text, &selector, &f);
	if (rc == RC_NOT_FOUND)
		f.rc = RC_INVALID;
	if (rc != RC_OK) {
		api_fail_with(c, &f);
		return;
	}
	c->name = text; /* for the audit */
	api_change_run(c, &selector, wish, what);
}

void
api_queue_hold(struct api_call *c)
{
	run_selected(c, DELIVER_HOLD, "queue.hold");
}

void
api_queue_release(struct api_call *c)
{
	run_selected(c, DELIVER_RELEASE, "queue.release");
}

void
api_queue_retry(struct api_call *c)
{
	run_selected(c, DELIVER_RETRY, "queue.retry");
}

void
api_queue_cancel(struct api_call *c)
{
	run_selected(c, DELIVER_CANCEL, "queue.cancel");
}

void
api_queue_resolve(struct api_call *c)
{
	struct api_selector selector = { .filter = { .by_state = true, .state = STORE_IN_DOUBT } };
	struct str as = { 0 };
	struct fault f = { 0 };
	enum rc rc = api_need_str(c->body, "id", &selector.id, &f);
	enum deliver_wish wish = DELIVER_UNKNOWN;

	if (rc == RC_OK)
		rc = api_need_str(c->body, "as", &as, &f);
	if (rc == RC_OK && str_eq(as, STR("sent")))
		wish = DELIVER_SENT;
	else if (rc == RC_OK && str_eq(as, STR("again")))
		wish = DELIVER_AGAIN;
	else if (rc == RC_OK && !str_eq(as, STR("unknown")))
		rc = fault_set(&f, RC_INVALID, "as must be sent, again or unknown");
	if (rc != RC_OK) {
		f.rc = RC_INVALID;
		api_fail_with(c, &f);
		return;
	}
	api_change_run(c, &selector, wish, "queue.resolve");
}

static void
run_message(struct api_call *c, enum deliver_wish wish, const char *what)
{
	struct api_selector selector = { .id = c->name };

	api_change_run(c, &selector, wish, what);
}

void
api_email_cancel(struct api_call *c)
{
	run_message(c, DELIVER_CANCEL, "message.cancel");
}

void
api_email_retry(struct api_call *c)
{
	run_message(c, DELIVER_RETRY, "message.retry");
}

void
api_email_release(struct api_call *c)
{
	run_message(c, DELIVER_RELEASE, "message.release");
}

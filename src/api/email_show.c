/* GET /emails and GET /emails/{id}: what came in and what became of it, whole. */
#include "api/change.h"
#include "api/relay.h"
#include "api/words.h"

#include "relay/attribute.h"
#include "smtp/client.h"
#include "store/config_account.h"
#include "store/query_message.h"
#include "store/query_queue.h"
#include "store/report.h"

#define RECIPIENTS_SHOWN 1000
#define ATTEMPTS_SHOWN   100
#define REPORTS_SHOWN    1000
/* Reads of one request while it looks for rows that fit its filter. */
#define PAGES_MAX        40

/* ---- names ---- */

static void
put_id(struct api_call *c, const char *key, const struct store_message_row *m)
{
	char id[STORE_PUBLIC_ID_SIZE];

	store_public_id(c->api->opts.store, m->id, m->created_us, id);
	json_writer_put_str(&c->json, key, str_from(id));
}

struct str
api_rcpt_id(struct api_call *c, const struct store_message_row *m, struct rcpt_id rcpt)
{
	unsigned long long number = rcpt.v - m->first_rcpt + 1;
	char id[STORE_PUBLIC_ID_SIZE];

	store_public_id(c->api->opts.store, m->id, m->created_us, id);
	return arena_strf(&c->arena, "%s/%llu", id, number);
}

static struct str
relay_name(const struct api_relay_rows *rows, struct relay_id id)
{
	for (uint32_t i = 0; i < rows->n_relays; i++)
		if (ID_EQ(rows->relays[i].id, id))
			return rows->relays[i].name;
	return (struct str){ 0 };
}

/* "main@1". */
static struct str
version_name(struct api_call *c, const struct api_relay_rows *rows, struct version_id id)
{
	const struct store_relay_version_row *v = api_relay_version(rows, id);
	struct str name = v != NULL ? relay_name(rows, v->relay) : (struct str){ 0 };

	return name.n != 0 ? arena_strf(&c->arena, "%.*s@%u", STR_ARG(name), v->number)
			   : (struct str){ 0 };
}

/* What is worst or least settled stands for the whole message. */
static enum store_state
state_of(const uint32_t counts[STORE_STATE_COUNT])
{
	static const enum store_state order[] = { STORE_IN_DOUBT, STORE_QUEUED, STORE_HELD,
		STORE_CAPTURED, STORE_BOUNCED, STORE_FAILED, STORE_EXPIRED, STORE_UNKNOWN,
		STORE_SUPPRESSED, STORE_CANCELLED, STORE_SENT };

	static_assert(COUNT_OF(order) == STORE_STATE_COUNT, "every state has its place");
	for (size_t i = 0; i < COUNT_OF(order); i++)
		if (counts[order[i]] != 0)
			return order[i];
	return STORE_QUEUED;
}

static const char *
kind_name(enum store_kind kind)
{
	switch (kind) {
	case STORE_SUBMITTED: return "submitted";
	case STORE_BOUNCE: return "bounce";
	case STORE_NOTICE: return "notice";
	}
	return "submitted";
}

/* What list and story have in common; the object stays open. */
static void
put_message(struct api_call *c, const struct store_message_row *m)
{
	struct json_writer *w = &c->json;

	json_writer_object(w);
	put_id(c, "id", m);
	json_writer_put_str(w, "from", m->sender);
	json_writer_put_str(w, "subject", m->subject);
	json_writer_put_str(w, "message_id", m->message_id);
	json_writer_put_str(w, "stream", str_from(mail_stream_name(m->stream)));
	json_writer_put_str(w, "kind", str_from(kind_name(m->kind)));
	api_put_text(w, "tag", m->tag);
	json_writer_put_uint(w, "size", m->content.bytes);
	api_put_time(w, "created_at", m->created_us);
	api_put_time(w, "scheduled_at", m->send_at_us);
	api_put_time(w, "deadline_at", m->deadline_us);
	api_put_text(w, "client", m->client);
	json_writer_put_str(w, "state", str_from(store_state_name(state_of(m->counts))));
	json_writer_put_object(w, "counts");
	for (unsigned i = 0; i < STORE_STATE_COUNT; i++)
		if (m->counts[i] != 0)
			json_writer_put_uint(
			    w, store_state_name((enum store_state)i), m->counts[i]);
	json_writer_end(w);
}

/* ---- the list ---- */

struct listing {
	struct store_message_list q;
	struct str to;
	bool by_state;
	enum store_state state;
	uint32_t limit;
};

static enum rc
read_listing(struct api_call *c, struct listing *l, struct fault *f)
{
	const struct http_request *r = c->request;
	struct str state = http_query(r, "state"), after = http_query(r, "after");
	enum rc rc = api_limit(c, &l->limit, f);

	l->q.filter.sender = http_query(r, "from");
	l->q.filter.tag = http_query(r, "tag");
	l->q.filter.message_id = http_query(r, "message_id");
	l->to = http_query(r, "to");
	if (rc == RC_OK && state.n != 0) {
		l->by_state = true;
		if (!store_state_parse(state, &l->state))
			rc = fault_set(f, RC_INVALID,
			    "state '%.*s' is none; there are queued, in_doubt, held, captured, sent, bounced, expired, failed, cancelled, suppressed and unknown",
			    STR_ARG(str_sub(state, 0, 40)));
	}
	if (rc == RC_OK && after.n != 0 &&
	    store_public_parse(c->api->opts.store, after, &l->q.before) != RC_OK)
		rc = fault_set(
		    f, RC_INVALID, "after must be the id of the last message of the page before");
	return rc;
}

static bool
address_fits(struct str want, struct str address)
{
	if (want.n != 0 && want.p[0] == '@')
		return str_ends_nocase(address, want);
	return str_eq_nocase(address, want);
}

/* Whether any recipient fits; the filter of the store knows senders only. */
static enum rc
to_fits(struct api_call *c, struct store_reader *r, const struct listing *l,
    const struct store_message_row *m, bool *out, struct fault *f)
{
	struct store_recipient_list q = { .max = RECIPIENTS_SHOWN };

	*out = l->to.n == 0 || address_fits(l->to, m->first_address);
	if (*out || m->n_rcpts == 1)
		return RC_OK;
	enum rc rc = store_query_recipients(r, m, &q, &c->arena, f);
	for (uint32_t i = 0; rc == RC_OK && i < q.n; i++)
		*out |= address_fits(l->to, q.rows[i].address);
	return rc;
}

static enum rc
put_page(
    struct api_call *c, struct store_reader *r, struct listing *l, uint32_t *n, struct fault *f)
{
	enum rc rc = store_query_messages(r, &l->q, &c->arena, f);

	for (uint32_t i = 0; rc == RC_OK && i < l->q.n; i++) {
		const struct store_message_row *m = &l->q.rows[i];
		bool fits = false;
		if (l->by_state && m->counts[l->state] == 0)
			continue;
		rc = to_fits(c, r, l, m, &fits, f);
		if (rc != RC_OK || !fits)
			continue;
		put_message(c, m);
		json_writer_put_array(&c->json, "to");
		json_writer_str(&c->json, m->first_address);
		json_writer_end(&c->json);
		json_writer_put_uint(&c->json, "recipients", m->n_rcpts);
		json_writer_end(&c->json);
		l->q.before = m->id;
		if (++*n == l->limit) {
			bool last = i + 1 == l->q.n;
			l->q.next = last ? l->q.next : m->id;
			return RC_OK;
		}
	}
	l->q.before = l->q.next;
	return rc;
}

static enum rc
put_list(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct listing l = { 0 };
	uint32_t n = 0;
	enum rc rc = read_listing(c, &l, f);

	if (rc != RC_OK)
		return rc;
	l.q.max = l.limit;
	api_list_begin(&c->json);
	for (unsigned page = 0; page < PAGES_MAX && rc == RC_OK; page++) {
		rc = put_page(c, r, &l, &n, f);
		if (n == l.limit || ID_IS_NONE(l.q.next))
			break;
	}
	api_list_end(&c->json, !ID_IS_NONE(l.q.next));
	return rc;
}

void
api_email_list(struct api_call *c)
{
	api_answer_from(c, put_list);
}

/* ---- the story ---- */

static void
put_attempt(
    struct api_call *c, const struct api_relay_rows *rows, const struct store_attempt_row *row)
{
	const struct store_attempt *f = &row->facts;
	const struct store_relay_version_row *v = api_relay_version(rows, f->version);
	struct json_writer *w = &c->json;
	bool refused = !row->is_open && (f->code == 0 || f->code >= 400);

	json_writer_object(w);
	api_put_time(w, "at", f->at_us);
	json_writer_put_int(w, "duration_ms", f->duration_us / 1000);
	api_put_text(w, "relay", v != NULL ? relay_name(rows, v->relay) : (struct str){ 0 });
	json_writer_put_uint(w, "version", v != NULL ? v->number : 0);
	json_writer_put_str(w, "stage",
	    row->is_open                  ? STR("dot")
	    : f->stage < SMTP_STAGE_COUNT ? str_from(smtp_stage_name((enum smtp_stage)f->stage))
					  : STR("unknown"));
	json_writer_put_uint(w, "code", f->code);
	api_put_text(w, "enhanced", f->enhanced);
	json_writer_put_str(w, "text", f->text);
	api_put_text(w, "attribution",
	    refused && f->attribution < RELAY_BLAME_COUNT
		? str_from(relay_blame_name((enum relay_blame)f->attribution))
		: (struct str){ 0 });
	api_put_text(w, "remote", f->remote);
	api_put_text(w, "tls", f->tls);
	json_writer_put_bool(w, "open", row->is_open);
	json_writer_end(w);
}

/* ---- what came home ---- */

/* The last word about a recipient that was sent: how it ended, if a report says so, else the last
 * report. NULL: none. */
static const struct store_report_row *
last_report(const struct store_report_list *reports, struct rcpt_id rcpt)
{
	const struct store_report_row *last = NULL;

	for (uint32_t i = 0; i < reports->n; i++) {
		const struct store_report_row *r = &reports->rows[i];
		bool ends = r->action == STORE_REPORT_FAILED || r->action == STORE_REPORT_DELIVERED;
		if (ID_EQ(r->rcpt, rcpt) &&
		    (ends || last == NULL || last->action == STORE_REPORT_DELAYED ||
			last->action == STORE_REPORT_RELAYED))
			last = r;
	}
	return last;
}

static void
put_report(struct api_call *c, const struct store_report_row *r)
{
	struct json_writer *w = &c->json;
	bool blames = r->action == STORE_REPORT_FAILED || r->action == STORE_REPORT_DELAYED;

	json_writer_object(w);
	api_put_time(w, "at", r->at_us);
	json_writer_put_str(w, "action", str_from(store_report_name(r->action)));
	api_put_text(w, "status", r->status);
	json_writer_put_str(w, "text", r->text);
	api_put_text(w, "attribution",
	    blames && r->attribution < RELAY_BLAME_COUNT
		? str_from(relay_blame_name((enum relay_blame)r->attribution))
		: (struct str){ 0 });
	api_put_text(w, "reporter", r->reporter);
	api_put_text(w, "mailbox", r->mailbox);
	json_writer_put_str(w, "matched_by", str_from(store_report_match_name(r->matched)));
	json_writer_end(w);
}

/* "delivery" and "reports" of one recipient. */
static void
put_reports(struct api_call *c, const struct store_report_list *reports,
    const struct store_recipient_row *rcpt)
{
	const struct store_report_row *last = last_report(reports, rcpt->id);
	struct json_writer *w = &c->json;

	if (last != NULL)
		json_writer_put_str(w, "delivery", str_from(store_report_name(last->action)));
	else if (rcpt->state == STORE_SENT)
		json_writer_put_str(w, "delivery", STR("unknown"));
	else
		json_writer_put_null(w, "delivery");
	json_writer_put_array(w, "reports");
	for (uint32_t i = 0; i < reports->n; i++)
		if (ID_EQ(reports->rows[i].rcpt, rcpt->id))
			put_report(c, &reports->rows[i]);
	json_writer_end(w);
}

/* One more sentence for people. */
static void
add_delivery(struct buf *b, const struct store_report_row *last, enum store_state state)
{
	if ((last != NULL || state == STORE_SENT) && !str_ends(buf_str(b), STR(".")))
		buf_add_byte(b, '.');
	if (last == NULL && state == STORE_SENT) {
		buf_add(b, STR(" Accepted there; delivery unknown: no report has come home."));
		return;
	}
	if (last == NULL)
		return;
	switch (last->action) {
	case STORE_REPORT_FAILED: buf_add(b, STR(" It bounced later")); break;
	case STORE_REPORT_DELAYED: buf_add(b, STR(" It is late on its further way")); break;
	case STORE_REPORT_DELIVERED: buf_add(b, STR(" It was delivered")); break;
	case STORE_REPORT_RELAYED:
		buf_add(b, STR(" It was handed on to where nothing more will be said"));
		break;
	}
	if (last->reporter.n != 0)
		buf_addf(b, ", says %.*s", STR_ARG(last->reporter));
	if (last->text.n != 0)
		buf_addf(b, ": %.*s", STR_ARG(last->text));
	else if (last->status.n != 0)
		buf_addf(b, ": %.*s", STR_ARG(last->status));
	if (last->matched == STORE_MATCH_ADDRESS)
		buf_add(b, STR(" (told by its address alone, so perhaps about other mail to it)"));
	if (!str_ends(buf_str(b), STR(".")))
		buf_add_byte(b, '.');
}

static enum rc
put_words(struct api_call *c, struct store_reader *r, struct api_words *words,
    const struct store_report_row *last, struct fault *f)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct relay_decision where;
	struct str key;
	enum rc rc = store_query_group(r, words->rcpt->group, &c->arena, &key, f);

	if (rc == RC_OK && relay_book_route_key(c->relays, key, &where) == RC_OK) {
		const struct relay_row *relay = relay_book_relay(c->relays, where.relay);
		words->where = &where;
		words->relay = relay != NULL ? relay->name : (struct str){ 0 };
		words->way = api_view_way(c, where.version);
	}
	buf_init(&b, 4096);
	api_words_add(&b, words);
	add_delivery(&b, last, words->rcpt->state);
	words->where = NULL;
	json_writer_put_str(&c->json, "words", buf_str(&b));
	return rc == RC_NOT_FOUND ? RC_OK : rc;
}

static enum rc
put_recipient(struct api_call *c, struct store_reader *r, const struct api_relay_rows *rows,
    struct api_words *words, const struct store_report_list *reports, struct fault *f)
{
	const struct store_recipient_row *rcpt = words->rcpt;
	struct store_attempt_list q = { .max = ATTEMPTS_SHOWN };
	struct json_writer *w = &c->json;
	enum rc rc = store_query_attempts(r, rcpt->id, &q, &c->arena, f);

	if (rc != RC_OK)
		return rc;
	words->id = api_rcpt_id(c, words->message, rcpt->id);
	words->last = q.n != 0 ? &q.rows[q.n - 1] : NULL;
	words->last_relay =
	    q.n != 0 ? version_name(c, rows, words->last->facts.version) : (struct str){ 0 };
	json_writer_object(w);
	json_writer_put_str(w, "id", words->id);
	json_writer_put_str(w, "address", rcpt->address);
	json_writer_put_str(w, "state", str_from(store_state_name(rcpt->state)));
	api_put_time(w, "due_at", store_state_is_final(rcpt->state) ? 0 : rcpt->due_us);
	api_put_time(w, "done_at", rcpt->done_us);
	json_writer_put_array(w, "attempts");
	for (uint32_t i = 0; i < q.n; i++)
		put_attempt(c, rows, &q.rows[i]);
	json_writer_end(w);
	put_reports(c, reports, rcpt);
	rc = put_words(c, r, words, last_report(reports, rcpt->id), f);
	json_writer_end(w);
	return rc;
}

static enum rc
put_credential(struct api_call *c, struct store_reader *r, struct credential_id id, struct fault *f)
{
	struct store_credential_row *rows;
	struct str name = { 0 };
	uint32_t n;
	enum rc rc = store_config_credential_list(r, &c->arena, &rows, &n, f);

	for (uint32_t i = 0; rc == RC_OK && i < n; i++)
		if (ID_EQ(rows[i].id, id))
			name = rows[i].name;
	api_put_text(&c->json, "credential", name);
	return rc;
}

static enum rc
put_story(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct store_recipient_list q = { .max = RECIPIENTS_SHOWN };
	struct store_report_list reports = { .max = REPORTS_SHOWN };
	struct api_relay_rows rows = { 0 };
	struct store_message_row m = { 0 };
	struct json_writer *w = &c->json;
	enum rc rc = api_message_find(c, r, c->name, &m, f);

	if (rc == RC_OK)
		rc = api_relay_rows_read(r, &c->arena, &rows, f);
	if (rc == RC_OK)
		rc = store_query_recipients(r, &m, &q, &c->arena, f);
	reports.first.v = m.first_rcpt;
	reports.n_rcpts = q.n;
	if (rc == RC_OK)
		rc = store_report_list(r, &reports, &c->arena, f);
	if (rc != RC_OK)
		return rc;
	put_message(c, &m);
	rc = put_credential(c, r, m.credential, f);
	json_writer_put_array(w, "to");
	for (uint32_t i = 0; i < q.n; i++)
		json_writer_str(w, q.rows[i].address);
	json_writer_end(w);
	json_writer_put_array(w, "recipients");
	for (uint32_t i = 0; i < q.n && rc == RC_OK; i++) {
		struct api_words words = {
			.now_us = clock_wall_us(), .message = &m, .rcpt = &q.rows[i]
		};
		rc = put_recipient(c, r, &rows, &words, &reports, f);
	}
	json_writer_end(w);
	json_writer_put_bool(w, "more_recipients", m.n_rcpts > q.n);
	json_writer_end(w);
	return rc;
}

static void
show_story(struct api_call *c)
{
	api_answer_from(c, put_story);
}

void
api_email_show(struct api_call *c)
{
	api_look(c, false, show_story);
}

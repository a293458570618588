/* Wishes, page by page: the pool reads which recipients are meant, the dispatcher carries the wish
 * out for each, until the end. The dispatcher tells the writer at the end of its turn; one more
 * order and the audit entry behind it make sure that all is committed before the answer. */
#include "api/change.h"

#include "api/account.h"
#include "api/view.h"
#include "base/map.h"

#define PAGE 500

struct change {
	struct api_selector selector;
	enum deliver_wish wish;
	const char *what;
	struct store_queue_position at;
	struct store_row *rows; /* of the present page */
	uint32_t n;
	bool end;
	bool started;
	struct account_id account;
	uint64_t matched, done, busy;
	struct fault first_refusal;
	struct map known; /* group -> whether it goes through the relay named; of this page */
};

/* ---- which ---- */

enum rc
api_message_find(struct api_call *c, struct store_reader *r, struct str id,
    struct store_message_row *out, struct fault *f)
{
	struct str uuid = str_sub(id, 0, str_find(id, '/'));
	struct msg_id msg = { 0 };
	enum rc rc = store_public_parse(c->api->opts.store, uuid, &msg);

	if (rc == RC_OK)
		rc = store_query_message(r, msg, &c->arena, out, NULL);
	if (rc == RC_OK || rc == RC_NOT_FOUND || rc == RC_INVALID)
		return rc == RC_OK ? rc
				   : fault_set(f, RC_NOT_FOUND,
					 "there is no message %.*s, or its history is gone",
					 STR_ARG(str_sub(uuid, 0, 64)));
	return fault_set(f, rc, "the store cannot be read");
}

static struct store_row
row_of(const struct store_recipient_row *p)
{
	return (struct store_row){ .rcpt = p->id,
		.msg = p->msg,
		.account = p->account,
		.group = p->group,
		.lane = p->lane,
		.state = p->state,
		.due_us = p->due_us,
		.lived_us = p->lived_us,
		.domain_hash = p->domain_hash,
		.attempts = p->attempts,
		.doubts = p->doubts,
		.notify = p->notify,
		.address = p->address,
		.orcpt = p->orcpt };
}

static void
set_content(struct store_row *row, const struct store_content *at)
{
	row->segment = at->segment;
	row->offset = at->offset;
	row->bytes = at->bytes;
}

/* The recipients of one message, or the one that the id's number names. */
static enum rc
read_message(struct api_call *c, struct change *k, struct store_reader *r, struct fault *f)
{
	struct str id = k->selector.id;
	struct str number = str_skip(id, str_find(id, '/') + 1);
	struct store_message_row m = { 0 };
	struct store_recipient_list q = { .max = PAGE };
	uint64_t only = 0;
	enum rc rc = api_message_find(c, r, id, &m, f);

	if (rc == RC_OK && number.n != 0 && (str_to_u64(number, &only) != RC_OK || only == 0))
		rc = fault_set(
		    f, RC_INVALID, "'%.*s' is no id of a recipient", STR_ARG(str_sub(id, 0, 80)));
	if (rc == RC_OK && only > m.n_rcpts)
		rc = fault_set(f, RC_NOT_FOUND, "the message has %u recipients only", m.n_rcpts);
	if (rc != RC_OK)
		return rc;
	q.skip = only != 0 ? (uint32_t)only - 1 : (uint32_t)k->at.key[0];
	q.max = only != 0 ? 1 : PAGE;
	rc = store_query_recipients(r, &m, &q, &c->page, f);
	if (rc != RC_OK)
		return rc;
	k->rows = ARENA_NEW_ARRAY(&c->page, struct store_row, q.n);
	for (uint32_t i = 0; i < q.n; i++) {
		struct store_row row = row_of(&q.rows[i]);
		if (k->selector.filter.by_state && row.state != k->selector.filter.state)
			continue;
		row.credential = m.credential;
		row.created_us = m.created_us;
		row.deadline_us = m.deadline_us;
		row.n_rcpts = m.n_rcpts;
		row.flags = m.flags;
		row.ret = m.ret;
		row.doubt_policy = m.doubt_policy;
		row.kind = (uint8_t)m.kind;
		row.sender = m.sender;
		row.envid = m.envid;
		row.message_id = m.message_id;
		set_content(&row, &m.content);
		k->rows[k->n++] = row;
	}
	k->at.key[0] += q.n;
	k->end = only != 0 || q.n == 0 || (uint64_t)k->at.key[0] >= m.n_rcpts;
	return RC_OK;
}

/* Whether a group goes through the relay that was named; remembered for the page. */
static enum rc
group_fits(struct api_call *c, struct change *k, struct store_reader *r, struct group_id group,
    bool *out, struct fault *f)
{
	static char yes, no;
	const struct relay_row *relay = relay_book_relay_named(c->relays, k->selector.relay);
	struct relay_decision where;
	struct str key;
	char *seen = map_get(&k->known, group.v);

	if (seen != NULL) {
		*out = seen == &yes;
		return RC_OK;
	}
	enum rc rc = store_query_group(r, group, &c->page, &key, f);
	*out = rc == RC_OK && relay != NULL &&
	       relay_book_route_key(c->relays, key, &where) == RC_OK &&
	       where.refusal == RELAY_REFUSAL_NONE && ID_EQ(where.relay, relay->id);
	map_put(&k->known, group.v, *out ? &yes : &no);
	return rc == RC_NOT_FOUND ? RC_OK : rc;
}

static enum rc
read_queue(struct api_call *c, struct change *k, struct store_reader *r, struct fault *f)
{
	struct store_queue_list q = { .filter = k->selector.filter, .at = k->at, .max = PAGE };

	q.filter.account = k->account;
	enum rc rc = store_query_queue(r, &q, &c->page, f);
	if (rc == RC_OK)
		k->rows = ARENA_NEW_ARRAY(&c->page, struct store_row, q.n);
	for (uint32_t i = 0; rc == RC_OK && i < q.n; i++) {
		const struct store_queue_row *p = &q.rows[i];
		bool fits = true;
		if (k->selector.relay.n != 0)
			rc = group_fits(c, k, r, p->rcpt.group, &fits, f);
		if (rc != RC_OK || !fits)
			continue;
		struct store_row row = row_of(&p->rcpt);
		row.created_us = p->created_us;
		row.deadline_us = p->deadline_us;
		row.n_rcpts = p->n_rcpts;
		row.sender = p->sender;
		set_content(&row, &p->content);
		k->rows[k->n++] = row;
	}
	map_done(&k->known);
	k->at = q.at;
	k->end = q.end;
	return rc;
}

/* Names to ids, once. */
static enum rc
start(struct api_call *c, struct change *k, struct store_reader *r, struct fault *f)
{
	struct api_accounts accounts = { 0 };
	struct store_account_row *account = NULL;
	enum rc rc = RC_OK;

	if (k->selector.relay.n != 0 &&
	    relay_book_relay_named(c->relays, k->selector.relay) == NULL)
		return fault_set(f, RC_NOT_FOUND, "there is no relay '%.*s'",
		    STR_ARG(str_sub(k->selector.relay, 0, 64)));
	if (k->selector.account.n == 0)
		return RC_OK;
	rc = api_accounts_read(r, &c->arena, &accounts, f);
	if (rc == RC_OK)
		rc = api_accounts_find(&accounts, k->selector.account, &account, f);
	if (rc == RC_OK)
		k->account = account->id;
	return rc;
}

static enum rc
read_page(struct api_call *c, struct store_reader *r, struct fault *f)
{
	struct change *k = c->data;
	enum rc rc = RC_OK;

	if (!k->started)
		rc = start(c, k, r, f);
	k->started = true;
	k->n = 0;
	arena_clear(&c->page);
	if (rc != RC_OK)
		return rc;
	return k->selector.id.n != 0 ? read_message(c, k, r, f) : read_queue(c, k, r, f);
}

/* ---- done to them ---- */

static void
wish_page(struct api_call *c, struct deliver *d)
{
	struct change *k = c->data;

	for (uint32_t i = 0; i < k->n; i++) {
		struct fault f = { 0 };
		enum rc rc = deliver_wish(d, k->wish, &k->rows[i], &f);
		if (rc == RC_OK) {
			k->matched++;
			k->done++;
		} else if (rc == RC_AGAIN) {
			k->matched++;
			k->busy++;
		} else if (k->first_refusal.text[0] == '\0') {
			k->first_refusal = f;
		}
	}
	deliver_settle(d);
}

static void
nothing(struct api_call *c, struct deliver *d)
{
	(void)c;
	(void)d;
}

static enum rc
write_audit(struct api_call *c, struct store_tx *tx, struct fault *f)
{
	const struct change *k = c->data;
	const struct api_selector *s = &k->selector;
	struct str target = s->id.n != 0 ? s->id : arena_strf(&c->arena, "%.*s", STR_ARG(c->name));

	return api_audit(c, tx, k->what, target,
	    arena_strf(&c->arena, "%llu done, %llu busy", (unsigned long long)k->done,
		(unsigned long long)k->busy),
	    f);
}

static void
answer(struct api_call *c)
{
	struct change *k = c->data;
	struct json_writer *w = &c->json;

	json_writer_object(w);
	json_writer_put_uint(w, "matched", k->matched);
	json_writer_put_uint(w, "done", k->done);
	json_writer_put_uint(w, "busy", k->busy);
	json_writer_end(w);
	api_done(c);
}

static void
audit(struct api_call *c)
{
	api_write(c, write_audit, answer);
}

static void next_page(struct api_call *c);

static void
wished(struct api_call *c)
{
	struct change *k = c->data;

	if (!k->end) {
		next_page(c);
		return;
	}
	/* One message was named, and nothing could be done about it: say why. */
	if (k->selector.id.n != 0 && k->matched == 0) {
		struct fault why = k->first_refusal;
		if (why.text[0] != '\0')
			api_fail(c, RC_EXISTS, "%s", why.text);
		else
			api_fail(c, RC_EXISTS, "nothing of that message is in a state for it");
		return;
	}
	api_order(c, nothing, audit);
}

static void
wish(struct api_call *c)
{
	api_order(c, wish_page, wished);
}

static void
next_page(struct api_call *c)
{
	api_read(c, read_page, wish);
}

void
api_change_run(struct api_call *c, const struct api_selector *selector, enum deliver_wish wanted,
    const char *what)
{
	struct change *k = ARENA_NEW(&c->arena, struct change);

	k->selector = *selector;
	k->wish = wanted;
	k->what = what;
	c->data = k;
	next_page(c);
}

/* When new routes tell apart what lay in one group, its recipients get keys anew.
 *
 * A group whose key the new book would split is *suspect*: some of its recipients belong elsewhere.
 * From then on every recipient of such a group is checked, by making its key again, before it is
 * taken into the window or put back into it; those in the window at that moment are checked at
 * once. A *stray* is left on disk. So nothing goes out by a route that is no longer its own, while
 * what stays in the group keeps flowing.
 *
 * On disk, passes over the rows of suspect groups (store/regroup.h) move strays to their groups:
 * one pass at once, one whenever a stray was left behind, and a last one GRACE later, because doors
 * that had not yet heard of the new book may have sent mail with the old keys. What waits for a
 * person (held, captured) is moved by a pass of its own. After the last pass a group is suspect no
 * more.
 *
 * A pass is a row of slices, one with the writer at a time. It begins when the outcome that put the
 * last stray on disk is committed.
 *
 * A mark of the routes for which all keys are right is kept on disk; a start that finds another
 * one, because the last run ended in the middle or the settings were exchanged, suspects every
 * group. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "deliver/private.h"
#include "mail/address.h"
#include "relay/book.h"
#include "store/config_system.h"
#include "store/reader.h"
#include "store/regroup.h"
#include "store/store.h"

#define GRACE       MINUTES(3)
#define SLICE_ROWS  128
#define RETRY_AFTER SECONDS(1)
#define MARK_KEY    STR("groups-made-for")

struct regroup_call {
	struct store_call call;
	struct store_regroup r;
	struct relay_book *book; /* one reference: the keys are made by it */
	bool is_last;            /* begun after the grace: what fits now, fits for good */
	uint64_t mark;           /* or: to be kept; 0: a slice */
};

/* ---- keys ---- */

static bool
key_of(const struct relay_book *book, struct account_id account, struct str sender,
    struct str address, enum stream stream, struct buf *key)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct mail_addr from = { .is_null = true };
	struct mail_addr to;
	const char *why;

	if (sender.n != 0 && mail_addr_parse(sender, MAIL_ADDR_UTF8, &a, &from, &why) != RC_OK)
		return false;
	if (mail_addr_parse(address, MAIL_ADDR_UTF8 | MAIL_ADDR_POSTMASTER, &a, &to, &why) != RC_OK)
		return false;
	relay_book_group_key(book, account, &from, to.domain_ascii, stream, key);
	return true;
}

/* On the writer's thread. */
static void
key_of_row(void *arg, const struct store_row *row, struct buf *key)
{
	const struct regroup_call *c = arg;

	(void)key_of(c->book, row->account, row->sender, row->address, row->lane, key);
}

bool
deliver_fits(struct deliver *d, const struct deliver_group *g, struct account_id account,
    struct str sender, struct str address, enum stream stream)
{
	if (g == NULL || !g->is_suspect)
		return true;
	AUTO(buf_done) struct buf key = { 0 };
	buf_init(&key, RELAY_KEY_MAX);
	return !key_of(d->book, account, sender, address, stream, &key) ||
	       str_eq(buf_str(&key), g->key);
}

bool
deliver_item_fits(struct deliver *d, const struct queue_item *item)
{
	const struct deliver_rcpt *r = item->load;

	return deliver_fits(d, deliver_group_of(d, item->group_id), item->account_id,
	    r->msg->sender, r->address, item->lane);
}

void
deliver_stray(struct deliver *d, struct group_id id)
{
	struct deliver_group *g = deliver_group_of(d, id);

	if (g == NULL)
		return;
	g->pass_at_us = d->next_pass_us = d->now_us;
	g->pass_after = d->batch_seq;
}

/* The group of that key; NULL: it is not known yet. */
static struct deliver_group *
group_of_key(const struct deliver *d, struct str key)
{
	uint64_t hash = str_hash(key, 0);
	struct deliver_group *g;

	while ((g = map_get(&d->by_key, hash)) != NULL && !str_eq(g->key, key))
		hash++;
	return g;
}

void
deliver_item_strays(struct deliver *d, const struct queue_item *item, int64_t due_us)
{
	const struct deliver_rcpt *r = item->load;
	AUTO(buf_done) struct buf key = { 0 };

	deliver_stray(d, item->group_id);
	buf_init(&key, RELAY_KEY_MAX);
	if (!key_of(d->book, item->account_id, r->msg->sender, r->address, item->lane, &key))
		return;
	/* Where the group is not known yet, the writer will tell of it and of what is in it. */
	struct deliver_group *home = group_of_key(d, buf_str(&key));
	if (home != NULL)
		deliver_add_more(d, home, item->lane, due_us);
}

/* ---- suspicion ---- */

static void
suspect(struct deliver *d, struct deliver_group *g)
{
	if (!g->is_suspect)
		d->n_suspect++;
	g->is_suspect = true;
	deliver_stray(d, g->id);
}

/* Those of the window that belong elsewhere leave it. What is being sent goes on, and is checked
 * when it is back. */
static void
sift_window(struct deliver *d)
{
	size_t at = 0;
	size_t n = 0;
	struct queue_item *item;
	struct rcpt_id *strays = MEM_NEW_ARRAY(struct rcpt_id, queue_held(d->queue));

	while ((item = queue_each(d->queue, &at)) != NULL) {
		if (!queue_is_out(item) && !deliver_item_fits(d, item))
			strays[n++] = item->rcpt_id;
	}
	for (size_t i = 0; i < n; i++) {
		item = queue_take(d->queue, strays[i], d->now_us);
		deliver_batch_of(d);
		deliver_item_strays(d, item, item->due_us);
		deliver_put_down(d, item, item->due_us);
	}
	free(strays);
}

void
deliver_regroup(struct deliver *d, const struct relay_book *from)
{
	size_t at = 0;
	size_t n = 0;
	struct deliver_group *g;

	while ((g = map_next(&d->groups, &at, NULL)) != NULL) {
		if (relay_book_splits(from, d->book, g->key)) {
			suspect(d, g);
			n++;
		}
	}
	if (n == 0)
		return;
	log_event(LOG_INFO, NULL, "deliver.regroup",
	    "the routes tell apart what lay in %zu groups; their mail is sorted anew", n);
	d->suspect_until_us = d->now_us + GRACE;
	d->aside_at_us = d->now_us;
	sift_window(d);
}

void
deliver_regroup_new(struct deliver *d, struct deliver_group *g)
{
	/* A door with an older book may have made its key. */
	if (d->now_us < d->suspect_until_us && relay_book_splits(NULL, d->book, g->key))
		suspect(d, g);
}

/* ---- the mark ---- */

static void
add_word(uint64_t *h, struct str s)
{
	*h = str_hash(s, *h + 1);
}

/* Changes with everything that keys depend on. Never 0. */
static uint64_t
mark_of(const struct relay_book *book)
{
	uint64_t h = 1;

	for (size_t i = 0; i < relay_book_route_count(book); i++) {
		const struct relay_route_row *r = relay_book_route_at(book, i);
		uint64_t flags = (r->by_stream ? 1u : 0u) | (r->is_default ? 2u : 0u) |
				 (r->for_bounces ? 4u : 0u) | (unsigned)r->stream << 3;
		h = str_hash(str_make((const char *)&r->account.v, sizeof(r->account.v)), h);
		h = str_hash(str_make((const char *)&flags, sizeof(flags)), h);
		add_word(&h, r->sender);
		add_word(&h, r->rcpt_domain);
	}
	for (size_t i = 0; i < relay_book_version_count(book); i++) {
		const struct relay_version_row *v = relay_book_version_at(book, i);
		add_word(&h, v->senders);
		add_word(&h, v->rewrites);
	}
	return h | 1;
}

static enum rc
run_mark(struct store_tx *tx, void *arg, struct fault *f)
{
	const struct regroup_call *c = arg;
	char text[32];

	snprintf(text, sizeof(text), "%llx", (unsigned long long)c->mark);
	return store_config_setting_put(tx, MARK_KEY, str_from(text), f);
}

void
deliver_regroup_recover(struct deliver *d, struct store_reader *r)
{
	AUTO(arena_done) struct arena a = { 0 };
	struct str kept = { 0 };
	char text[32];
	struct fault f = { 0 };

	snprintf(text, sizeof(text), "%llx", (unsigned long long)mark_of(d->book));
	if (store_config_setting_get(r, MARK_KEY, &a, &kept, &f) == RC_OK &&
	    str_eq(kept, str_from(text)))
		d->mark_kept = mark_of(d->book);
	else
		deliver_regroup(d, NULL);
}

/* ---- passes ---- */

static enum rc
run_slice(struct store_tx *tx, void *arg, struct fault *f)
{
	struct regroup_call *c = arg;

	return store_regroup_run(tx, &c->r, f);
}

static void
post(struct deliver *d, struct regroup_call *c)
{
	c->call.op.kind = STORE_CALL;
	c->call.op.reply = d->from_store;
	c->call.run = c->mark != 0 ? run_mark : run_slice;
	c->call.arg = c;
	d->regroup_is_out = true;
	d->ops_out++;
	outbox_add(&d->outbox, store_mailbox(d->store), &c->call.op.item);
}

/* `group`: none for what waits for a person. */
static void
begin_pass(struct deliver *d, struct group_id group)
{
	struct regroup_call *c = MEM_NEW(struct regroup_call);

	c->r = (struct store_regroup){
		.group = group, .max = SLICE_ROWS, .key = key_of_row, .arg = c
	};
	c->book = relay_book_ref(d->book);
	c->is_last = d->now_us >= d->suspect_until_us;
	post(d, c);
}

static void
end_pass(struct deliver *d, const struct regroup_call *c)
{
	size_t at = 0;
	struct deliver_group *g = deliver_group_of(d, c->r.group);

	if (g != NULL) {
		if (c->is_last && g->pass_at_us == TIME_NEVER) {
			g->is_suspect = false;
			d->n_suspect--;
		}
		return;
	}
	/* What a person let go of meanwhile may lie in a group that nobody was told of. */
	while ((g = map_next(&d->groups, &at, NULL)) != NULL) {
		for (int s = 0; s < STREAM_COUNT; s++)
			deliver_add_more(d, g, (enum stream)s, d->now_us);
	}
}

/* When the pass that `c` is part of is to begin anew; TIME_NEVER: it goes on. */
static int64_t *
again_at(struct deliver *d, const struct regroup_call *c)
{
	struct deliver_group *g = deliver_group_of(d, c->r.group);

	return g != NULL ? &g->pass_at_us : &d->aside_at_us;
}

static void
slice_is_back(struct deliver *d, struct regroup_call *c)
{
	int64_t *again = again_at(d, c);

	if (c->call.op.rc != RC_OK) {
		log_event(LOG_WARN, NULL, "deliver.regroup", "mail cannot be sorted anew yet: %s",
		    c->call.op.fault.text);
		*again = d->now_us + RETRY_AFTER;
		d->next_pass_us = d->now_us;
	} else if (!c->r.is_done && *again == TIME_NEVER && !d->stopping) {
		c->r.from = c->r.next;
		relay_book_unref(&c->book);
		c->book = relay_book_ref(d->book);
		post(d, c);
		return;
	} else if (c->r.is_done) {
		end_pass(d, c);
	}
	relay_book_unref(&c->book);
	free(c);
}

bool
deliver_regroup_is_ours(struct store_op *op)
{
	struct store_call *call = CONTAINER_OF(op, struct store_call, op);

	return call->run == run_slice || call->run == run_mark;
}

void
deliver_on_regrouped(struct deliver *d, struct store_op *op)
{
	struct store_call *call = CONTAINER_OF(op, struct store_call, op);
	struct regroup_call *c = CONTAINER_OF(call, struct regroup_call, call);

	d->regroup_is_out = false;
	if (c->mark == 0) {
		slice_is_back(d, c);
		return;
	}
	if (op->rc != RC_OK)
		log_event(
		    LOG_WARN, NULL, "deliver.regroup", "not kept as done: %s", op->fault.text);
	free(c);
}

/* Begins the pass of a group that is due for one; else says when the next is. */
static bool
begin_due(struct deliver *d)
{
	bool grace_is_over = d->now_us >= d->suspect_until_us;
	size_t at = 0;
	struct deliver_group *g;

	d->next_pass_us = grace_is_over ? TIME_NEVER : d->suspect_until_us;

	while ((g = map_next(&d->groups, &at, NULL)) != NULL) {
		if (!g->is_suspect)
			continue;
		if (g->pass_at_us == TIME_NEVER && grace_is_over)
			g->pass_at_us = d->now_us;
		if (g->pass_at_us <= d->now_us && g->pass_after <= d->batch_acked) {
			g->pass_at_us = TIME_NEVER;
			d->next_pass_us = d->now_us; /* there may be more */
			begin_pass(d, g->id);
			return true;
		}
		if (g->pass_at_us < d->next_pass_us)
			d->next_pass_us = g->pass_at_us;
	}
	return false;
}

int64_t
deliver_regroup_step(struct deliver *d)
{
	if (d->regroup_is_out || d->stopping)
		return TIME_NEVER;
	if (d->aside_at_us <= d->now_us) {
		d->aside_at_us = TIME_NEVER;
		begin_pass(d, (struct group_id){ 0 });
		return TIME_NEVER;
	}
	if (d->n_suspect != 0) {
		if (d->next_pass_us <= d->now_us && begin_due(d))
			return TIME_NEVER;
		/* One that waits for a commit is looked at again when that comes. */
		int64_t next = d->next_pass_us <= d->now_us ? TIME_NEVER : d->next_pass_us;
		return d->aside_at_us < next ? d->aside_at_us : next;
	}
	uint64_t mark = mark_of(d->book);
	if (mark != d->mark_kept && d->aside_at_us == TIME_NEVER) {
		struct regroup_call *c = MEM_NEW(struct regroup_call);
		c->mark = d->mark_kept = mark;
		post(d, c);
	}
	return d->aside_at_us;
}

/* Connections and what goes out on them.
 *
 * A way is pumped when something may go out on it: while an idle connection, a message and the
 * desk's consent come together, a job is made. Where only the connection is missing one is opened,
 * as long as more messages are ready than connections are being opened. Idle connections are used
 * last in, first out, so that those not needed grow old and are let go.
 *
 * A job whose content lies on disk only passes through the reading pool first; its connection is
 * busy meanwhile. */
#include "deliver/private.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/blob.h"
#include "base/clock.h"
#include "base/mem.h"
#include "crypto/random.h"
#include "mail/rewrite.h"
#include "relay/book.h"

static void
to_carrier(
    struct deliver *d, struct deliver_link *l, enum carrier_kind kind, struct carrier_note *n)
{
	n->kind = kind;
	n->conn = l->id;
	outbox_add(&d->outbox, l->carrier, &n->item);
}

static void
link_to_idle(struct deliver *d, struct deliver_link *l)
{
	l->state = LINK_IDLE;
	l->idle_since_us = loop_now_us(d->loop);
	list_push_front(&l->way->idle, &l->idle_link);
}

static void
link_from_idle(struct deliver_link *l, enum link_state to)
{
	if (l->state == LINK_IDLE)
		list_remove(&l->idle_link);
	l->state = to;
}

static void
let_go(struct deliver *d, struct deliver_link *l)
{
	link_from_idle(l, LINK_QUITTING);
	l->we_quit = true;
	to_carrier(d, l, CARRIER_QUIT, MEM_NEW(struct carrier_note));
}

/* ---- opening ---- */

static struct conn_id
next_conn(void)
{
	static _Atomic uint64_t last;

	return (struct conn_id){ atomic_fetch_add(&last, 1) + 1 };
}

static void
open_link(struct deliver *d, struct deliver_way *w)
{
	struct deliver_link *l = MEM_NEW(struct deliver_link);
	struct carrier_open *o = MEM_NEW(struct carrier_open);

	l->id = next_conn();
	l->way = w;
	l->carrier = d->carriers[d->next_carrier++ % d->n_carriers];
	l->state = LINK_DIALLING;
	map_put(&d->links, l->id.v, l);
	w->n_links++;
	if (w->n_dialling++ == 0)
		w->dialling_us = d->now_us;
	relay_desk_connecting(d->desk, w->version, d->now_us);
	o->book = relay_book_ref(d->book);
	o->version = w->version;
	to_carrier(d, l, CARRIER_OPEN, &o->note);
	atomic_fetch_add_explicit(&d->metrics.connects, 1, memory_order_relaxed);
}

/* ---- jobs ---- */

static void
fill_rcpt(struct smtp_job_rcpt *to, const struct queue_item *item)
{
	const struct deliver_rcpt *r = item->load;

	to->id = item->rcpt_id;
	to->path = r->address;
	if (r->notify != 0) {
		to->params.seen |= SMTP_PARAM_BIT(NOTIFY);
		to->params.notify = r->notify;
	}
	if (r->orcpt.n != 0) {
		size_t semicolon = str_find(r->orcpt, ';');
		to->params.seen |= SMTP_PARAM_BIT(ORCPT);
		to->params.orcpt_type = str_sub(r->orcpt, 0, semicolon);
		to->params.orcpt = str_skip(r->orcpt, semicolon + 1);
	}
}

static struct deliver_job *
make_job(struct deliver *d, struct deliver_way *w, struct queue_item *first)
{
	struct deliver_job *job = MEM_NEW(struct deliver_job);
	struct deliver_rcpt *r = first->load;
	struct deliver_msg *m = r->msg;
	const struct deliver_side *side = deliver_side_of(d, first->group_id);
	struct deliver_load *load = ARENA_NEW(&job->arena, struct deliver_load);
	size_t max = w->max_rcpts < m->n_rcpts ? w->max_rcpts : m->n_rcpts;

	load->msg = m;
	load->items = ARENA_NEW_ARRAY(&job->arena, struct queue_item *, max);
	load->sender = side->rewritten.n != 0 ? arena_str(&job->arena, side->rewritten) : m->sender;
	m->refs++;
	job->load = load;
	job->version = w->version;
	job->lane = first->lane;
	job->began_us = d->now_us;
	job->smtp = (struct smtp_job){ .msg = m->id, .sender = load->sender, .arena = &job->arena };
	job->smtp.rcpts = ARENA_NEW_ARRAY(&job->arena, struct smtp_job_rcpt, max);
	job->smtp.cut_after_us = deliver_cut_after_us(d, first);
	job->smtp.needs_8bit = (m->flags & STORE_8BITMIME) != 0;
	job->smtp.needs_utf8 = (m->flags & STORE_SMTPUTF8) != 0;
	if (m->ret != 0) {
		job->smtp.params.seen |= SMTP_PARAM_BIT(RET);
		job->smtp.params.ret = (enum smtp_ret)(m->ret - 1);
	}
	if (m->envid.n != 0) {
		job->smtp.params.seen |= SMTP_PARAM_BIT(ENVID);
		job->smtp.params.envid = m->envid;
	}
	for (struct queue_item *item = first; item != NULL && job->smtp.n_rcpts < max;
	     item = job->smtp.n_rcpts < max ? queue_sibling(d->queue, first, d->now_us) : NULL) {
		size_t i = job->smtp.n_rcpts++;
		load->items[i] = item;
		fill_rcpt(&job->smtp.rcpts[i], item);
	}
	return job;
}

/* Content for the job: the message's, with the sender rewritten in its header where the relay asks
 * for it. */
static void
set_content(struct deliver_job *job, struct blob *content)
{
	struct deliver_load *load = job->load;
	AUTO(arena_done) struct arena a = { 0 };
	struct mail_pieces p;
	const char *why;

	mail_pieces_init(&p, &a);
	if (str_eq(load->sender, load->msg->sender) ||
	    mail_rewrite_from(blob_str(content), load->sender, &p, &why) != RC_OK) {
		job->smtp.content = blob_ref(content);
		return;
	}
	job->smtp.content = blob_new(p.bytes);
	mail_pieces_join(&p, job->smtp.content->p);
}

static void
send_job(struct deliver *d, struct deliver_link *l, struct deliver_job *job)
{
	struct deliver_load *load = job->load;

	link_from_idle(l, LINK_BUSY);
	relay_desk_began(d->desk, job->version, job->lane, d->now_us);
	d->jobs_out++;
	deliver_way_of(d, job->version)->n_jobs++;
	job->note.conn = l->id;
	atomic_fetch_add_explicit(&d->metrics.jobs, 1, memory_order_relaxed);
	if (load->msg->content == NULL) {
		deliver_read_for_job(d, job);
		return;
	}
	set_content(job, load->msg->content);
	l->job_is_with_carrier = true;
	to_carrier(d, l, CARRIER_JOB, &job->note);
}

/* Every recipient of a job that never reached a carrier gets the same verdict. */
static void
judge_all(struct deliver_job *job, enum smtp_outcome outcome, struct str why)
{
	for (size_t i = 0; i < job->smtp.n_rcpts; i++)
		job->smtp.rcpts[i].verdict = (struct smtp_verdict){ .outcome = outcome,
			.stage = SMTP_STAGE_MAIL,
			.trouble = SMTP_TROUBLE_OURS,
			.text = why };
}

void
deliver_job_loaded(struct deliver *d, struct deliver_job *job, enum rc rc)
{
	struct deliver_load *load = job->load;
	struct deliver_link *l = map_get(&d->links, job->note.conn.v);

	if (rc == RC_OK && l != NULL) {
		set_content(job, load->msg->content);
		l->job_is_with_carrier = true;
		to_carrier(d, l, CARRIER_JOB, &job->note);
		return;
	}
	load->is_lost = rc == RC_NOT_FOUND;
	if (rc != RC_OK)
		judge_all(job, SMTP_BROKEN,
		    load->is_lost ? STR("the content of the message is no longer on our disk")
				  : STR("the content of the message cannot be read from our disk"));
	if (l != NULL)
		link_to_idle(d, l);
	deliver_touch(deliver_way_of(d, job->version));
	deliver_job_back(d, l, job);
}

/* ---- pumping ---- */

static unsigned
lanes_allowed(struct deliver *d, struct deliver_way *w)
{
	unsigned lanes = 0;

	for (int s = 0; s < STREAM_COUNT; s++) {
		int64_t wait = TIME_NEVER;
		if (relay_desk_may_send(d->desk, w->version, (enum stream)s, d->now_us, &wait))
			lanes |= QUEUE_LANE(s);
		else if (wait < w->ask_again_us)
			w->ask_again_us = wait;
	}
	return lanes;
}

/* Ready recipients of the way's groups, for `lanes`. */
static size_t
ready_count(struct deliver *d, const struct deliver_way *w, unsigned lanes)
{
	size_t at = 0;
	size_t n = 0;
	struct deliver_group *g;

	while ((g = map_next(&d->groups, &at, NULL)) != NULL) {
		for (int i = 0; i < DELIVER_STANDS; i++) {
			const struct deliver_side *side = &g->sides[i];
			for (int s = 0; side->way == w && side->open && s < STREAM_COUNT; s++) {
				if ((lanes & QUEUE_LANE(s)) != 0)
					n += queue_count(d->queue, side->id, (enum stream)s).ready;
			}
		}
	}
	return n;
}

static void
open_links(struct deliver *d, struct deliver_way *w, unsigned lanes)
{
	size_t ready = ready_count(d, w, lanes);
	uint32_t at_once = deliver_at_once(d, w);

	while (w->n_dialling < ready && (at_once == 0 || w->n_links < at_once) && w->row != NULL &&
	       d->n_carriers != 0) {
		int64_t wait = TIME_NEVER;
		enum stream lane =
		    (lanes & QUEUE_LANE(STREAM_TRANSACTIONAL)) != 0 &&
			    queue_outlet_has(w->outlet, QUEUE_LANE(STREAM_TRANSACTIONAL), d->now_us)
			? STREAM_TRANSACTIONAL
			: STREAM_BULK;
		if (!relay_desk_may_connect(d->desk, w->version, lane, d->now_us, &wait)) {
			if (wait < w->ask_again_us)
				w->ask_again_us = wait;
			return;
		}
		open_link(d, w);
	}
}

/* A sender that the relay refuses is held on its login, and nobody else is: its mail waits. */
static bool
sender_is_held(struct deliver *d, struct deliver_way *w, struct queue_item *item)
{
	struct deliver_rcpt *r = item->load;
	const struct deliver_side *side = deliver_side_of(d, item->group_id);
	struct str sender = side->rewritten.n != 0 ? side->rewritten : r->msg->sender;
	int64_t until;

	if (!relay_desk_is_sender_held(d->desk, w->version, sender, d->now_us, &until))
		return false;
	if (deliver_has_way_back(d, w, item)) { /* the old version may still take it */
		deliver_restand(d, item, DELIVER_OLD, d->now_us);
		return true;
	}
	if (until == TIME_NEVER || until > d->now_us + MINUTES(5))
		until = d->now_us + MINUTES(5);
	deliver_postpone(d, item, until);
	return true;
}

void
deliver_pump(struct deliver *d, struct deliver_way *w)
{
	uint32_t at_once = deliver_at_once(d, w);

	w->ask_again_us = TIME_NEVER;
	for (;;) {
		if (at_once != 0 && w->n_jobs >= at_once)
			return;
		if (d->stopping || !relay_desk_is_usable(d->desk, w->version))
			return;
		unsigned lanes = lanes_allowed(d, w);
		if (lanes == 0 || !queue_outlet_has(w->outlet, lanes, d->now_us))
			return;
		struct deliver_link *l = LIST_FIRST(&w->idle, struct deliver_link, idle_link);
		if (l == NULL) {
			open_links(d, w, lanes);
			return;
		}
		struct queue_item *item = queue_outlet_next(w->outlet, lanes, d->now_us);
		if (item == NULL)
			return;
		if (!deliver_may_go(d, w, item) || sender_is_held(d, w, item))
			continue;
		send_job(d, l, make_job(d, w, item));
	}
}

int64_t
deliver_trim_links(struct deliver *d)
{
	int64_t now = loop_now_us(d->loop);
	int64_t next = TIME_NEVER;
	size_t at = 0;
	struct deliver_way *w;

	while ((w = map_next(&d->ways, &at, NULL)) != NULL) {
		while (!list_is_empty(&w->idle)) {
			struct deliver_link *oldest =
			    CONTAINER_OF(w->idle.prev, struct deliver_link, idle_link);
			int64_t due = w->row == NULL || d->stopping
					  ? now
					  : oldest->idle_since_us + d->opts.idle_us;
			if (due > now) {
				next = due < next ? due : next;
				break;
			}
			let_go(d, oldest);
		}
	}
	return next;
}

/* ---- reports ---- */

static void
copy_text(char *to, size_t size, struct str s)
{
	snprintf(to, size, "%.*s", STR_ARG(s));
}

static void
on_ready(struct deliver *d, struct deliver_link *l, const struct carrier_report *r)
{
	struct deliver_way *w = l->way;

	copy_text(l->remote, sizeof(l->remote), r->remote);
	copy_text(l->tls, sizeof(l->tls), r->tls);
	copy_text(l->peer, sizeof(l->peer), r->peer);
	l->has_dsn = smtp_caps_has(&r->caps, SMTP_CAP_DSN);
	w->dialling_us = --w->n_dialling != 0 ? d->now_us : 0;
	if (r->caps.rcpt_max != 0 && r->caps.rcpt_max < w->max_rcpts)
		w->max_rcpts = r->caps.rcpt_max;
	relay_desk_connected(d->desk, w->version, d->now_us);
	deliver_keep_caps(d, w, &r->caps);
	if (l->state != LINK_DIALLING)
		return;
	l->ready_us = loop_now_us(d->loop);
	link_to_idle(d, l);
	deliver_touch(w);
}

/* The relay let us in and hung up at once, before it took anything: however politely it did so, to
 * come back at once would be a storm. */
static bool
was_shown_out(const struct deliver *d, const struct deliver_link *l, const struct carrier_report *r)
{
	return r->was_ready && !l->took_a_job && !l->we_quit && !d->stopping &&
	       r->why.outcome == SMTP_NOT_TRIED && loop_now_us(d->loop) - l->ready_us < SECONDS(5);
}

/* What the end of a ready connection says about the relay: nothing where it was orderly, nor where
 * the job that it ended with tells it. */
static bool
is_to_be_blamed(const struct deliver_link *l, const struct carrier_report *r)
{
	bool orderly = r->why.outcome == SMTP_NOT_TRIED || r->why.trouble == SMTP_TROUBLE_OURS;
	bool job_tells = l->job_told || (l->state == LINK_BUSY && l->job_is_with_carrier);

	return !orderly && !job_tells;
}

static void
on_closed(struct deliver *d, struct deliver_link *l, struct carrier_report *r)
{
	struct deliver_way *w = l->way;
	bool orderly = r->why.outcome == SMTP_NOT_TRIED || r->why.trouble == SMTP_TROUBLE_OURS;
	bool shown_out = was_shown_out(d, l, r);
	bool blamed = shown_out || is_to_be_blamed(l, r);
	struct relay_verdict v;

	if (shown_out) {
		r->why.stage = SMTP_STAGE_EHLO;
		r->why.trouble = SMTP_TROUBLE_CLOSED;
	}
	enum relay_hard_stop stop = deliver_judge_stop(d, w, &r->why, r->dns_says_no_host, &v);
	if (blamed || (!r->was_ready && !orderly))
		deliver_moves_tell_connect(d, w, &r->why, &v, stop);
	link_from_idle(l, LINK_QUITTING);
	if (r->was_ready) {
		relay_desk_closed(d->desk, w->version, blamed ? &v : NULL, d->now_us);
	} else {
		if (--w->n_dialling == 0)
			w->dialling_us = 0;
		if (orderly) {
			relay_desk_connect_cancelled(d->desk, w->version, d->now_us);
		} else {
			relay_desk_connect_failed(d->desk, w->version, &v, d->now_us);
			atomic_fetch_add_explicit(
			    &d->metrics.connect_failures, 1, memory_order_relaxed);
		}
	}
	w->n_links--;
	map_remove(&d->links, l->id.v);
	free(l);
	deliver_touch(w);
}

/* A job is back; its connection, if it is still there, is free or about to close. */
static void
on_done(struct deliver *d, struct deliver_link *l, struct deliver_job *job)
{
	deliver_touch(deliver_way_of(d, job->version));
	if (l != NULL) {
		l->job_is_with_carrier = false;
		for (size_t i = 0; i < job->smtp.n_rcpts; i++) {
			enum smtp_outcome o = job->smtp.rcpts[i].verdict.outcome;
			l->took_a_job |= o != SMTP_NOT_TRIED;
			l->job_told |= o == SMTP_REFUSED || o == SMTP_BROKEN;
		}
		l->job_told &= !job->conn_is_good;
	}
	if (l != NULL && l->state == LINK_BUSY && job->conn_is_good)
		link_to_idle(d, l);
	else if (l != NULL && l->state == LINK_BUSY)
		l->state = LINK_QUITTING;
	deliver_job_back(d, l, job);
}

static void
one_report(struct deliver *d, struct carrier_note *n)
{
	struct deliver_link *l = map_get(&d->links, n->conn.v);

	if (n->kind == CARRIER_DONE) {
		/* A job whose record was out when its connection died comes back after the link is
		 * gone. */
		on_done(d, l, CONTAINER_OF(n, struct deliver_job, note));
		return;
	}
	ASSERT(l != NULL);
	struct carrier_report *r = CONTAINER_OF(n, struct carrier_report, note);
	if (n->kind == CARRIER_READY)
		on_ready(d, l, r);
	else
		on_closed(d, l, r);
	carrier_report_free(&r);
}

void
deliver_on_reports(void *arg, struct mailbox_item *item)
{
	struct deliver *d = FROM_ARG(struct deliver, arg, DELIVER_MAGIC);

	d->now_us = clock_wall_us();
	while (item != NULL) {
		struct mailbox_item *next = item->next;
		one_report(d, carrier_note_of(item));
		item = next;
	}
	deliver_news(d);
}
